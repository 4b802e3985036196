"""The variables of an expression: ``%current``, ``%previous`` and those that FHIR defines."""

from __future__ import annotations

from types import MappingProxyType

from hub.fhirpath.evaluation import Compiled, Single, Types, constant, one_item
from hub.fhirpath.quantity import UCUM

_RESOURCES: MappingProxyType[str, Single] = MappingProxyType(
    {
        "current": lambda env, _this: env.current,
        "previous": lambda env, _this: env.previous,
        "resource": lambda env, _this: env.resource,
        "rootResource": lambda env, _this: env.resource,
        "context": lambda env, _this: env.root,
    }
)
_STRINGS = MappingProxyType({"ucum": UCUM, "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"})
_PREFIXES = MappingProxyType(
    {"vs-": "http://hl7.org/fhir/ValueSet/", "ext-": "http://hl7.org/fhir/StructureDefinition/"}
)


def variable(name: str, root_types: Types) -> Compiled | None:
    """The variable ``%name``; None when there is none. ``root_types`` are the types of the resource looked at."""
    if name in _RESOURCES:
        return one_item(_RESOURCES[name], root_types)
    if name in _STRINGS:
        return constant(("System.String", _STRINGS[name], None))
    for prefix, base in _PREFIXES.items():
        if name.startswith(prefix):
            return constant(("System.String", base + name.removeprefix(prefix), None))
    return None
