"""Subscriptions on R4 and R4B after the Backport IG, section (c)."""

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.domain.subscription import Channel, Content, FilterBy, Status, Subscription
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.dialects import Limits, dialect
from hub.fhir.json import read_json

BP = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC = "http://hub.example.org/topics/encounter-start"
LIMITS = Limits()
DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

pytestmark = pytest.mark.parametrize("version", [FhirVersion.R4, FhirVersion.R4B])


def subscription(**changes: Any) -> dict[str, Any]:
    """A good Subscription; ``channel__header=…`` sets an element of the channel, None takes one away."""
    resource: dict[str, Any] = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "ward board",
        "criteria": TOPIC,
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://ward.example.org/hook",
            "payload": "application/fhir+json",
            "_payload": extended("backport-payload-content", valueCode="id-only"),
        },
    }
    for name, value in changes.items():
        owner = resource["channel"] if name.startswith("channel__") else resource
        key = name.removeprefix("channel__")
        owner.pop(key, None)
        if value is not None:
            owner[key] = value
    return resource


def extended(*names: str, **value: Any) -> dict[str, Any]:
    return {"extension": [{"url": name if ":" in name else BP + name, **value} for name in names]}


def filtered(*criteria: str) -> dict[str, Any]:
    return {"extension": [{"url": BP + "backport-filter-criteria", "valueString": each} for each in criteria]}


def read(version: FhirVersion, limits: Limits = LIMITS, **changes: Any) -> Subscription:
    return dialect(version).read_subscription(subscription(**changes), limits)


def refused(version: FhirVersion, **changes: Any) -> dict[str, str]:
    """The refusal's codes by expression."""
    with pytest.raises(Refused) as refusal:
        read(version, **changes)
    assert all(issue.diagnostics for issue in refusal.value.issues)
    return {issue.expression: issue.code for issue in refusal.value.issues}


def test_a_plain_subscription_is_read_with_the_defaults_s101(version: FhirVersion) -> None:
    channel = Channel("rest-hook", "https://ward.example.org/hook", content=Content.ID_ONLY)
    assert read(version) == Subscription(TOPIC, channel)


def test_every_option_is_read(version: FhirVersion) -> None:
    found = read(
        version,
        end="2030-01-01T00:00:00+01:00",
        _criteria=filtered("Encounter?patient=Patient/1", "Encounter.status=planned,arrived"),
        channel__header=["Authorization: Bearer a:b", "X-Ward:7", "X-Ward: 8 "],
        channel__extension=[
            {"url": BP + "backport-heartbeat-period", "valueUnsignedInt": 60},
            {"url": BP + "backport-timeout", "valueUnsignedInt": 30},
            {"url": BP + "backport-max-count", "valuePositiveInt": 20},
        ],
    )
    assert found.channel.headers == (("Authorization", "Bearer a:b"), ("X-Ward", "7"), ("X-Ward", "8"))
    assert (found.channel.heartbeat_seconds, found.channel.timeout_seconds, found.channel.max_count) == (60, 30, 20)
    assert found.end == datetime(2029, 12, 31, 23, tzinfo=UTC)
    assert found.filters == (
        FilterBy("patient", "Patient/1", "Encounter"),
        FilterBy("status", "planned,arrived", "Encounter"),
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("requested", "requested"), ("active", "requested"), ("error", "requested"), ("off", "off")],
)
def test_active_and_error_are_asked_for_as_requested_s072_s074_s076(
    version: FhirVersion, written: str, read_as: str
) -> None:
    assert read(version, status=written).status is Status(read_as)


@pytest.mark.parametrize("status", ["entered-in-error", "nonsense", "Active", None])
def test_other_status_codes_are_refused_s071(version: FhirVersion, status: str | None) -> None:
    assert "Subscription.status" in refused(version, status=status)


@pytest.mark.parametrize("criteria", ["urn:uuid:0b9e3f2c-1111-4222-8333-444455556666", TOPIC + "|1.0"])
def test_criteria_hold_the_canonical_of_a_topic(version: FhirVersion, criteria: str) -> None:
    assert read(version, criteria=criteria).topic == criteria


@pytest.mark.parametrize(
    "criteria",
    [
        "Observation",
        "http://x.org/Patient?a=b",
        "http://",
        "mailto:a@b",
        "a b",
    ],
)
def test_what_is_neither_a_canonical_nor_a_search_is_refused_s007(version: FhirVersion, criteria: str) -> None:
    with pytest.raises(Refused, match=r"canonical URL of a SubscriptionTopic.*or a search with its type"):
        read(version, criteria=criteria)


