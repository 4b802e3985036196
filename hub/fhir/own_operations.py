"""OperationDefinitions of the operations that are the hub's own: ``$load``, ``$process-change`` (ruling 13) and
``$external-event`` (S-044)."""

from __future__ import annotations

from typing import Any

OWN_OPERATIONS = {
    "load": "hub-load",
    "process-change": "hub-process-change",
    "external-event": "hub-external-event",
}
"""Operation code -> id of its definition."""
_IDS = {identity: code for code, identity in OWN_OPERATIONS.items()}

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
}


def definition_url(base_url: str, operation: str) -> str:
    """The canonical of one of the hub's own operations on the base at ``base_url``."""
    return f"{base_url}/OperationDefinition/{OWN_OPERATIONS[operation]}"


def operation_definition(identity: str, base_url: str) -> dict[str, Any] | None:
    """The OperationDefinition with this id, without meta, alike in every version; None for no operation of the hub."""
    code = _IDS.get(identity)
    if code is None:
        return None
    return {
        "resourceType": "OperationDefinition",
        "id": identity,
        "url": definition_url(base_url, code),
        "version": "1.0.0",
        "name": "".join(part.title() for part in identity.split("-")),
        "title": f"${code}",
        "status": "active",
        "kind": "operation",
        "description": _DESCRIPTIONS[code],
        "affectsState": True,
        "code": code,
        "system": True,
        "type": False,
        "instance": False,
        "parameter": _PARAMETERS[code],
    }


def _parameter(name: str, use: str, least: int, type_: str, documentation: str, most: str = "1") -> dict[str, Any]:
    return {"name": name, "use": use, "min": least, "max": most, "documentation": documentation, "type": type_}


_LOAD = [
    _parameter("bundle", "in", 1, "Bundle", "The body itself: a Bundle whose entries are the resources."),
    _parameter("loaded", "out", 1, "integer", "How many resources were stored."),
]
_PROCESS_CHANGE = [
    _parameter("interaction", "in", 1, "code", "create, update or delete."),
    _parameter("current", "in", 0, "Resource", "The state after the change; absent for a delete."),
    _parameter("previous", "in", 0, "Resource", "The state before the change; absent for a create."),
    _parameter("when", "in", 0, "instant", "The moment at which it happened; the notification's timestamp."),
    _parameter("return", "out", 0, "Resource", "The resource as it is held now; nothing after a delete."),
]
_EXTERNAL_EVENT = [
    _parameter("event", "in", 1, "CodeableConcept", "What happened, by its codings; a Coding is taken too.", "*"),
    _parameter(
        "focus", "in", 1, "Reference", "The resource it is about, Type/id; or the resource itself, if the hub lacks it."
    ),
    _parameter("context", "in", 0, "Reference", "Further resources that go along, Type/id.", "*"),
    _parameter("when", "in", 0, "instant", "The moment at which it happened; the notification's timestamp."),
    _parameter("change", "out", 1, "string", "The id under which the event was accepted."),
]
_PARAMETERS = {"load": _LOAD, "process-change": _PROCESS_CHANGE, "external-event": _EXTERNAL_EVENT}
