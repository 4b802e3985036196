"""Which parameters, modifiers and comparators can be decided exactly on single changes; all others are refused here.

Every refusal says what to write instead (HOUSE decision 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import Definitions, SearchParameter
from hub.matching.search.composite import components_of
from hub.matching.search.media_type import holds_media_types
from hub.matching.search.syntax import COMPARATORS

MODIFIERS: Mapping[str, frozenset[str]] = {
    "token": frozenset({"not", "missing", "of-type", "in", "not-in", "below"}),
    "reference": frozenset({"missing", "identifier"}),
    "string": frozenset({"missing", "exact", "contains"}),
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
    "uri": frozenset({"missing", "above", "below", "contains"}),
    "composite": frozenset(),
}
"""What is decided exactly, by type of parameter. A reference also takes ``:[Type]``; ``:below`` on a token works on
media types only, ``:contains`` on a uri in R5 only (S-251, S-257)."""

ORDERED_TYPES = frozenset({"date", "number", "quantity"})
"""Only these know comparators (S-240)."""

MOST_TARGET_TYPES = 20
"""A chain without a type is compiled for each type that its reference may have."""

_NOT_EVALUATED = {
    "_has": "write the parameters of {type} itself, or a topic about the resource that refers to it",
    "_in": "list the references of the members with commas",
    "_list": "list the ids of the members with _id and commas",
    "_text": "write the string or token parameters of {type}",
    "_content": "write the string or token parameters of {type}",
    "_filter": "write parameter=value, joined by & (and) and commas (or)",
    "_query": "write parameter=value",
    "_type": "name the types as the resources of the topic, or in the resourceType of a filter",
}
_NO_HIERARCHY = "a terminology server knows which codes lie above or below it: list them with commas, or use :in"
_INSTEAD = {
    ("token", "above"): _NO_HIERARCHY,
    ("token", "below"): _NO_HIERARCHY,
    ("token", "text"): "displays differ from sender to sender: write the code",
    ("token", "code-text"): "write whole codes with commas",
    ("reference", "above"): "list the references with commas",
    ("reference", "below"): "list the references with commas",
    ("reference", "in"): "who is a member stands in another resource: list the references with commas",
    ("reference", "not-in"): "who is a member stands in another resource: name those you want with commas",
    ("string", "text"): "write the words with :contains",
    ("composite", "missing"): "ask for :missing of one of its components",
}


@dataclass(frozen=True, slots=True)
class Chained:
    """``reference.parameter``; ``ends`` has the parameter for each type of target that knows it, all of one type."""

    reference: SearchParameter
    ends: tuple[tuple[str, SearchParameter], ...]

    @property
    def end(self) -> SearchParameter:
        return self.ends[0][1]


Known = SearchParameter | Chained


def resolve_parameter(resource_type: str, parameter: Known | str, facts: Definitions) -> Known:
    """The parameter, if it can be decided; raises Unprocessable otherwise."""
    if isinstance(parameter, Chained):
        return parameter
    if isinstance(parameter, str) and "." in parameter and not parameter.startswith("_has"):
        return _chained(resource_type, parameter, facts)
    return _single(resource_type, parameter, facts)


def ordered_parameter(parameter: Known) -> SearchParameter:
    """The parameter that the value belongs to: of a chain, the last one."""
    return parameter.end if isinstance(parameter, Chained) else parameter


def without_types(name: str) -> str:
    """``patient:Patient.birthdate`` as a topic names it, ``patient.birthdate`` (S-047)."""
    head, dot, rest = name.partition(".")
    return head.partition(":")[0] + dot + rest if dot else name


def _single(resource_type: str, parameter: SearchParameter | str, facts: Definitions) -> SearchParameter:
    code = parameter if isinstance(parameter, str) else parameter.code
    if code in _NOT_EVALUATED:
        instead = _NOT_EVALUATED[code].format(type=resource_type)
        raise Unprocessable(f"'{code}' needs more than the changed resource; {instead}.", code="not-supported")
    known = facts.search_parameter(resource_type, parameter) if isinstance(parameter, str) else parameter
    if known is None:
        raise Unprocessable(
            f"{resource_type} has no search parameter '{code}' in FHIR {facts.version.number}; "
            "write one that the standard defines for this type.",
            code="not-supported",
        )
    if known.type not in MODIFIERS or not known.expression:
        raise Unprocessable(
            f"'{known.code}' is a {known.type} parameter, which is not evaluated on single changes; "
            "write token, reference, string, date, number, quantity, uri or composite parameters.",
            code="not-supported",
        )
    if known.type == "composite":
        components_of(known, facts)
    return known


def _chained(resource_type: str, name: str, facts: Definitions) -> Chained:
    head, _, rest = name.partition(".")
    if "." in rest:
        raise Unprocessable(f"'{name}' takes more than one step; write reference.parameter.", code="not-supported")
    code, colon, target = head.partition(":")
    reference = _single(resource_type, code, facts)
    if reference.type != "reference":
        raise Unprocessable(f"'{code}' is a {reference.type} and leads nowhere; write a reference before the dot.")
    types = _target_types(reference, target, facts) if colon else _possible_types(reference, name)
    ends = tuple((each, found) for each in types if (found := facts.search_parameter(each, rest)))
    if not ends:
        listed = " or ".join(types)
        raise Unprocessable(f"{listed} has no search parameter '{rest}'; write one that it has.", code="not-supported")
    if len({found.type for _, found in ends}) > 1:
        raise Unprocessable(f"'{rest}' is not the same in {', '.join(types)}; write {code}:[Type].{rest}.")
    return Chained(reference, tuple((each, _single(each, found, facts)) for each, found in ends))


def _target_types(reference: SearchParameter, target: str, facts: Definitions) -> tuple[str, ...]:
    if target not in facts.resource_types:
        raise Unprocessable(f"'{target}' is no resource type of FHIR {facts.version.number}; write one.")
    allowed = set(reference.target) - {"Resource"}
    if allowed and target not in allowed:
        raise Unprocessable(f"'{reference.code}' never refers to {target}; write {' or '.join(sorted(allowed)[:10])}.")
    return (target,)


def _possible_types(reference: SearchParameter, name: str) -> tuple[str, ...]:
    if not reference.target or "Resource" in reference.target or len(reference.target) > MOST_TARGET_TYPES:
        code, _, rest = name.partition(".")
        raise Unprocessable(f"'{code}' may refer to many types; write the one you mean: {code}:[Type].{rest}.")
    return tuple(sorted(reference.target))


def check_modifier(parameter: Known, modifier: str, facts: Definitions) -> None:
    """Raises Unprocessable unless ``modifier`` ("" for none) can be decided for this parameter."""
    known = ordered_parameter(parameter)
    allowed = modifiers_of(known, facts)
    if modifier in allowed or not modifier:
        return
    if known.type == "reference" and modifier in facts.resource_types:
        return
    written = ", ".join(f":{name}" for name in sorted(allowed)) + (", :[Type]" if known.type == "reference" else "")
    choice = f"write none or {written}" if written else "write none"
    instead = _INSTEAD.get((known.type, modifier), choice)
    raise Unprocessable(
        f"':{modifier}' on '{known.code}' ({known.type}) cannot be decided here; {instead}.", code="not-supported"
    )


def modifiers_of(parameter: SearchParameter, facts: Definitions) -> frozenset[str]:
    """Those that are decided for this very parameter; a reference also takes ``:[Type]``."""
    allowed = MODIFIERS[parameter.type]
    if parameter.type == "token" and not holds_media_types(parameter):
        return allowed - {"below"}
    if parameter.type == "uri" and facts.version is not FhirVersion.R5:
        return allowed - {"contains"}
    return allowed


def check_comparator(parameter: Known, modifier: str, comparator: str) -> None:
    """Raises Malformed or Unprocessable unless ``comparator`` ("" for none) has a meaning for this parameter."""
    if not comparator:
        return
    known = ordered_parameter(parameter)
    if modifier:
        raise Unprocessable(f"'{known.code}' has both a modifier and a comparator; write one of them (scr-1).")
    if comparator not in COMPARATORS:
        raise Malformed(f"'{comparator}' is not a comparator; write one of {', '.join(sorted(COMPARATORS))}.")
    if known.type not in ORDERED_TYPES and comparator != "eq":
        raise Unprocessable(
            f"'{known.code}' is a {known.type} parameter: {comparator} has no meaning there; leave it out."
        )
