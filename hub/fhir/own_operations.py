"""OperationDefinitions of the operations that are the hub's own: ``$load``, ``$process-change`` (ruling 13),
``$external-event`` (S-044), ``$explain``, and those of ``life_operations``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.life_operations import LIFE_OPERATIONS, parameter
from hub.fhir.topic_forms import topic_type

OWN_OPERATIONS = {
    "load": "hub-load",
    "process-change": "hub-process-change",
    "external-event": "hub-external-event",
    "stop": "hub-stop",
    "start": "hub-start",
}
"""Operation code -> id of its definition."""
EXPLAIN = "explain"
"""On Subscription, and on topics (on R4 these are Basic)."""
_IDS = {identity: code for code, identity in OWN_OPERATIONS.items()} | {
    f"hub-{code}": code for code in (EXPLAIN, *LIFE_OPERATIONS)
}

_DESCRIPTIONS = {
    "load": (
        "Stores resources as the states to start from, without events: nobody is notified, and the first real change "
        "of each is judged against the state that was loaded. The body is a Bundle, or one resource a line as "
        "application/fhir+ndjson. It can be repeated."
    ),
    "process-change": (
        "Takes one change together with the state before it, from a system that knows both, and judges it as if it had "
        "been made here."
    ),
    "external-event": (
        "Tells of something that happened elsewhere and is about a resource, such as an HL7 v2 message that came. "
        "Topics with an eventTrigger that has one of its codings fire; nothing is stored but the event."
    ),
    "stop": (
        "Sends nothing more about a topic of this base, or to a host, until it is started again. Events are numbered "
        "and wait; attempts that are under way may still arrive. It holds for Subscriptions that come later, too. "
        "Topic or endpoint is given, not both."
    ),
    "start": "Takes back $stop: what waits goes out, in order. Repeating it does no harm.",
    EXPLAIN: (
        "Tells why a change is, or is not, an event for a Subscription, or why a topic fires or not: every trigger, "
        "criterion and filter with what it looked at and what it said. With Accept text/plain as a text for people."
    ),
}


def definition_url(base_url: str, operation: str) -> str:
    """The canonical of one of the hub's own operations on the base at ``base_url``."""
    return f"{base_url}/OperationDefinition/{OWN_OPERATIONS.get(operation, f'hub-{operation}')}"


def operation_definition(identity: str, base_url: str, version: FhirVersion) -> dict[str, Any] | None:
    """The OperationDefinition with this id, without meta; None for no operation of the hub."""
    code = _IDS.get(identity)
    if code is None:
        return None
    life = LIFE_OPERATIONS.get(code)
    resources = ["Subscription"] if life else ["Subscription", topic_type(version)] if code == EXPLAIN else []
    return {
        "resourceType": "OperationDefinition",
        "id": identity,
        "url": definition_url(base_url, code),
        "version": "1.0.0",
        "name": "".join(part.title() for part in identity.split("-")),
        "title": f"${code}",
        "status": "active",
        "kind": "operation",
        "description": life.description if life else _DESCRIPTIONS[code],
        "affectsState": life.affects_state if life else code != EXPLAIN,
        "code": code,
        **({"resource": resources} if resources else {}),
        "system": not resources,
        "type": code == EXPLAIN,
        "instance": bool(resources),
        **_written_parameters(life.parameters if life else _PARAMETERS[code]),
    }


def _written_parameters(parameters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """FHIR has no empty lists."""
    return {"parameter": list(parameters)} if parameters else {}


_LOAD = [
    parameter("bundle", "in", 1, "Bundle", "The body itself: a Bundle whose entries are the resources."),
    parameter("loaded", "out", 1, "integer", "How many resources were stored."),
]
_PROCESS_CHANGE = [
    parameter("interaction", "in", 1, "code", "create, update or delete."),
    parameter("current", "in", 0, "Resource", "The state after the change; absent for a delete."),
    parameter("previous", "in", 0, "Resource", "The state before the change; absent for a create."),
    parameter("when", "in", 0, "instant", "The moment at which it happened; the notification's timestamp."),
    parameter("return", "out", 0, "Resource", "The resource as it is held now; nothing after a delete."),
]
_EXTERNAL_EVENT = [
    parameter("event", "in", 1, "CodeableConcept", "What happened, by its codings; a Coding is taken too.", "*"),
    parameter(
        "focus", "in", 1, "Reference", "The resource it is about, Type/id; or the resource itself, if the hub lacks it."
    ),
    parameter("context", "in", 0, "Reference", "Further resources that go along, Type/id.", "*"),
    parameter("when", "in", 0, "instant", "The moment at which it happened; the notification's timestamp."),
    parameter("change", "out", 1, "string", "The id under which the event was accepted."),
]
_EXPLAIN = [
    parameter("change", "in", 0, "string", "Type/id/_history/version, Type/id, or the id of a change that is held."),
    parameter("resource", "in", 0, "Resource", "Instead of a change: the state of a create."),
    parameter("current", "in", 0, "Resource", "Instead of a change: the state after an update."),
    parameter("previous", "in", 0, "Resource", "The state before an update, or the last one before a delete."),
    parameter("interaction", "in", 0, "code", "create, update or delete, when the states do not say it."),
    parameter("subscription", "in", 0, "Resource", "On the type Subscription: one that need not be stored."),
    parameter("topic", "in", 0, "Resource", "On the type of topics: one that need not be stored; or its canonical."),
    parameter("answer", "out", 1, "code", "event, no-trigger, filter-said-no, evaluation-failed and others."),
    parameter("text", "out", 1, "string", "The same in words."),
    parameter("change", "out", 1, "string", "What was judged."),
    parameter("interaction", "out", 1, "code", "What was done to the resource."),
    parameter("because", "out", 0, "Element", "The first clause that said no."),
    parameter("event", "out", 0, "Element", "Number, delivery and attempts of the event."),
    parameter("finding", "out", 0, "Element", "The tree of decisions: of the topic, of the filters.", "*"),
    parameter("note", "out", 0, "string", "What else matters, in words.", "*"),
]
_STOP = [
    parameter("topic", "in", 0, "uri", "The canonical of a topic; all its versions on this base are meant."),
    parameter("endpoint", "in", 0, "string", "The name of a host, or the domain of mail addresses, on all bases."),
    parameter("concerned", "out", 1, "integer", "How many Subscriptions were held back, or let go."),
    parameter("stop", "out", 0, "Element", "What is stopped now: topic or endpoint, since.", "*"),
]
_PARAMETERS = {
    "stop": _STOP,
    "start": _STOP,
    EXPLAIN: _EXPLAIN,
    "load": _LOAD,
    "process-change": _PROCESS_CHANGE,
    "external-event": _EXTERNAL_EVENT,
}
