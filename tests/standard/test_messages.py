"""FHIR messages compared with golden Bundles (S-177…S-179, the MessageHeader of each version).

The files were written by hand, without a look at what the code writes: the header from the MessageHeader pages
(``source.endpoint`` in R4 and R4B, ``source.endpointUrl`` in R5) and from HL7's notification-message examples, the
notification inside as in the golden Bundle of the rest-hook. They and the code's messages were equal when compared.
"""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.channels.message import NAMESPACE, process_message_url
from hub.domain.subscription import Content
from hub.domain.versions import FhirVersion
from hub.fhir.messages import DEFAULT_EVENT, MessageParts, message_bundle, response_code
from hub.fhir.structure import model
from tests.channels.mail_builders import NOW
from tests.standard.test_notification_bundles import OBSERVATION, notification, sent, visit

GOLDEN = Path(__file__).parent / "golden" / "message"
DELIVERY = "7d9f1c1e-2a4b-5c6d-8e9f-0a1b2c3d4e5f"
CASES = sorted((FhirVersion(path.parent.name), path.stem) for path in GOLDEN.glob("*/*.json"))


def message(version: FhirVersion, name: str) -> bytes:
    told = notification(visit(version), content=Content.ID_ONLY)
    inside = {
        "event-id-only": (f"urn:uuid:{told.bundle_id}", sent(version, told)),
        "classic-resource": ("https://ehr.example.org/fhir/Observation/lab-9", OBSERVATION),
        "classic-empty": ("", b""),
    }[name]
    parts = MessageParts(
        bundle_id="11111111-2222-4333-8444-555555555555",
        header_id="c4a54b18-1ad8-5cf6-9a52-89f0c2a6f5b7",
        timestamp=NOW,
        event=DEFAULT_EVENT,
        source=f"https://hub.example.org{version.path}",
        destination="https://partner.example.org/fhir",
        full_url=inside[0],
        payload=inside[1],
    )
    return message_bundle(parts, version)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_message_equals_its_golden_bundle_s177_s178(version: FhirVersion, name: str) -> None:
    golden = json.loads((GOLDEN / version / f"{name}.json").read_text(), parse_float=Decimal)
    assert json.loads(message(version, name), parse_float=Decimal) == golden


def test_every_version_has_its_golden_message() -> None:
    assert {version for version, name in CASES if name == "event-id-only"} == set(FhirVersion)


@pytest.mark.parametrize("version", FhirVersion)
def test_the_header_is_a_message_header_of_its_version(version: FhirVersion) -> None:
    header = json.loads(message(version, "event-id-only"))["entry"][0]["resource"]
    model("MessageHeader", version).model_validate(header)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_entries_have_neither_request_nor_response_bdl_3(version: FhirVersion, name: str) -> None:
    for entry in json.loads(message(version, name))["entry"]:
        assert set(entry) == {"fullUrl", "resource"}


@pytest.mark.parametrize("version", FhirVersion)
def test_the_notification_inside_is_the_one_of_every_channel_s142(version: FhirVersion) -> None:
    told = notification(visit(version), content=Content.ID_ONLY)
    assert sent(version, told) in message(version, "event-id-only")


def test_the_header_has_another_id_than_the_bundle_inside() -> None:
    """Both come of the delivery; a fullUrl may stand once (bdl-7)."""
    assert str(uuid.uuid5(NAMESPACE, DELIVERY)) != DELIVERY


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://x.org/fhir", "https://x.org/fhir/$process-message"),
        ("https://x.org/fhir/", "https://x.org/fhir/$process-message"),
        ("https://x.org/fhir/$process-message", "https://x.org/fhir/$process-message"),
        ("https://x.org", "https://x.org/$process-message"),
    ],
)
def test_the_operation_is_appended_once_s179(endpoint: str, url: str) -> None:
    assert process_message_url(endpoint) == url


@pytest.mark.parametrize("code", ["ok", "transient-error", "fatal-error"])
def test_a_receiver_may_answer_in_kind_s179(code: str) -> None:
    header = {"resourceType": "MessageHeader", "response": {"identifier": "1", "code": code}}
    assert response_code(json.dumps({"type": "message", "entry": [{"resource": header}]}).encode()) == code


@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"[]", b"{}", b"null", b'"x"', b"7", b'{"type":"message"}', b'{"type":"message","entry":[]}',
     b'{"type":"message","entry":[{"resource":null}]}', b'{"type":"message","entry":{"0":1}}',
     b'{"type":"message","entry":[{"resource":{"response":{"code":7}}}]}',
     b'{"type":"searchset","entry":[{"resource":{"response":{"code":"fatal-error"}}}]}', b'{"type":"message","entry'],
)  # fmt: skip
def test_any_other_answer_says_nothing(body: bytes) -> None:
    assert response_code(body) == ""


def test_what_is_sent_is_json_of_fhir() -> None:
    found: Any = json.loads(message(FhirVersion.R5, "event-id-only"))
    assert (found["resourceType"], found["type"]) == ("Bundle", "message")