@pytest.mark.parametrize("criteria", ["Observation?code=1", "/Observation?code=1", "Observation?"])
def test_criteria_with_a_question_mark_make_a_classic_subscription_s007(version: FhirVersion, criteria: str) -> None:
    found = read(version, criteria=criteria, channel__payload=None, channel___payload=None)
    assert (found.criteria, found.topic, found.is_classic) == (criteria, "", True)
    assert (found.channel.content, found.channel.max_count) == (Content.EMPTY, 1)


def test_what_the_ig_adds_has_no_meaning_in_a_classic_subscription(version: FhirVersion) -> None:
    found = refused(version, criteria="Observation?code=1", _criteria=filtered("patient=Patient/1"))
    assert f"Subscription.criteria.extension('{BP}backport-filter-criteria')" in found


@pytest.mark.parametrize("clamp", [(1, 10), (10, 10), (60, 60), (100_000, 86_400), (0, 0)])
def test_a_heartbeat_is_clamped_and_returned_s080_s101(version: FhirVersion, clamp: tuple[int, int]) -> None:
    asked, granted = clamp
    resource = subscription(channel__extension=[{"url": BP + "backport-heartbeat-period", "valueUnsignedInt": asked}])
    found = dialect(version).read_subscription(resource, LIMITS)
    assert found.channel.heartbeat_seconds == granted
    accepted = dialect(version).accepted_subscription(resource, found, Status.REQUESTED)
    assert accepted["channel"]["extension"][0]["valueUnsignedInt"] == granted


def test_what_is_in_effect_is_returned_and_the_rest_stays_s080_s088(version: FhirVersion) -> None:
    resource = subscription(
        status="active",
        error="mine",
        _criteria=filtered("patient=Patient/1"),
        channel__extension=[{"url": BP + "backport-timeout", "valueUnsignedInt": 900}],
        channel__header=["Authorization: Bearer x"],
    )
    before = copy.deepcopy(resource)
    found = dialect(version).read_subscription(resource, LIMITS)
    accepted = dialect(version).accepted_subscription(resource, found, Status.REQUESTED)
    assert resource == before
    expected = before | {"status": "requested"}
    del expected["error"]
    expected["channel"]["extension"] = [
        {"url": BP + "backport-timeout", "valueUnsignedInt": 120},
        {"url": BP + "backport-max-count", "valuePositiveInt": 1},
    ]
    assert accepted == expected
    assert dialect(version).read_subscription(accepted, LIMITS) == found


@pytest.mark.parametrize("extension", [None, []])
def test_an_empty_place_for_extensions_is_filled(version: FhirVersion, extension: list[Any] | None) -> None:
    resource = subscription()
    resource["channel"]["extension"] = extension
    found = dialect(version).read_subscription(resource, LIMITS)
    accepted = dialect(version).accepted_subscription(resource, found, Status.REQUESTED)
    assert dialect(version).read_subscription(accepted, LIMITS) == found


def test_no_heartbeat_appears_unless_asked_for_s145(version: FhirVersion) -> None:
    accepted = dialect(version).accepted_subscription(subscription(), read(version), Status.REQUESTED)
    assert "heartbeat" not in str(accepted)


def test_the_error_text_is_the_servers_s087(version: FhirVersion) -> None:
    accepted = dialect(version).accepted_subscription(subscription(error="a"), read(version), Status.ERROR, "HTTP 503")
    assert (accepted["status"], accepted["error"]) == ("error", "HTTP 503")


def test_a_payload_and_its_content_level_are_required_s091(version: FhirVersion) -> None:
    path = f"Subscription.channel.payload.extension('{BP}backport-payload-content')"
    assert refused(version, channel__payload=None, channel__header=[]).keys() >= {"Subscription.channel.payload"}
    assert refused(version, channel___payload=None) == {path: "required"}
    both = refused(version, channel___payload={"extension": subscription()["channel"]["_payload"]["extension"] * 2})
    assert both == {path: "structure"}


def test_an_unknown_content_level_is_refused_s082_s089(version: FhirVersion) -> None:
    wrong = extended("backport-payload-content", valueCode="everything")
    assert "not-supported" in refused(version, channel___payload=wrong).values()
    wrong = extended("backport-payload-content", valueString="empty")
    assert "not-supported" in refused(version, channel___payload=wrong).values()


