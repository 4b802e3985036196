"""Whether a Redis keeps what a durability level promises: its settings, its role, its replicas (REDIS §2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.store.scripts import Command

REPLICATION: Command = ("INFO", "replication")


def wanted_settings(durability: str, replicas: int) -> dict[str, str]:
    """What CONFIG GET must show for this level; ``min-replicas-…`` are the least and the most, the others exact."""
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec" if durability == "relaxed" else "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
    }
    if durability == "replicated":
        wanted["min-replicas-to-write"] = str(replicas)
    return wanted


def settings_calls(wanted: dict[str, str]) -> list[Command]:
    return [("CONFIG", "GET", name) for name in wanted]


def unfit_settings(wanted: dict[str, str], replies: Sequence[Any]) -> list[str]:
    """Every setting that is not as wanted, in words; none when all are."""
    problems = []
    for (name, value), reply in zip(wanted.items(), replies, strict=True):
        if isinstance(reply, Exception):
            return ["CONFIG GET is not allowed, so its settings cannot be checked"]
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        found = {_text(key): _text(text) for key, text in pairs}.get(name, "")
        if found != value and not _stricter(name, found, value):
            least = "at least " if name == "min-replicas-to-write" else ""
            problems.append(f"{name} is {found!r}, needed is {least}{value!r}")
    return problems


def _stricter(name: str, found: str, value: str) -> bool:
    if name == "min-replicas-to-write":
        return found.isdigit() and int(found) >= int(value)
    return name == "appendfsync" and found == "always"


def unfit_role(reply: Any, replicas: int) -> list[str]:
    """What INFO replication says against it: it is itself a replica, or too few replicas stream from it."""
    if isinstance(reply, Exception):
        return ["INFO replication is not allowed, so its role and replicas cannot be checked"] if replicas else []
    told = reply if isinstance(reply, dict) else {}
    if told.get("role") != "master":
        return [f"it is a {told.get('role', 'server of unknown role')}, needed is the master"]
    online = sum(
        isinstance(value, dict) and value.get("state") == "online"
        for name, value in told.items()
        if name.startswith("slave")
    )
    return [f"{online} replicas are connected, needed are {replicas}"] if online < replicas else []


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
