"""Patches as they stand in a Bundle: a Binary that holds a JSON Patch, or the Parameters of a FHIRPath Patch.

http://hl7.org/fhir/R5/http.html#patch, the same in R4 and R4B: "in batch and transaction interactions".
"""

from __future__ import annotations

import base64
from typing import Any

from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import Definitions
from hub.fhir.patch.fhirpath_patch import apply_fhirpath_patch
from hub.fhir.patch.json_patch import apply_json_patch, read_json_patch
from hub.fhir.patch.rules import Allowance
from hub.fhir.reading import Json

JSON_PATCH = "application/json-patch+json"


def apply_bundled_patch(resource: Json, patch: Json, facts: Definitions, allowance: Allowance) -> dict[str, Any]:
    """``resource`` after ``patch``, the resource of an entry whose method is PATCH; neither argument is changed.

    Raises Malformed for what is no patch, Unprocessable for a language that is not read and for what cannot be applied.
    """
    match patch.get("resourceType"):
        case "Binary":
            return apply_json_patch(resource, read_json_patch(_json_patch(patch)), allowance)
        case "Parameters":
            return apply_fhirpath_patch(resource, patch, facts, allowance)
    raise Malformed(f"A patch is a Binary with a {JSON_PATCH}, or the Parameters of a FHIRPath Patch.")


def _json_patch(binary: Json) -> bytes:
    """The bytes in a Binary. White space between the digits is left out, as FHIR allows it."""
    content_type, data = binary.get("contentType"), binary.get("data")
    if not isinstance(content_type, str) or content_type.partition(";")[0].strip().lower() != JSON_PATCH:
        raise Unprocessable(
            f"The contentType of the Binary is {JSON_PATCH}, others are not read.", code="not-supported"
        )
    if not isinstance(data, str):
        raise Malformed("The Binary holds the patch as data, in base64.", code="required")
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except ValueError:
        raise Malformed("The data of the Binary is no base64.", code="value") from None