@pytest.mark.parametrize("code", ["websocket", "sms", "zulip"])
def test_a_channel_type_that_is_not_offered_is_refused_s082_s182(version: FhirVersion, code: str) -> None:
    assert refused(version, channel__type=code) == {"Subscription.channel.type": "not-supported"}


def test_the_custom_channel_extension_overrides_the_code_s181(version: FhirVersion) -> None:
    coding = {"system": "http://example.org/channels", "code": "queue"}
    custom = extended("backport-channel-type", valueCoding=coding)
    expression = f"Subscription.channel.type.extension('{BP}backport-channel-type')"
    assert refused(version, channel___type=custom) == {expression: "not-supported"}
    offered = Limits(channel_types=frozenset({"http://example.org/channels|queue"}))
    assert read(version, offered, channel___type=custom).channel.type == "http://example.org/channels|queue"


@pytest.mark.parametrize(
    "endpoint", [None, "hook", "/hook", "ftp://x.org/a", "https://", "https:// x", "mailto:a@x.org"]
)
def test_a_rest_hook_needs_an_absolute_http_url_s153(version: FhirVersion, endpoint: str | None) -> None:
    assert "Subscription.channel.endpoint" in refused(version, channel__endpoint=endpoint)


def test_the_mime_type_is_json_of_the_own_version_s005(version: FhirVersion) -> None:
    own = version.mime_parameter
    for mime in ("application/fhir+json", "application/json", f"application/fhir+json; fhirVersion={own}"):
        assert read(version, channel__payload=mime).channel.content_type == mime
    for mime in (
        "application/fhir+xml",
        "text/plain",
        "application/fhir+json; fhirVersion=5.0",
        "application/json;q=1",
        "x",
    ):
        assert refused(version, channel__payload=mime) == {"Subscription.channel.payload": "not-supported"}


@pytest.mark.parametrize(
    "url",
    [
        "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria",
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.filterBy",
        BP + "backport-topic-canonical",
        BP + "backport-timeout",
    ],
)
def test_unknown_or_misplaced_extensions_of_the_standard_are_refused_s090_s091(version: FhirVersion, url: str) -> None:
    found = refused(version, _criteria=extended(url, valueString="Encounter?patient=1"))
    assert found == {f"Subscription.criteria.extension('{url}')": "extension"}


def test_the_identifier_and_extensions_of_others_are_kept_s090_s091(version: FhirVersion) -> None:
    identifier = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier"
    extension = [
        {"url": identifier, "valueIdentifier": {"value": "a"}},
        {"url": "http://example.org/colour", "valueString": "blue"},
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"},
    ]
    assert read(version, extension=extension) == read(version)


def test_modifier_extensions_and_implicit_rules_are_refused_s091(version: FhirVersion) -> None:
    modifier = [{"url": "http://example.org/not", "valueBoolean": True}]
    assert refused(version, modifierExtension=modifier) == {"Subscription.modifierExtension": "extension"}
    assert refused(version, implicitRules="http://example.org/rules") == {"Subscription.implicitRules": "not-supported"}


@pytest.mark.parametrize(
    "extension",
    [
        {"url": BP + "backport-timeout", "valueUnsignedInt": "60"},
        {"url": BP + "backport-timeout", "valueUnsignedInt": -1},
        {"url": BP + "backport-timeout", "valueUnsignedInt": True},
        {"url": BP + "backport-timeout", "valueInteger": 60},
        {"url": BP + "backport-max-count", "valueUnsignedInt": 3},
        {"url": BP + "backport-heartbeat-period"},
    ],
)
def test_a_number_in_another_form_is_refused(version: FhirVersion, extension: dict[str, Any]) -> None:
    found = refused(version, channel__extension=[extension])
    assert all(expression.startswith("Subscription.channel.extension") for expression in found)


@pytest.mark.parametrize(
    "header",
    [
        "Host: a",
        "content-type: text/plain",
        "Transfer-Encoding: chunked",
        "Webhook-Id: 1",
        "X-Forwarded-For: 1",
        "no colon",
        "a b: c",
        ": c",
        "X: ä",
        "X: a\r\nY: b",
        "X: a\x00",
        "Authorization: ***",
    ],
)
def test_a_header_that_would_corrupt_the_request_is_refused_s152(version: FhirVersion, header: str) -> None:
    found = refused(version, channel__header=["X-Fine: 1", header])
    assert "Subscription.channel.header[1]" in found


def test_headers_are_few_and_small(version: FhirVersion) -> None:
    assert "too-costly" in refused(version, channel__header=["X: 1"] * 21).values()
    assert "too-costly" in refused(version, channel__header=["X: " + "1" * 5000]).values()


