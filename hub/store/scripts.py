"""The scripts of the store: their text, their digests, and a call of one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources

SCRIPT_NAMES = (
    "accept", "advance", "again", "bind", "claim", "commit", "disown", "drop", "history", "inherit", "listen", "live",
    "own", "pause",
    "publish", "put", "read", "references", "release", "remove", "resume", "retire", "settle", "sign", "skip", "trim",
    "unbind", "version", "yield",
)  # fmt: skip
NEEDS_RECORD = {
    *("again", "bind", "claim", "commit", "drop", "inherit", "listen", "pause", "put", "read", "references"),
    *("remove", "resume", "settle", "sign", "skip", "trim", "unbind", "yield"),
}

Argument = str | bytes | int | float
Command = tuple[Argument, ...]


def script_text(name: str) -> str:
    """The Lua of one script, with the record's places put before it where it needs them."""
    folder = resources.files("hub.store") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return (folder / "record.lua").read_text(encoding="utf-8") + text if name in NEEDS_RECORD else text


SCRIPTS = {name: script_text(name) for name in SCRIPT_NAMES}
DIGESTS = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}


def script(name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
    """One call of a script, to be sent with ``Store.send``."""
    return ("EVALSHA", DIGESTS[name], len(keys), *keys, *arguments)
