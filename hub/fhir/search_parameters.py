"""SearchParameter resources that clients bring along, read into the record that all parameters have (S-038, S-046).

Only their form is judged here; whether the expression can be evaluated is for ``hub.matching`` to say. What would make
a parameter mean something else than its expression (phonetic matching, constraints) is refused.
"""

from __future__ import annotations

import re

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import SearchParameter, definitions
from hub.fhir.reading import Json, Problems, children, refuse_modifiers, require_resource_type, text, texts
from hub.fhir.structure import structural_issues
from hub.fhir.topics import CANONICAL_URL, STATUSES

ROOT = "SearchParameter"
TYPES = ("number", "date", "string", "token", "reference", "composite", "quantity", "uri")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_ABSTRACT = ("Resource", "DomainResource")


def read_search_parameter(resource: Json, version: FhirVersion) -> SearchParameter:
    """Raises Malformed (not built as the version says) or Unprocessable (well built, but unusable), all at once."""
    require_resource_type(resource, ROOT)
    problems = Problems(structural_issues(resource, version))
    refuse_modifiers(resource, ROOT, problems)
    _check_words(resource, problems)
    _check_types(resource, version, problems)
    _check_meaning(resource, problems)
    problems.raise_if_any()
    parts = ((text(each, "definition"), text(each, "expression")) for each in children(resource, "component"))
    return SearchParameter(
        code=text(resource, "code"),
        base=tuple(texts(resource, "base")),
        type=text(resource, "type"),
        expression=text(resource, "expression"),
        target=tuple(texts(resource, "target")),
        url=text(resource, "url"),
        components=tuple(parts),
    )


def is_in_use_here(resource: Json) -> bool:
    """A retired one stays to be read, but means nothing any more."""
    return text(resource, "status") != "retired"


def _check_words(resource: Json, problems: Problems) -> None:
    if not CANONICAL_URL.fullmatch(text(resource, "url")):
        problems.add("value", f"{ROOT}.url", "Give its canonical URL, http(s):// or urn:, without |version.")
    if text(resource, "status") not in STATUSES:
        problems.add("code-invalid", f"{ROOT}.status", f"Use one of {', '.join(STATUSES)}.")
    if not _CODE.fullmatch(text(resource, "code")):
        said = "Use letters, digits and '-', a letter first; names that begin with _ are the standard's."
        problems.add("value", f"{ROOT}.code", said)
    if text(resource, "type") not in TYPES:
        problems.add("not-supported", f"{ROOT}.type", f"Use one of {', '.join(TYPES)}.")


def _check_types(resource: Json, version: FhirVersion, problems: Problems) -> None:
    known = definitions(version).resource_types
    bases = texts(resource, "base")
    if not bases:
        problems.add("required", f"{ROOT}.base", "Name the resource types that it is for.")
    for element, names, further in (("base", bases, _ABSTRACT), ("target", texts(resource, "target"), ())):
        for place, name in enumerate(names):
            if name not in known and name not in further:
                said = f"FHIR {version.number} has no resource type {name}: write one that it has."
                problems.add("code-invalid", f"{ROOT}.{element}[{place}]", said)


def _check_meaning(resource: Json, problems: Problems) -> None:
    if not text(resource, "expression"):
        problems.add("required", f"{ROOT}.expression", "Give the FHIRPath expression of what it looks at.")
    for element in ("processingMode", "xpathUsage"):
        if text(resource, element) not in ("", "normal"):
            problems.add("not-supported", f"{ROOT}.{element}", "Only normal is evaluated: leave it out.")
    if text(resource, "constraint"):
        problems.add("not-supported", f"{ROOT}.constraint", "Constraints are not evaluated: put them into expression.")
    parts = children(resource, "component")
    if bool(parts) is not (text(resource, "type") == "composite"):
        problems.add("business-rule", f"{ROOT}.component", "A composite has components, no other type has.")
    for place, part in enumerate(parts):
        for name in ("definition", "expression"):
            if not text(part, name):
                problems.add("required", f"{ROOT}.component[{place}].{name}", f"Give the {name} of the component.")