def test_header_values_are_masked_and_come_back_with_the_mask_ruling_24(version: FhirVersion) -> None:
    speaks = dialect(version)
    stored = subscription(channel__header=["Authorization: Bearer secret", "X-Ward:7", "x-ward: 8"])
    masked = speaks.mask_headers(stored)
    assert masked["channel"]["header"] == ["Authorization: ***", "X-Ward: ***", "x-ward: ***"]
    assert "secret" in str(stored)
    unmasked = speaks.unmask_headers(masked, stored)
    assert unmasked["channel"]["header"] == ["Authorization: Bearer secret", "X-Ward: 7", "x-ward: 8"]


def test_a_new_value_beside_a_mask_is_taken(version: FhirVersion) -> None:
    stored = subscription(channel__header=["Authorization: Bearer secret", "X-Ward: 7"])
    new = subscription(channel__header=["X-Ward: 9", "authorization: ***"])
    assert dialect(version).unmask_headers(new, stored)["channel"]["header"] == [
        "X-Ward: 9",
        "authorization: Bearer secret",
    ]


def test_a_mask_without_a_stored_value_or_for_another_host_stays_and_is_refused(version: FhirVersion) -> None:
    speaks = dialect(version)
    stored = subscription(channel__header=["Authorization: Bearer secret"])
    strange = subscription(channel__header=["X-Other: ***"])
    moved = subscription(channel__header=["Authorization: ***"], channel__endpoint="https://thief.example.org/hook")
    same_host = subscription(channel__header=["Authorization: ***"], channel__endpoint="https://ward.example.org/new")
    for resource in (strange, moved):
        unmasked = speaks.unmask_headers(resource, stored)
        assert "secret" not in str(unmasked)
        with pytest.raises(Unprocessable):
            speaks.read_subscription(unmasked, LIMITS)
    assert "secret" in str(speaks.unmask_headers(same_host, stored))


def test_masking_needs_no_well_formed_resource(version: FhirVersion) -> None:
    for resource in ({}, {"channel": []}, {"channel": {"header": "x"}}, {"channel": {"header": [1, "A: b"]}}):
        assert "A: b" not in str(dialect(version).mask_headers(resource))
        dialect(version).unmask_headers(resource, resource)


def test_all_problems_are_told_together_s083(version: FhirVersion) -> None:
    found = refused(
        version,
        status="on",
        criteria="Patient",
        _criteria=filtered("patient"),
        channel__type="sms",
        channel__endpoint="x",
        channel__payload="text/plain",
        reason=5,
    )
    assert found.keys() == {
        "Subscription.reason",
        "Subscription.status",
        "Subscription.criteria",
        "Subscription.criteria.extension[0].value",
        "Subscription.channel.type",
        "Subscription.channel.endpoint",
        "Subscription.channel.payload",
    }


def test_broken_structure_is_malformed_and_broken_rules_are_unprocessable_s083(version: FhirVersion) -> None:
    with pytest.raises(Malformed):
        read(version, colour="blue")
    with pytest.raises(Malformed):
        read(version, reason=None)
    with pytest.raises(Unprocessable):
        read(version, channel__type="sms")
    with pytest.raises(Malformed):
        dialect(version).read_subscription({"resourceType": "Patient"}, LIMITS)


@pytest.mark.parametrize("end", ["2030-02-30T00:00:00Z", "2030-01-01", "soon", "", 0, 4102444800, True])
def test_an_end_that_does_not_exist_is_refused_s079(version: FhirVersion, end: object) -> None:
    assert "Subscription.end" in refused(version, end=end)


@pytest.mark.skipif(not DATA.exists(), reason="the shared sample data is not here")
def test_published_subscriptions_are_read_or_refused_for_their_channel(version: FhirVersion) -> None:
    for path in sorted(DATA.glob("subscriptions/inferno/Subscription_*.json")):
        assert dialect(version).read_subscription(read_json(path.read_bytes()), LIMITS).channel.timeout_seconds == 60
    for path in sorted((DATA / "backport-ig" / "1.1.0" / "subscriptions").glob("*.json")):
        resource = read_json(path.read_bytes())
        if "zulip" in path.name:
            with pytest.raises(Unprocessable, match="zulip"):
                dialect(version).read_subscription(resource, LIMITS)
        else:
            assert len(dialect(version).read_subscription(resource, LIMITS).filters) == 1
