"""The input of ``$explain``: a change by its name, or states that are handed in; what to judge it for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.domain.change import ChangeId, ChangeName, Interaction, Resource, ResourceChange, ResourceKey
from hub.domain.versions import FhirVersion
from hub.errors import Malformed
from hub.fhir.reading import Json, children, require_resource_type, text

NAMES = ("change", "current", "previous", "interaction", "resource", "subscription", "topic")
_OF_THE_ANSWER = frozenset({"_format", "_pretty"})
_CHANGE_ID = re.compile(r"\d{1,15}-\d{1,15}")
_VERSION = re.compile(r"(?:.*/)?([A-Z][A-Za-z]*)/([A-Za-z0-9.-]{1,64})(?:/_history/([1-9]\d{0,14}))?")
_INTERACTIONS = {each.value: each for each in (Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE)}


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """Exactly one of ``change`` and ``states`` is given. ``states`` are (interaction, current, previous).

    ``subscription`` is one that need not be stored, ``topic`` a topic resource or a canonical; None when not given.
    """

    change: ChangeName | None = None
    states: tuple[Interaction, Resource | None, Resource | None] | None = None
    subscription: dict[str, Any] | None = None
    topic: dict[str, Any] | str | None = None

    def given_change(self, tenant: str, base: FhirVersion, at: ChangeId) -> ResourceChange:
        """The states as a change on ``base``, as if it came ``at`` this place; without previous an update's is not
        known.
        """
        assert self.states is not None
        interaction, current, previous = self.states
        state = current if current is not None else previous
        assert state is not None
        key = ResourceKey(tenant, base, str(state.get("resourceType", "")), str(state.get("id", "")))
        known = interaction is Interaction.CREATE or previous is not None
        return ResourceChange(at, key, interaction, current, previous, known)


def read_explain_request(query: Iterable[tuple[str, str]], body: Json | None) -> ExplainRequest:
    """From the query (``change`` only) or a POSTed Parameters. Raises Malformed naming the parameter."""
    given: dict[str, Any] = {}
    for name, value in query:
        if name == "change":
            given[name] = value
        elif name not in _OF_THE_ANSWER:
            raise Malformed(f"{name!r} is no parameter in the URL here: write change=Type/id/_history/version, or POST")
    for name, value in _posted(body) if body is not None else ():
        if given.setdefault(name, value) is not value:
            raise Malformed(f"{name} stands more than once: give it once.", expression="Parameters.parameter")
    states = _states(given)
    change = _change_name(given["change"]) if "change" in given else None
    if (change is None) is (states is None):
        raise Malformed(
            "Say what is to be explained: change (Type/id/_history/version, or the id of a change), or the states: "
            "resource for a create, current and previous for an update, previous alone for a delete.",
            expression="Parameters.parameter",
        )
    return ExplainRequest(change, states, given.get("subscription"), given.get("topic"))


def _posted(body: Json) -> Iterable[tuple[str, Any]]:
    require_resource_type(body, "Parameters")
    for index, part in enumerate(children(body, "parameter")):
        name, where = text(part, "name"), f"Parameters.parameter[{index}]"
        if name not in NAMES:
            raise Malformed(f"{name!r} is no parameter of $explain: use {', '.join(NAMES)}.", expression=where)
        yield name, _value(name, part, where)


def _value(name: str, part: Json, where: str) -> Any:
    resource = part.get("resource")
    if name in ("current", "previous", "resource", "subscription") or (name == "topic" and resource is not None):
        if not isinstance(resource, Mapping) or not isinstance(resource.get("resourceType"), str):
            raise Malformed(f"{name} carries a resource, in its element resource.", expression=where)
        return dict(resource)
    kinds = {"change": ("valueString",), "interaction": ("valueCode",), "topic": ("valueCanonical", "valueUri")}[name]
    found = next((part[kind] for kind in kinds if isinstance(part.get(kind), str)), None)
    if found is None:
        raise Malformed(f"{name} carries a {kinds[0]}.", expression=where)
    return found


def _states(given: Mapping[str, Any]) -> tuple[Interaction, Resource | None, Resource | None] | None:
    current, previous = given.get("current", given.get("resource")), given.get("previous")
    if "current" in given and "resource" in given:
        raise Malformed("resource and current are the same: give one.", expression="Parameters.parameter")
    if current is None and previous is None:
        return None
    natural = Interaction.DELETE if current is None else Interaction.CREATE if previous is None else Interaction.UPDATE
    code = given.get("interaction", natural.value)
    if code not in _INTERACTIONS:
        raise Malformed(f"interaction is one of {', '.join(_INTERACTIONS)}.", expression="Parameters.parameter")
    interaction = _INTERACTIONS[code]
    fits = {
        Interaction.CREATE: current is not None and previous is None,
        Interaction.UPDATE: current is not None,
        Interaction.DELETE: current is None,
    }[interaction]
    if not fits:
        raise Malformed(
            "a create has current alone, an update current and, if known, previous, a delete previous alone.",
            expression="Parameters.parameter",
        )
    return interaction, current, previous


def _change_name(written: str) -> ChangeName:
    if _CHANGE_ID.fullmatch(written):
        return ChangeName(ChangeId.parse(written))
    found = _VERSION.fullmatch(written)
    if not found:
        raise Malformed(
            "change is Type/id/_history/version, Type/id for the present version, or the id of a change such as "
            "1763740000000-0.",
            expression="Parameters.parameter",
        )
    resource_type, identity, version = found.groups()
    return ChangeName(None, resource_type, identity, int(version or 0))
