"""Which FHIR type is built on which other, and the elements that come with being one.

See http://hl7.org/fhir/R5/types.html (and the same page of R4): the table of the standard's own type hierarchy.
"""

from __future__ import annotations

from types import MappingProxyType

from hub.fhir.definitions.records import Element

_SPECIALISED_PRIMITIVES = {
    "code": "string",
    "id": "string",
    "markdown": "string",
    "canonical": "uri",
    "oid": "uri",
    "url": "uri",
    "uuid": "uri",
    "positiveInt": "integer",
    "unsignedInt": "integer",
}
_PLAIN_PRIMITIVES = (
    *("base64Binary", "boolean", "decimal", "integer", "integer64", "string", "uri", "xhtml"),
    *("date", "dateTime", "instant", "time"),
)
PRIMITIVES = frozenset(_SPECIALISED_PRIMITIVES) | frozenset(_PLAIN_PRIMITIVES)
"""The codes of the types whose value is one JSON string, number or boolean."""

_QUANTITIES = ("Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity")
_BACKBONE_TYPES = (
    *("Dosage", "ElementDefinition", "MarketingStatus", "Population"),
    *("ProdCharacteristic", "ProductShelfLife", "SubstanceAmount", "Timing"),
)

BASES = MappingProxyType(
    _SPECIALISED_PRIMITIVES
    | dict.fromkeys(_PLAIN_PRIMITIVES, "Element")
    | dict.fromkeys(_QUANTITIES, "Quantity")
    | dict.fromkeys(_BACKBONE_TYPES, "BackboneElement")
    | {"BackboneElement": "Element", "DomainResource": "Resource"}
)
"""Type -> the type it is built on. Data types that are not named are built on Element."""

_EXTENSIONS = Element(("Extension",), many=True, path="Extension")
COMMON_ELEMENTS = MappingProxyType(
    {
        "Element": {"id": Element(("string",), many=False, path="string"), "extension": _EXTENSIONS},
        "BackboneElement": {"modifierExtension": _EXTENSIONS},
        "Resource": {
            "id": Element(("id",), many=False, path="id"),
            "meta": Element(("Meta",), many=False, path="Meta"),
            "implicitRules": Element(("uri",), many=False, path="uri"),
            "language": Element(("code",), many=False, path="code"),
        },
        "DomainResource": {
            "text": Element(("Narrative",), many=False, path="Narrative"),
            "contained": Element(("Resource",), many=True, path="Resource"),
            "extension": _EXTENSIONS,
            "modifierExtension": _EXTENSIONS,
        },
    }
)
"""The elements of the abstract types; every type has those of the types it is built on."""
