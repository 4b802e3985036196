"""FHIR messages: a notification Bundle carried in a Bundle of type message (S-177…S-179).

    entry[0]   MessageHeader; its focus is entry[1]
    entry[1]   the complete notification Bundle, as every other channel sends it

A repeat keeps MessageHeader.id and has a new Bundle.id: so FHIR messaging tells a repeat from a new message. Entries
have neither request nor response (bdl-3); those of the Bundle inside do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from hub.domain.versions import FhirVersion
from hub.fhir.json import write_instant, write_json

DEFAULT_EVENT = "http://example.org/fhir/message-events|subscription-notification"
"""The coding of HL7's own examples; the standard defines none (S-178)."""


@dataclass(frozen=True, slots=True)
class MessageParts:
    """What makes a message of a payload.

    ``event`` is ``system|code``. ``source`` is the hub's base, ``destination`` that of the receiver. ``payload`` is the
    JSON of what the message is about, found at ``full_url``; b"" for a message about nothing more.
    """

    bundle_id: str
    header_id: str
    timestamp: datetime
    event: str
    source: str
    destination: str
    full_url: str = ""
    payload: bytes = b""


def message_bundle(parts: MessageParts, version: FhirVersion) -> bytes:
    """The Bundle, in the shape of ``version``: R5 names its endpoints ``endpointUrl``."""
    entries: list[dict[str, Any]] = [
        {"fullUrl": f"urn:uuid:{parts.header_id}", "resource": _header(parts, version)},
    ]
    if parts.payload:
        entries.append({"fullUrl": parts.full_url, "resource": orjson.Fragment(parts.payload)})
    return write_json(
        {
            "resourceType": "Bundle",
            "id": parts.bundle_id,
            "type": "message",
            "timestamp": write_instant(parts.timestamp),
            "entry": entries,
        }
    )


def _header(parts: MessageParts, version: FhirVersion) -> dict[str, Any]:
    system, _, code = parts.event.rpartition("|")
    endpoint = "endpointUrl" if version is FhirVersion.R5 else "endpoint"
    header: dict[str, Any] = {
        "resourceType": "MessageHeader",
        "id": parts.header_id,
        "eventCoding": {"system": system, "code": code},
        "destination": [{endpoint: parts.destination}],
        "source": {endpoint: parts.source},
    }
    return header | ({"focus": [{"reference": parts.full_url}]} if parts.payload else {})


def response_code(body: bytes) -> str:
    """MessageHeader.response.code of a message that answers: ``ok``, ``transient-error``, ``fatal-error``; "" for none.

    What cannot be read says nothing: the HTTP status stands.
    """
    try:
        answer = orjson.loads(body)
        header = answer["entry"][0]["resource"] if answer["type"] == "message" else {}
        code = header["response"]["code"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        return ""
    return code if isinstance(code, str) else ""
