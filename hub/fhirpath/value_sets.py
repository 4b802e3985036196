"""The port through which ``memberOf()`` asks for value sets. Whoever holds them implements it; there is no I/O here."""

from __future__ import annotations

from typing import Any, Protocol

Coding = tuple[str | None, str]
"""(system or None, code)"""


class ValueSets(Protocol):
    """The value sets that the hub holds. Answers must not change while an expression that was compiled with it lives,
    but for a value set that is replaced by a newer one; nothing is fetched when asked."""

    def holds(self, url: str) -> bool:
        """Is the value set with this canonical (perhaps with ``|version``) held?"""

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        """Is the code in it? ``system`` is None for a plain code; None when the value set cannot tell."""


def codings_of(value: Any) -> list[Coding]:
    """What to look up of a code, a Coding or a CodeableConcept, as JSON. Codings without a code are left out."""
    if isinstance(value, str):
        return [(None, value)]
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    return [
        (coding.get("system"), coding["code"])
        for coding in (codings if isinstance(codings, list) else [])
        if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    ]
