"""Patches: JSON Patch (RFC 6902) and FHIRPath Patch on the parsed JSON of a resource. Nothing is changed in place.

The result is a new resource whose identity is the old one's. What it means for versions, rights and Subscriptions is
decided where it is stored, as for any update (PATCH counts as update, S-031).
"""

from __future__ import annotations

from hub.fhir.patch.bundled import JSON_PATCH, apply_bundled_patch
from hub.fhir.patch.fhirpath_patch import apply_fhirpath_patch
from hub.fhir.patch.json_patch import Operation, apply_json_patch, read_json_patch
from hub.fhir.patch.rules import Allowance

__all__ = [
    "JSON_PATCH",
    "Allowance",
    "Operation",
    "apply_bundled_patch",
    "apply_fhirpath_patch",
    "apply_json_patch",
    "read_json_patch",
]
