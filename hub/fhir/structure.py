"""Is a Subscription or SubscriptionTopic built as its version defines it? Asked of fhir.resources.

The models are loaded on first use (they cost half a second) and only check: they know no code lists, turn ``"60"``
into 60 and rewrite numbers and instants, so nothing they produce is ever sent on (HOUSE decision 3).
R4 resources are checked with the R4B models, which have the same shape.
"""

from __future__ import annotations

import copy
from functools import cache
from importlib import import_module

from pydantic import BaseModel, ValidationError

from hub.domain.versions import FhirVersion
from hub.errors import Issue
from hub.fhir.definitions import definitions
from hub.fhir.nearest import did_you_mean
from hub.fhir.reading import Json

_PACKAGE = {
    FhirVersion.R4: "fhir.resources.R4B",
    FhirVersion.R4B: "fhir.resources.R4B",
    FhirVersion.R5: "fhir.resources",
}
_UNKNOWN_ELEMENT = "extra_forbidden"
_IN_R6 = {
    "SubscriptionTopic.trigger": (
        "This is the shape of the FHIR R6 ballot, which no base has: write resourceTrigger and eventTrigger, or put "
        "the topic as a file into HUB_TOPICS_DIR."
    )
}
"""What to say instead of "no such element" where a newer version has it (S-069)."""


@cache
def model(resource_type: str, version: FhirVersion) -> type[BaseModel]:
    """The fhir.resources class of one of the few types that the hub checks."""
    module = import_module(f"{_PACKAGE[version]}.{resource_type.lower()}")
    found: type[BaseModel] = getattr(module, resource_type)
    return found


def structural_issues(resource: Json, version: FhirVersion) -> list[Issue]:
    """Every element of ``resource`` that is unknown, missing or of the wrong type, as issues with ``expression``.

    Contained resources are not looked into: nothing the hub does depends on them.
    """
    root = str(resource["resourceType"])
    elements = {name: value for name, value in resource.items() if name != "contained"}
    try:
        return _faults(root, elements, version)
    except Exception:  # noqa: BLE001 - the models' validators fall over some values instead of refusing them
        culprit = next((name for name in elements if _passes_without(name, root, elements, version)), "")
        path = f"{root}.{culprit}" if culprit else root
        return [Issue("structure", "An element here has a value of the wrong type: compare with its definition.", path)]


def _faults(root: str, elements: Json, version: FhirVersion) -> list[Issue]:
    try:
        model(root, version).model_validate(copy.deepcopy(elements))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return [_issue(root, fault["loc"], fault["type"], fault["msg"], version) for fault in faults]
    return []


def _passes_without(name: str, root: str, elements: Json, version: FhirVersion) -> bool:
    try:
        _faults(root, {other: value for other, value in elements.items() if other != name}, version)
    except Exception:  # noqa: BLE001 - as above: it is another element that they fall over
        return False
    return True


def _issue(root: str, location: tuple[int | str, ...], kind: str, message: str, version: FhirVersion) -> Issue:
    path = root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    if kind == _UNKNOWN_ELEMENT:
        said = f"{root} of FHIR {version.number} has no such element: leave it out." + _meant(root, location, version)
        return Issue("structure", _IN_R6.get(path, said), path)
    if "missing" in kind:
        return Issue("required", "This element is required: give it a value.", path)
    return Issue("structure", message.removeprefix("Value error, "), path)


def _meant(root: str, location: tuple[int | str, ...], version: FhirVersion) -> str:
    """The element of the same owner that was probably meant, for the last name in ``location``."""
    *owners, name = [step for step in location if isinstance(step, str)]
    names = definitions(version).element_names(".".join([root, *owners]))
    return did_you_mean(name, names)
