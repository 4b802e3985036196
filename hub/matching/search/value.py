"""What the value types have in common."""

from __future__ import annotations

from typing import Any, Protocol


class SearchValue(Protocol):
    """One alternative of a condition.

    ``keys`` are the equality keys: a resource can only be accepted when one of the keys that the same file's
    ``keys_of`` gives for its elements is among them. None when the test is not an equality. Keys may be coarser than
    the test (case, versions), so a key that is shared is a candidate, not yet a match.
    """

    @property
    def keys(self) -> frozenset[str] | None: ...

    def accepts(self, fhir_type: str, value: Any) -> bool:
        """Is this element, of FHIR type ``fhir_type`` (``Coding``, ``date``), one that was asked for?"""
        ...


def is_present(value: Any) -> bool:
    """Does an element say more than an id and extensions (S-241)?"""
    if isinstance(value, dict):
        return any(name not in ("id", "extension", "modifierExtension") for name in value)
    return value is not None
