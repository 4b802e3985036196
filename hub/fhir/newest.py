"""Which of several definitions with one url a canonical without version means (S-018, S-019)."""

from __future__ import annotations

import re

_PREFERENCE = {"active": 3, "unknown": 2, "draft": 1}
_NUMBER = re.compile(r"[0-9]{1,18}")

Rank = tuple[int, tuple[tuple[int, int | str], ...]]


def preference(status: str, version: str) -> Rank:
    """The greatest is meant: the newest active one; a draft only when there is no other."""
    return _PREFERENCE.get(status, 0), _version_order(version)


def _version_order(version: str) -> tuple[tuple[int, int | str], ...]:
    """Numbers compare as numbers: 1.10 is newer than 1.9."""
    return tuple((1, int(part)) if _NUMBER.fullmatch(part) else (0, part) for part in version.split("."))
