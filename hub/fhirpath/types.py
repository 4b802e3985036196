"""Is an item of a type? FHIR types with all that is built on them, and the System types of literals."""

from __future__ import annotations

from hub.fhir.definitions import PRIMITIVES, Definitions

SYSTEM_TYPES = frozenset({"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"})


class TypeTest(dict[str, bool]):
    """Answers, for the type of an item, whether it is the named type; each answer is worked out once.

    ``selecting`` is the test of ``as`` and ``ofType``: of primitives it takes exactly the named type, because that is
    what chooses between ``valueCode`` and ``valueString`` (S-271); ``is`` also takes what is built on it.
    """

    def __init__(self, facts: Definitions, name: str, *, selecting: bool = False) -> None:
        super().__init__()
        self._facts = facts
        self._selecting = selecting
        namespace, _, plain = name.rpartition(".")
        self._fhir = plain if namespace in ("", "FHIR") and facts.is_type(plain) else None
        self._system = f"System.{plain}" if namespace in ("", "System") and plain in SYSTEM_TYPES else None

    @property
    def exists(self) -> bool:
        """Does this version of FHIR, or FHIRPath itself, have a type of that name?"""
        return self._fhir is not None or self._system is not None

    @property
    def types(self) -> frozenset[str]:
        """The types that an item of the named type can be known to have."""
        return frozenset(type_ for type_ in (self._fhir, self._system) if type_ is not None)

    def __missing__(self, type_: str) -> bool:
        if type_.startswith("System."):
            answer = type_ == self._system
        elif self._selecting and type_ in PRIMITIVES:
            answer = type_ == self._fhir
        else:
            answer = self._fhir is not None and self._facts.is_a(type_, self._fhir)
        self[type_] = answer
        return answer
