"""Known faults of the published search parameter registries, and what the hub uses instead (S-273).

The tables stay as published, so that each correction can be seen here and dropped when the standard mends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.definitions.records import SearchParameter

_REGISTRY = "http://hl7.org/fhir/SearchParameter/"
_DATE_COMPARATORS = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")

_R5_LOCATION_PERIOD = {
    "type": "date",
    "expression": "Encounter.location.period",
    "components": (),
    "comparators": _DATE_COMPARATORS,
}
"""Published as a composite over ``Encounter.location`` whose first component is a string that no token can match;
R4 and R4B define the date parameter that its name and description promise."""

_REPLACED: Mapping[tuple[FhirVersion, str], Mapping[str, Any]] = MappingProxyType(
    {(FhirVersion.R5, _REGISTRY + "Encounter-location-period"): _R5_LOCATION_PERIOD}
)

_VALUE_DATE_TIME = ("value.as(DateTime)", "value.as(dateTime)")
"""``DateTime`` is the type of FHIRPath literals; no element of FHIR has it."""
_APPOINTMENT_START = (
    "(start | requestedPeriod.start).first()",
    "(Appointment.start | Appointment.requestedPeriod.start).first()",
)
"""The parameter has many bases, and without the type these paths would be asked of all of them."""
_SERIAL_NUMBER = (
    "Device.identifier.where(type='SNO')",
    "Device.identifier.where(type.coding.exists(code='SNO')).value",
)
"""A CodeableConcept never equals a string."""
_REWORDED: Mapping[tuple[FhirVersion, str], tuple[str, str]] = MappingProxyType(
    {
        (FhirVersion.R4, _REGISTRY + "Observation-code-value-date"): _VALUE_DATE_TIME,
        (FhirVersion.R4B, _REGISTRY + "Observation-code-value-date"): _VALUE_DATE_TIME,
        (FhirVersion.R5, _REGISTRY + "clinical-date"): _APPOINTMENT_START,
        (FhirVersion.R5, _REGISTRY + "Device-serial-number"): _SERIAL_NUMBER,
    }
)
"""Part of an expression as published, and what stands there instead."""

_COMPONENTS = {
    "Observation-value-string": "string",
    "DeviceDefinition-version": "string",
    "Ingredient-numerator": "quantity",
    "Ingredient-denominator": "quantity",
    "ResearchStudy-state": "token",
    "ResearchStudy-actual": "token",
    "ResearchStudy-period": "date",
    "TestScript-artifact": "uri",
    "TestScript-conformance": "token",
    "TestScript-phase": "token",
}
"""Composites of R5 name these as definitions of their components, but no registry has them. The type is what the
element at the component's expression can only be searched as."""


def missing_component(version: FhirVersion, url: str) -> SearchParameter | None:
    """What stands for a parameter that composites refer to and the registry lacks; None when there is no such gap."""
    code = url.removeprefix(_REGISTRY)
    if version is not FhirVersion.R5 or code not in _COMPONENTS or code == url:
        return None
    return SearchParameter(code, (code.partition("-")[0],), _COMPONENTS[code], "", (), url)


def corrected(version: FhirVersion, published: SearchParameter) -> SearchParameter:
    """The search parameter without the registry's known faults."""
    key = (version, published.url)
    if key in _REPLACED:
        return replace(published, **_REPLACED[key])
    if key in _REWORDED:
        fault, remedy = _REWORDED[key]
        components = tuple((url, expression.replace(fault, remedy)) for url, expression in published.components)
        return replace(published, expression=published.expression.replace(fault, remedy), components=components)
    return published
