"""Every function that the hub evaluates, and those of the standard that it does not (yet)."""

from __future__ import annotations

from types import MappingProxyType

from hub.fhirpath.filtering import FILTERING
from hub.fhirpath.subsetting import SUBSETTING

FUNCTIONS = MappingProxyType(FILTERING | SUBSETTING)

_LATER = "Write the condition with operators and " + ", ".join(("where()", "exists()", "extension()", "ofType()")) + "."
_TERMINOLOGY = "Compare with the codes themselves: coding.where(system='...' and code='...').exists()."
_FETCHING = "Nothing is fetched; only resolve() is Type can be answered, from the reference itself."

UNSUPPORTED = MappingProxyType(
    dict.fromkeys(
        (
            *("repeat", "children", "descendants", "aggregate", "trace", "now", "today", "timeOfDay", "type"),
            *("toBoolean", "toInteger", "toDecimal", "toString", "toDate", "toDateTime", "toTime", "toQuantity"),
            *("convertsToBoolean", "convertsToInteger", "convertsToDecimal", "convertsToString", "convertsToDate"),
            *("convertsToDateTime", "convertsToTime", "convertsToQuantity", "indexOf", "substring", "upper", "lower"),
            *("replace", "matches", "replaceMatches", "length", "toChars", "split", "join", "trim", "encode", "decode"),
            *(
                "escape",
                "unescape",
                "abs",
                "ceiling",
                "exp",
                "floor",
                "ln",
                "log",
                "power",
                "round",
                "sqrt",
                "truncate",
            ),
            *("lowBoundary", "highBoundary", "precision", "checkModifiers", "htmlChecks", "slice", "comparable"),
            *("elementDefinition", "conformsTo", "matchesFull", "lastIndexOf", "defineVariable", "sort"),
        ),
        _LATER,
    )
    | dict.fromkeys(("memberOf", "subsumes", "subsumedBy"), _TERMINOLOGY)
    | {"resolve": _FETCHING}
)
"""Functions of the standard that are refused, and what to write instead."""
