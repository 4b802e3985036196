"""A SubscriptionTopic written in R5 terms, shown in the shape of another version (S-020)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hub.domain.versions import FhirVersion

_R5_ONLY = ("name", "versionAlgorithmString", "versionAlgorithmCoding", "copyrightLabel")


def in_shape_of(version: FhirVersion, resource: Mapping[str, Any]) -> dict[str, Any]:
    """``resource`` (R5 JSON) as ``version`` writes it. R4B knows no comparators: they stand among the modifiers."""
    shaped = copy.deepcopy(dict(resource))
    if version is FhirVersion.R5:
        return shaped
    for name in _R5_ONLY:
        shaped.pop(name, None)
    for item in shaped.get("canFilterBy", ()):
        listed = [*item.pop("comparator", ()), *item.get("modifier", ())]
        if listed:
            item["modifier"] = listed
    return shaped
