"""Native R5 Subscriptions, section (c)."""

import copy
from pathlib import Path
from typing import Any

import pytest

from hub.domain.subscription import Channel, Content, FilterBy, Status, Subscription
from hub.domain.versions import FhirVersion
from hub.errors import Refused, Unprocessable
from hub.fhir.dialects import Limits, dialect
from hub.fhir.json import read_json

R5 = dialect(FhirVersion.R5)
TOPIC = "http://hub.example.org/topics/encounter-start"
LIMITS = Limits()
CHANNEL_TYPES = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def subscription(**changes: Any) -> dict[str, Any]:
    resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "topic": TOPIC,
        "channelType": {"system": CHANNEL_TYPES, "code": "rest-hook"},
        "endpoint": "https://ward.example.org/hook",
    } | changes
    return {name: value for name, value in resource.items() if value is not None}


def read(**changes: Any) -> Subscription:
    return R5.read_subscription(subscription(**changes), LIMITS)


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(Refused) as refusal:
        read(**changes)
    return {issue.expression: issue.code for issue in refusal.value.issues}


def test_a_plain_subscription_is_read_with_the_defaults_s098_s101() -> None:
    assert read() == Subscription(TOPIC, Channel("rest-hook", "https://ward.example.org/hook", content=Content.EMPTY))


def test_every_option_is_read() -> None:
    found = read(
        name="board",
        heartbeatPeriod=60,
        timeout=30,
        maxCount=20,
        content="full-resource",
        contentType="application/fhir+json;fhirVersion=5.0",
        parameter=[{"name": "Authorization", "value": "Bearer a:b"}, {"name": "X", "value": "1"}],
        filterBy=[
            {
                "resourceType": "http://hl7.org/fhir/StructureDefinition/Encounter",
                "filterParameter": "patient",
                "value": "a,b",
            },
            {"filterParameter": "date", "comparator": "ge", "value": "2026"},
            {"filterParameter": "code", "modifier": "in", "value": "http://example.org/vs"},
        ],
    )
    assert found.filters == (
        FilterBy("patient", "a,b", "Encounter"),
        FilterBy("date", "2026", comparator="ge"),
        FilterBy("code", "http://example.org/vs", modifier="in"),
    )
    assert found.name == "board"
    assert found.channel.headers == (("Authorization", "Bearer a:b"), ("X", "1"))
    assert found.channel.content is Content.FULL_RESOURCE


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("requested", "requested"), ("active", "requested"), ("off", "off"), ("entered-in-error", "entered-in-error")],
)
def test_status_codes_are_read_as_wishes_s071_s072(written: str, read_as: str) -> None:
    assert read(status=written).status is Status(read_as)


def test_what_is_in_effect_is_returned_and_the_rest_stays_s080_s098() -> None:
    resource = subscription(heartbeatPeriod=1, timeout=900, maxCount=5000, reason="x")
    before = copy.deepcopy(resource)
    found = R5.read_subscription(resource, LIMITS)
    accepted = R5.accepted_subscription(resource, found, Status.REQUESTED, "never shown")
    assert accepted == before | {
        "heartbeatPeriod": 10,
        "timeout": 120,
        "maxCount": 1000,
        "content": "empty",
        "contentType": "application/fhir+json",
    }
    assert resource == before
    assert R5.read_subscription(accepted, LIMITS) == found


def test_an_error_element_does_not_exist_s099() -> None:
    assert refused(error="mine") == {"Subscription.error": "structure"}


@pytest.mark.parametrize(
    ("item", "element"),
    [
        ({"filterParameter": "a", "value": "b", "comparator": "ge", "modifier": "not"}, ""),
        ({"filterParameter": "a", "value": "b", "comparator": "in"}, ".comparator"),
        ({"filterParameter": "a", "value": "b", "modifier": "ge"}, ".modifier"),
        ({"filterParameter": "a:not", "value": "b"}, ".filterParameter"),
        ({"filterParameter": "a", "value": "b", "resourceType": "http://example.org/Profile"}, ".resourceType"),
        ({"filterParameter": "a"}, ".value"),
        ({"value": "b"}, ".filterParameter"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused_s082_s096(item: dict[str, str], element: str) -> None:
    assert f"Subscription.filterBy[0]{element}" in refused(filterBy=[item])


@pytest.mark.parametrize(
    "coding",
    [
        {"system": "http://x.org", "code": "websocket"},
        {"system": CHANNEL_TYPES, "code": "email"},
        {"system": "http://x.org", "code": "rest-hook"},
        {},
    ],
)
def test_a_channel_type_that_is_not_offered_is_refused_s082(coding: dict[str, str]) -> None:
    assert "Subscription.channelType" in refused(channelType=coding)


@pytest.mark.parametrize("number", ["60", 60.5, -1, True])
@pytest.mark.parametrize("element", ["heartbeatPeriod", "timeout", "maxCount"])
def test_a_number_in_another_form_is_refused(element: str, number: object) -> None:
    assert f"Subscription.{element}" in refused(**{element: number})


def test_extensions_of_the_backport_say_nothing_here_and_are_refused_s091() -> None:
    url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-timeout"
    assert refused(extension=[{"url": url, "valueUnsignedInt": 5}]) == {f"Subscription.extension('{url}')": "extension"}


def test_header_values_are_masked_and_come_back_with_the_mask_ruling_24() -> None:
    stored = subscription(parameter=[{"name": "Authorization", "value": "Bearer secret"}, {"name": "X", "value": "1"}])
    masked = R5.mask_headers(stored)
    assert [each["value"] for each in masked["parameter"]] == ["***", "***"]
    assert R5.unmask_headers(masked, stored) == stored
    moved = masked | {"endpoint": "https://thief.example.org/hook"}
    assert R5.unmask_headers(moved, stored) == moved
    with pytest.raises(Unprocessable):
        R5.read_subscription(moved, LIMITS)


def test_all_problems_are_told_together_s083() -> None:
    found = refused(
        status="on", topic="Patient?a=b", endpoint=None, content="all", contentType="text/plain", maxCount="3"
    )
    assert found.keys() == {
        f"Subscription.{element}" for element in ("status", "topic", "endpoint", "content", "contentType", "maxCount")
    }


@pytest.mark.skipif(not DATA.exists(), reason="the shared sample data is not here")
def test_a_sample_subscription_is_read() -> None:
    raw = (DATA / "derived" / "subscriptions" / "r5-rest-hook.json").read_bytes()
    assert R5.read_subscription(read_json(raw), LIMITS).filters == (FilterBy("patient", "Patient/123", "Encounter"),)
