"""The port through which ``memberOf()`` asks for value sets. Whoever holds them implements it; there is no I/O here."""

from __future__ import annotations

from typing import Any, Protocol

Coding = tuple[str | None, str]
"""(system, code); the system is None where the element has no place for one, "" where it is left out"""


class ValueSets(Protocol):
    """The value sets that the hub holds. Answers must not change while an expression that was compiled with it lives,
    but for a value set that is replaced by a newer one; nothing is fetched when asked."""

    def holds(self, url: str) -> bool:
        """Is the value set with this canonical (perhaps with ``|version``) held?"""

    def why_not(self, url: str) -> str:
        """Why one that is known here cannot be asked; "" for one that can, or is not known."""

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        """Is the code in it? ``system`` is None for a plain code, "" for a Coding without one.

        None when the value set cannot tell.
        """


def codings_of(value: Any) -> list[Coding]:
    """What to look up of a code, a Coding or a CodeableConcept, as JSON. Codings without a code are left out.

    A Coding without a system has none: it is not the code of every system, as little as it is for ``:in``.
    """
    if isinstance(value, str):
        return [(None, value)]
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    return [
        (_system(coding), coding["code"])
        for coding in (codings if isinstance(codings, list) else [])
        if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    ]


def _system(coding: dict[str, Any]) -> str:
    system = coding.get("system")
    return system if isinstance(system, str) else ""
