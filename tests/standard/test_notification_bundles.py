"""Notification Bundles, section (d): compared with golden files written from the standard."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.domain.change import Interaction
from hub.domain.event import Notification, NotificationEvent, NotificationType, SubscriptionError
from hub.domain.subscription import Content, Status
from hub.domain.versions import FhirVersion
from hub.fhir.dialects import dialect
from hub.fhir.structure import model

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = list(FhirVersion)
ENCOUNTER = b'{"resourceType":"Encounter", "id":"visit-7","meta":{"versionId":"1"},"status":"in-progress","class":%s}'
CLASS = {
    FhirVersion.R4: b'{"code":"IMP"}',
    FhirVersion.R4B: b'{"code":"IMP"}',
    FhirVersion.R5: b'[{"coding":[{"code":"IMP"}]}]',
}
OBSERVATION = (
    b'{"resourceType":"Observation","id":"lab-9","status":"final","code":{"text":"potassium"},'
    b'"valueQuantity":{"value":6.30,"unit":"mmol\\/L"}}'
)


def base(version: FhirVersion) -> str:
    return f"https://hub.example.org{version.path}"


def visit(version: FhirVersion, interaction: Interaction = Interaction.CREATE) -> NotificationEvent:
    resource = b"" if interaction is Interaction.DELETE else ENCOUNTER % CLASS[version]
    return NotificationEvent(
        41, datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "Encounter", "visit-7", interaction, resource
    )


def lab(
    number: int = 42, interaction: Interaction = Interaction.UPDATE, resource: bytes = OBSERVATION
) -> NotificationEvent:
    moment = datetime(2026, 3, 4, 5, 6, 7, 500_000, tzinfo=UTC)
    return NotificationEvent(number, moment, "Observation", "lab-9", interaction, resource)


def notification(
    *events: NotificationEvent,
    type: NotificationType = NotificationType.EVENT_NOTIFICATION,
    content: Content = Content.FULL_RESOURCE,
    status: Status = Status.ACTIVE,
    count: int | None = None,
    errors: tuple[SubscriptionError, ...] = (),
) -> Notification:
    return Notification(
        type=type,
        subscription_id="ward-7",
        topic="http://hub.example.org/topics/encounter-start",
        status=status,
        content=content,
        events_since_start=events[-1].number if count is None else count,
        bundle_id="b0a7c1d2-0001-4c3d-8e9f-000000000001",
        status_id="5e2d9f10-0002-4b6a-9c7d-000000000002",
        timestamp=datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC),
        events=events,
        errors=errors,
    )


def handshake(content: Content = Content.ID_ONLY) -> Notification:
    return notification(type=NotificationType.HANDSHAKE, content=content, status=Status.REQUESTED, count=0)


def heartbeat(content: Content = Content.ID_ONLY) -> Notification:
    return notification(type=NotificationType.HEARTBEAT, content=content, count=40)


def golden_cases(version: FhirVersion) -> dict[str, Notification]:
    return {
        "handshake": handshake(),
        "heartbeat": heartbeat(),
        "event-empty": notification(visit(version), content=Content.EMPTY),
        "event-id-only": notification(visit(version), content=Content.ID_ONLY),
        "event-full-resource": notification(visit(version)),
        "delete-full-resource": notification(visit(version, Interaction.DELETE)),
        "batch-of-two": notification(visit(version), lab()),
    }


CASES = [(version, name) for version in VERSIONS for name in golden_cases(version)]


def sent(version: FhirVersion, case: Notification) -> bytes:
    return dialect(version).write_notification(case, base(version))


def parsed(version: FhirVersion, case: Notification) -> Any:
    return json.loads(sent(version, case), parse_float=Decimal)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_notification_equals_its_golden_bundle(version: FhirVersion, name: str) -> None:
    golden = json.loads((GOLDEN / version / f"{name}.json").read_text(), parse_float=Decimal)
    assert parsed(version, golden_cases(version)[name]) == golden


def test_every_golden_bundle_is_tested() -> None:
    assert {(path.parent.name, path.stem) for path in GOLDEN.glob("*/*.json")} == {(v.value, name) for v, name in CASES}


@pytest.mark.parametrize(("version", "name"), [case for case in CASES if case[0] is not FhirVersion.R4])
def test_a_notification_is_a_bundle_of_its_version(version: FhirVersion, name: str) -> None:
    model("Bundle", version).model_validate_json(sent(version, golden_cases(version)[name]))


@pytest.mark.parametrize("version", VERSIONS)
def test_resource_bytes_travel_unchanged(version: FhirVersion) -> None:
    body = sent(version, notification(visit(version), lab()))
    assert ENCOUNTER % CLASS[version] in body
    assert OBSERVATION in body


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("interaction", [Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE])
def test_empty_content_tells_no_type_id_or_topic_s113_s114_s132(version: FhirVersion, interaction: Interaction) -> None:
    body = sent(version, notification(visit(version, interaction), lab(), content=Content.EMPTY))
    for word in (b"Encounter", b"visit-7", b"Observation", b"lab-9", b"encounter-start", b"focus", b"6.30"):
        assert word not in body
    assert len(json.loads(body)["entry"]) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_handshake_and_heartbeat_of_empty_content_do_not_name_the_topic_s114(version: FhirVersion) -> None:
    for case in (handshake(Content.EMPTY), heartbeat(Content.EMPTY)):
        assert b"encounter-start" not in sent(version, case)


@pytest.mark.parametrize("version", VERSIONS)
def test_whoever_asks_is_told_the_topic_even_with_empty_content_s114(version: FhirVersion) -> None:
    asked = notification(visit(version), type=NotificationType.QUERY_EVENT, content=Content.EMPTY)
    assert b"encounter-start" in sent(version, asked)
    assert b"visit-7" not in sent(version, asked)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_query_event_has_the_shape_of_a_notification_s186(version: FhirVersion) -> None:
    asked = parsed(version, notification(visit(version), type=NotificationType.QUERY_EVENT))
    told = parsed(version, notification(visit(version)))
    assert json.dumps(asked, default=str).replace("query-event", "event-notification") == json.dumps(told, default=str)


@pytest.mark.parametrize("version", [FhirVersion.R4, FhirVersion.R4B])
def test_every_history_entry_has_request_and_response_s123(version: FhirVersion) -> None:
    for case in golden_cases(version).values():
        for entry in parsed(version, case)["entry"]:
            assert set(entry) >= {"fullUrl", "request", "response"}


def test_an_r5_entry_has_no_response_and_the_status_no_request_s129_s130() -> None:
    for case in golden_cases(FhirVersion.R5).values():
        opening, *others = parsed(FhirVersion.R5, case)["entry"]
        assert set(opening) == {"fullUrl", "resource"}
        assert all("request" in entry and "response" not in entry for entry in others)


@pytest.mark.parametrize("version", VERSIONS)
def test_two_events_on_one_resource_get_one_entry_with_the_newest_state_s126_s131(version: FhirVersion) -> None:
    first = lab(42, Interaction.CREATE, b'{"resourceType":"Observation","id":"lab-9","status":"preliminary"}')
    bundle = parsed(version, notification(first, lab(43)))
    _, entry = bundle["entry"]
    assert entry["resource"]["status"] == "final"
    assert entry["request"] == {"method": "PUT", "url": "Observation/lab-9"}
    assert len(numbers(version, bundle)) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resource_deleted_later_in_the_batch_is_not_shown_s134(version: FhirVersion) -> None:
    bundle = parsed(version, notification(lab(42), lab(43, Interaction.DELETE)))
    _, entry = bundle["entry"]
    assert "resource" not in entry
    assert entry["request"]["method"] == "DELETE"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_last_state_of_a_deleted_resource_is_never_sent_s137(version: FhirVersion) -> None:
    assert OBSERVATION not in sent(version, notification(lab(42, Interaction.DELETE)))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resource_no_longer_held_is_told_by_its_request_alone_s134(version: FhirVersion) -> None:
    _, entry = parsed(version, notification(lab(resource=b"")))["entry"]
    assert "resource" not in entry
    assert entry["request"] == {"method": "PUT", "url": "Observation/lab-9"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_focus_is_the_full_url_of_an_entry_s134_s136(version: FhirVersion) -> None:
    bundle = parsed(version, notification(visit(version), lab()))
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert foci(version, bundle) <= urls
    assert not any("/_history/" in url for url in urls)


@pytest.mark.parametrize("version", VERSIONS)
def test_numbers_are_strings_in_order_and_the_highest_is_the_count_s108_s110(version: FhirVersion) -> None:
    assert numbers(version, parsed(version, notification(visit(version), lab()))) == ["41", "42"]
    assert '"42"' in json.dumps(parsed(version, notification(visit(version), lab()))["entry"][0], default=str)


@pytest.mark.parametrize("version", VERSIONS)
def test_resources_are_named_by_the_source_base_and_subscriptions_by_the_hub(version: FhirVersion) -> None:
    body = dialect(version).write_notification(
        notification(lab()), base(version) + "/", "https://ehr.example.org/fhir/"
    )
    bundle = json.loads(body)
    assert foci(version, bundle) == {"https://ehr.example.org/fhir/Observation/lab-9"}
    assert f"{base(version)}/Subscription/ward-7" in body.decode()


@pytest.mark.parametrize("version", VERSIONS)
def test_errors_carry_a_code_and_the_real_status_as_text_s117(version: FhirVersion) -> None:
    case = notification(
        count=40, type=NotificationType.HEARTBEAT, errors=(SubscriptionError("error-response", "HTTP 503"),)
    )
    carrier = parsed(version, case)["entry"][0]["resource"]
    concept = carrier["parameter"][-1]["valueCodeableConcept"] if version is FhirVersion.R4 else carrier["error"][0]
    system = "http://terminology.hl7.org/CodeSystem/subscription-error"
    assert concept == {"coding": [{"system": system, "code": "error-response"}], "text": "HTTP 503"}


@pytest.mark.parametrize("version", VERSIONS)
def test_status_is_answered_by_a_searchset_without_requests_s184_s185(version: FhirVersion) -> None:
    asked = notification(type=NotificationType.QUERY_STATUS, content=Content.EMPTY, count=7)
    url = f"{base(version)}/Subscription/ward-7/$status"
    bundle = json.loads(dialect(version).write_status_bundle([asked], url, base(version)))
    assert (bundle["type"], bundle["total"], bundle["link"]) == ("searchset", 1, [{"relation": "self", "url": url}])
    (entry,) = bundle["entry"]
    assert set(entry) == {"fullUrl", "resource", "search"}
    assert entry["search"] == {"mode": "match"}
    assert entry["resource"]["resourceType"] == ("Parameters" if version is FhirVersion.R4 else "SubscriptionStatus")
    if version is not FhirVersion.R4:
        model("Bundle", version).model_validate(bundle)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_status_searchset_may_be_empty_s185(version: FhirVersion) -> None:
    bundle = json.loads(dialect(version).write_status_bundle([], "https://hub.example.org/x", base(version)))
    assert bundle["total"] == 0
    assert "entry" not in bundle


def numbers(version: FhirVersion, bundle: Any) -> list[str]:
    if version is FhirVersion.R4:
        return [part["valueString"] for part in parts(bundle) if part["name"] == "event-number"]
    return [event["eventNumber"] for event in bundle["entry"][0]["resource"]["notificationEvent"]]


def foci(version: FhirVersion, bundle: Any) -> set[str]:
    if version is FhirVersion.R4:
        return {part["valueReference"]["reference"] for part in parts(bundle) if part["name"] == "focus"}
    return {event["focus"]["reference"] for event in bundle["entry"][0]["resource"]["notificationEvent"]}


def parts(bundle: Any) -> list[Any]:
    parameters = bundle["entry"][0]["resource"]["parameter"]
    return [part for parameter in parameters for part in parameter.get("part", [])]
