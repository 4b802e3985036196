"""The life of a topic: draft, active, ending, retired, derived (S-018, S-019, S-022)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.basic_topics import write_basic_topic
from hub.intake.topic_life import check_takes_new
from tests.api.builders import fresh_id, patient, subscribe, subscription, topic
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Inbox, Receiver

StartHub = Callable[..., Awaitable[RunningHub]]
NOWHERE = "http://127.0.0.1:2001/"


def fresh_url() -> str:
    return f"http://example.org/topics/{fresh_id()}"


async def publish(api: Api, body: dict[str, Any], identity: str = "") -> httpx.Response:
    """Write a topic as the base writes it; ``body`` is in R5 terms."""
    written = write_basic_topic(body) if api.base is FhirVersion.R4 else body
    room = written["resourceType"]
    if identity:
        return await api.put(f"{room}/{identity}", written | {"id": identity})
    return await api.post(room, written)


async def published(api: Api, body: dict[str, Any], identity: str = "") -> str:
    answer = await publish(api, body, identity)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


async def test_a_retired_topic_keeps_its_subscriptions_and_takes_no_others(api: Api, inbox: Inbox) -> None:
    """S-019; who keeps the topic may still change everything else."""
    url = fresh_url()
    body = topic(api.base, url, "Patient")
    identity = await published(api, body)
    told = await subscribe(api, inbox, url)
    await published(api, body | {"status": "retired"}, identity)
    outcome_of(await api.post("Subscription", subscription(api.base, inbox.url, url)), 422)
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert 1 in (await inbox.event()).numbers
    renewed = await api.put(f"Subscription/{told['id']}", told | {"end": "2040-01-01T00:00:00Z"})
    assert renewed.status_code == 200, renewed.text
    elsewhere = subscription(api.base, inbox.url, id=told["id"])
    assert (await api.put(f"Subscription/{told['id']}", elsewhere)).status_code == 200
    back = subscription(api.base, inbox.url, url, id=told["id"])
    outcome_of(await api.put(f"Subscription/{told['id']}", back), 422)


async def test_a_draft_is_used_only_where_the_operator_lets_it(start_hub: StartHub) -> None:
    hub = await start_hub(draft_topics=False)
    for base in FhirVersion:
        api, url = hub.api(base), fresh_url()
        await published(api, topic(base, url, "Patient") | {"status": "draft"})
        answer = await api.post("Subscription", subscription(base, NOWHERE, url))
        assert "HUB_DRAFT_TOPICS" in outcome_of(answer, 422)[0]["diagnostics"]


async def test_a_newer_draft_does_not_take_the_place_of_the_active_topic(
    start_hub: StartHub, receiver: Receiver
) -> None:
    """S-019: without version the newest active one is meant."""
    hub = await start_hub()
    for base in FhirVersion:
        api, url, inbox = hub.api(base), fresh_url(), receiver.inbox()
        await published(api, topic(base, url, "Patient", supportedInteraction=["create"]))
        await subscribe(api, inbox, url)
        draft = topic(base, url, "Patient", supportedInteraction=["delete"])
        await published(api, draft | {"version": "2.0.0", "status": "draft"})
        await api.put("Patient/1", patient("1"))
        assert (await inbox.event()).numbers == [1]
        assert (await api.post("Subscription", subscription(base, NOWHERE, f"{url}|2.0.0"))).status_code == 201


def ending(base: FhirVersion, url: str, moment: datetime) -> dict[str, Any]:
    return topic(base, url, "Patient") | {"effectivePeriod": {"end": moment.date().isoformat()}}


async def test_a_topic_whose_period_is_over_takes_no_new_subscriptions(api: Api, inbox: Inbox) -> None:
    url, now = fresh_url(), datetime.now(UTC)
    identity = await published(api, topic(api.base, url, "Patient"))
    told = await subscribe(api, inbox, url)
    await published(api, ending(api.base, url, now - timedelta(days=2)), identity)
    refused = await api.post("Subscription", subscription(api.base, inbox.url, url))
    element = "Subscription.topic" if api.base is FhirVersion.R5 else "Subscription.criteria"
    assert expressions_of(refused, 422) == [element]
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert 1 in (await inbox.event()).numbers
    assert (await api.put(f"Subscription/{told['id']}", told)).status_code == 200


async def test_an_end_that_is_announced_is_told_to_whoever_subscribes(api: Api) -> None:
    url = fresh_url()
    await published(api, ending(api.base, url, datetime.now(UTC) + timedelta(days=30)))
    body = subscription(api.base, NOWHERE, url, status="off")
    answer = await api.post("Subscription", body, Prefer="return=OperationOutcome")
    assert answer.status_code == 201
    (warning,) = [issue for issue in answer.json()["issue"] if issue["severity"] == "warning"]
    assert url in warning["diagnostics"] and "no new Subscriptions after" in warning["diagnostics"]


ENDS = {
    "2026": "2027-01-01T00:00:00Z", "2026-02": "2026-03-01T00:00:00Z", "2026-02-28": "2026-03-01T00:00:00Z",
    "2026-02-28T12:00:00+02:00": "2026-02-28T10:00:01Z",
}  # fmt: skip


@pytest.mark.parametrize("written", ENDS)
def test_a_period_ends_with_the_whole_of_its_last_day_or_month(written: str) -> None:
    ended = SubscriptionTopic("http://example.org/t", effective_until=written)
    first_after = datetime.fromisoformat(ENDS[written])
    with pytest.raises(Unprocessable):
        check_takes_new(ended, first_after, draft_topics=True, expression="x")
    moment_before = first_after - timedelta(seconds=1)
    assert check_takes_new(ended, moment_before, draft_topics=True, expression="x")[0].severity == "warning"


async def test_a_derived_topic_keeps_the_filters_and_the_types_of_its_base(api: Api) -> None:
    """S-022."""
    mother, filters = fresh_url(), [{"resource": "Patient", "filterParameter": name} for name in ("gender", "_id")]
    await published(api, topic(api.base, mother, "Patient") | {"canFilterBy": filters})

    def derived(*kept: dict[str, Any], resource: str = "Patient") -> dict[str, Any]:
        body = topic(api.base, fresh_url(), resource) | {"derivedFrom": [mother]}
        return body | ({"canFilterBy": list(kept)} if kept else {})

    more = {"resource": "Patient", "filterParameter": "birthdate"}
    assert (await publish(api, derived(*filters))).status_code == 201
    assert (await publish(api, derived(*filters, more))).status_code == 201
    for body in (derived(), derived(filters[0], more), derived(*filters, resource="Basic")):
        assert expressions_of(await publish(api, body), 422)
    unknown = topic(api.base, fresh_url(), "Patient") | {"derivedFrom": [fresh_url()]}
    assert (await publish(api, unknown)).status_code == 201


async def test_a_topic_is_not_derived_from_itself(api: Api) -> None:
    url = fresh_url()
    for mother in (url, f"{url}|1.0.0"):
        (place,) = expressions_of(await publish(api, topic(api.base, url) | {"derivedFrom": [mother]}), 422)
        assert place.startswith("Basic.extension" if api.base is FhirVersion.R4 else "SubscriptionTopic.derivedFrom")
    newer = topic(api.base, url) | {"version": "2.0.0", "derivedFrom": [f"{url}|1.0.0"]}
    assert (await publish(api, newer)).status_code == 201


async def test_a_derived_topic_does_not_feed_the_subscriptions_of_its_base(api: Api, receiver: Receiver) -> None:
    """S-023."""
    mother, child = fresh_url(), fresh_url()
    await published(api, topic(api.base, mother, "Patient", supportedInteraction=["delete"]))
    await published(api, topic(api.base, child, "Patient") | {"derivedFrom": [mother]})
    of_mother, of_child = receiver.inbox(), receiver.inbox()
    await subscribe(api, of_mother, mother)
    await subscribe(api, of_child, child)
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert (await of_child.event()).numbers == [1]
    assert of_mother.nothing_unread()
