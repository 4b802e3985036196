"""Every function that the hub evaluates, by family, and those of the standard that it does not."""

from __future__ import annotations

from types import MappingProxyType

from hub.fhirpath.functions.boundaries import BOUNDARIES
from hub.fhirpath.functions.clock import CLOCK
from hub.fhirpath.functions.conversions import CONVERSIONS
from hub.fhirpath.functions.definitions import DEFINITIONS
from hub.fhirpath.functions.fhir import FHIR_FUNCTIONS
from hub.fhirpath.functions.filtering import FILTERING
from hub.fhirpath.functions.numbers import NUMBER_FUNCTIONS
from hub.fhirpath.functions.patterns import PATTERNS
from hub.fhirpath.functions.strings import STRING_FUNCTIONS
from hub.fhirpath.functions.subsetting import SUBSETTING
from hub.fhirpath.functions.trees import TREES

FUNCTIONS = MappingProxyType(
    FILTERING
    | SUBSETTING
    | TREES
    | STRING_FUNCTIONS
    | PATTERNS
    | NUMBER_FUNCTIONS
    | CONVERSIONS
    | BOUNDARIES
    | CLOCK
    | DEFINITIONS
    | FHIR_FUNCTIONS
)

_TERMINOLOGY = "Compare with the codes themselves: coding.where(system='...' and code='...').exists()."
_FETCHING = "Nothing is fetched; only resolve() is Type can be answered, from the reference itself."
_VALIDATING = "Nothing is validated here; name the elements that must be there, with exists()."

UNSUPPORTED = MappingProxyType(
    dict.fromkeys(("subsumes", "subsumedBy"), _TERMINOLOGY)
    | dict.fromkeys(("conformsTo", "elementDefinition", "slice", "checkModifiers", "htmlChecks"), _VALIDATING)
    | {"resolve": _FETCHING}
)
"""Functions of the standard that are refused, and what to write instead."""
