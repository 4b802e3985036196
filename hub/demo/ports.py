"""A free loopback port that stays ours while nobody listens on it."""

from __future__ import annotations

import socket
import sys

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """Bound, never listening: a server of ours may listen on it again and again, others do not get it meanwhile.

    Without the reservation a connection to the stopped receiver could even connect to itself: the kernel may choose the
    very port as the source.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":  # elsewhere a second socket could not bind the same address
            self.release()

    def release(self) -> None:
        self._socket.close()
