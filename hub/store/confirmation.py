"""Level ``replicated``: nothing counts as written before so many replicas have received it.

WAIT counts what was written on its own connection only, so it travels in the same pipeline as the writes. A script that
writes nothing because it was called before (a repeat) would be confirmed at once, although what it repeats may not have
been received anywhere: so a mark is written just before WAIT, and everything the pipeline saw lies before the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.errors import Unavailable
from hub.store.keys import CONFIRMATION_KEY
from hub.store.scripts import DIGESTS, Command

READS = frozenset({
    "CLIENT", "CONFIG", "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HLEN", "HMGET", "HSCAN", "INFO", "LLEN",
    "LRANGE", "PING", "PUBLISH", "SCRIPT", "TIME", "XLEN", "XRANGE", "XREVRANGE", "ZRANGE", "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
})  # fmt: skip
"""Commands after which nothing is to be confirmed; whatever else there is counts as a write."""
READING_SCRIPTS = frozenset(DIGESTS[name] for name in ("history", "read", "references", "version"))
MARK: Command = ("SET", CONFIRMATION_KEY, "")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """``replicas`` must say within ``timeout_milliseconds`` that they received it."""

    replicas: int
    timeout_milliseconds: int

    def closing(self, commands: Sequence[Command]) -> tuple[Command, ...]:
        """What is to be sent right after these commands, on the same connection; nothing after mere reads."""
        if not any(map(is_write, commands)):
            return ()
        return (MARK, ("WAIT", self.replicas, self.timeout_milliseconds))

    def confirmed(self, commands: Sequence[Command], replies: Sequence[Any]) -> list[Any]:
        """The replies to the commands; those of writes are Unavailable when too few replicas received them."""
        own = list(replies[: len(commands)])
        if len(replies) == len(commands):
            return own
        marked, received = replies[len(commands) :]
        if not isinstance(marked, Exception) and isinstance(received, int) and received >= self.replicas:
            return own
        doubt = Unavailable(f"not confirmed: {self._heard(received)}; the write may stand, send it again")
        return [
            doubt if is_write(command) and not isinstance(reply, Exception) else reply
            for command, reply in zip(commands, own, strict=True)
        ]

    def _heard(self, received: Any) -> str:
        count = received if isinstance(received, int) else 0
        return f"{count} of {self.replicas} replicas received it within {self.timeout_milliseconds} ms"


def is_write(command: Command) -> bool:
    """Whether a command may have changed something."""
    if command[0] == "EVALSHA":
        return command[1] not in READING_SCRIPTS
    return command[0] not in READS
