"""What a client writes into a websocket: the forms that are in use, read into words (S-159, S-160, S-169).

    bind-with-token TOKEN [ID=NUMBER ...]          also with a colon after the word
    {"type": "bind-with-token", "payload": {"token": TOKEN, "lastEventNumber": {ID: NUMBER}}}
    {"type": "unbind-from-token", "payload": {"token": TOKEN}}
    {"type": "ping"}
    bind ID                                        classic: no token

NUMBER is the last event number that the client has; it is the hub's own addition, so that a client can go on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed
from hub.fhir.json import read_json
from hub.fhir.operations import MAX_NUMBER
from hub.fhir.reading import child, text

_ID = r"[A-Za-z0-9.-]{1,64}"
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{1,512}")
_BIND_WITH_TOKEN = re.compile(r"bind-with-token(?::\s*|\s+)(\S+)((?:\s+\S+)*)\s*")
_SEEN = re.compile(rf"(?:Subscription/)?({_ID})=([0-9]{{1,19}})")
_CLASSIC = re.compile(rf"bind:?\s+({_ID})\s*")
FORMS = (
    "bind-with-token TOKEN, with ID=NUMBER for each Subscription whose last event number you have; or as JSON "
    '{"type": "bind-with-token", "payload": {"token": TOKEN, "lastEventNumber": {ID: NUMBER}}}'
)


@dataclass(frozen=True, slots=True)
class BindWithToken:
    """``seen``: Subscription id -> last event number that the client has."""

    token: str
    seen: dict[str, int]


@dataclass(frozen=True, slots=True)
class UnbindFromToken:
    token: str


@dataclass(frozen=True, slots=True)
class ClassicBind:
    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered with ``{"type":"pong"}``."""


ClientFrame = BindWithToken | UnbindFromToken | ClassicBind | Ping


def read_client_frame(written: str) -> ClientFrame:
    """Raises Malformed for anything else; the message never repeats what was written, it may hold a token."""
    stripped = written.strip()
    if stripped.startswith("{"):
        return _json_frame(stripped)
    if found := _BIND_WITH_TOKEN.fullmatch(stripped):
        pairs = [_SEEN.fullmatch(each) for each in found[2].split()]
        return BindWithToken(_token(found[1]), dict(_seen(pair[1], pair[2]) if pair else _unread() for pair in pairs))
    if found := _CLASSIC.fullmatch(stripped):
        return ClassicBind(found[1])
    raise _unreadable()


def _json_frame(written: str) -> ClientFrame:
    frame = read_json(written.encode())
    payload = child(frame, "payload")
    match text(frame, "type"):
        case "bind-with-token":
            seen = payload.get("lastEventNumber", {})
            if not isinstance(seen, dict):
                raise _unreadable()
            return BindWithToken(_token(text(payload, "token")), dict(_seen(*pair) for pair in seen.items()))
        case "unbind-from-token":
            return UnbindFromToken(_token(text(payload, "token")))
        case "ping":
            return Ping()
        case _:
            raise _unreadable()


def _token(written: str) -> str:
    if not _TOKEN.fullmatch(written):
        raise _unreadable()
    return written


def _seen(identity: str, number: Any) -> tuple[str, int]:
    digits = str(number) if isinstance(number, int | str) and not isinstance(number, bool) else ""
    found = _SEEN.fullmatch(f"{identity}={digits}")
    if not found or int(found[2]) > MAX_NUMBER:
        raise _unreadable()
    return found[1], int(found[2])


def _unread() -> tuple[str, int]:
    raise _unreadable()


def _unreadable() -> Malformed:
    return Malformed(f"this frame is not understood; write {FORMS}", code="structure")
