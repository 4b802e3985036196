"""Something happened elsewhere: ``$external-event`` and topics with an eventTrigger (S-043, S-044)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.basic_topics import write_basic_topic
from tests.api.builders import encounter, fresh_id, patient, subscribe
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Inbox, Notification

V2 = "http://terminology.hl7.org/CodeSystem/v2-0003"


def coding(code: str, system: str = V2) -> dict[str, Any]:
    return {"system": system, "code": code}


def parameters(*codes: str, focus: str, **more: Any) -> dict[str, Any]:
    """``context`` are references, ``when`` an instant."""
    parts: list[dict[str, Any]] = [{"name": "event", "valueCoding": coding(code)} for code in codes]
    parts.append({"name": "focus", "valueReference": {"reference": focus}})
    parts += [{"name": "context", "valueReference": {"reference": each}} for each in more.pop("context", ())]
    parts += [{"name": name, "valueInstant": value} for name, value in more.items()]
    return {"resourceType": "Parameters", "parameter": parts}


async def published(api: Api, *codes: str, resource: str = "Encounter", **more: Any) -> str:
    """A topic of this test's own for these codes; its canonical."""
    url = f"http://example.org/topics/{fresh_id()}"
    event = {"coding": [coding(code) for code in codes]}
    topic = {
        "resourceType": "SubscriptionTopic", "url": url, "version": "1", "status": "active",
        "eventTrigger": [{"event": event, "resource": resource}],
        "canFilterBy": [{"resource": resource, "filterParameter": "_id"}], **more,
    }  # fmt: skip
    r4 = api.base is FhirVersion.R4
    answer = await api.post("Basic" if r4 else "SubscriptionTopic", write_basic_topic(topic) if r4 else topic)
    assert answer.status_code == 201, answer.text
    assert "eventTrigger" not in answer.text or "never fire" not in answer.text
    return url


async def told(api: Api, body: dict[str, Any]) -> str:
    answer = await api.post("$external-event", body)
    assert answer.status_code == 200, answer.text
    (change,) = answer.json()["parameter"]
    return str(change["valueString"])


def resource_in(notification: Notification, place: int = 1) -> dict[str, Any]:
    return dict(notification.bundle["entry"][place]["resource"])


async def test_an_event_with_one_of_the_codings_fires_and_shows_the_resource_as_it_is(api: Api, inbox: Inbox) -> None:
    visit = fresh_id()
    await subscribe(api, inbox, await published(api, "A01", "A04"), content="full-resource")
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p", "planned"))
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p"))
    held = (await api.get(f"Encounter/{visit}")).json()
    await told(api, parameters("A02", focus=f"Encounter/{visit}"))
    await told(api, parameters("A09", "A04", focus=f"Encounter/{visit}"))
    notification = await inbox.event()
    assert notification.numbers == [1]
    assert notification.events[0].focus.endswith(f"/Encounter/{visit}")
    assert resource_in(notification) == held
    assert notification.bundle["entry"][1]["request"] == {"method": "GET", "url": f"Encounter/{visit}"}


async def test_a_change_is_no_event_and_an_event_is_no_change(api: Api, inbox: Inbox) -> None:
    visit = fresh_id()
    await subscribe(api, inbox, await published(api, "A01"))
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p"))
    await told(api, parameters("A01", focus=f"Encounter/{visit}"))
    assert (await inbox.event()).numbers == [1]
    assert inbox.nothing_unread()
    history = (await api.get(f"Encounter/{visit}/_history")).json()
    assert len(history["entry"]) == 1
    assert (await api.get(f"Encounter/{visit}")).headers["etag"] == 'W/"1"'
    again = await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p", "finished"))
    assert again.headers["etag"] == 'W/"2"'


async def test_the_version_of_that_moment_goes_out_whatever_comes_later(api: Api, inbox: Inbox) -> None:
    visit = fresh_id()
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p", "planned"))
    await subscribe(api, inbox, await published(api, "A01"), content="full-resource")
    await told(api, parameters("A01", focus=f"Encounter/{visit}"))
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p", "in-progress"))
    shown = resource_in(await inbox.event())
    assert (shown["status"], shown["meta"]["versionId"]) == ("planned", "1")


async def test_a_focus_that_comes_along_is_shown_as_it_came_and_not_stored(api: Api, inbox: Inbox) -> None:
    visit = fresh_id()
    await subscribe(api, inbox, await published(api, "A01"), content="full-resource")
    resource = encounter(api.base, visit, "p")
    event = {"name": "event", "valueCodeableConcept": {"coding": [coding("A01")], "text": "admitted"}}
    await told(api, {"resourceType": "Parameters", "parameter": [event, {"name": "focus", "resource": resource}]})
    assert resource_in(await inbox.event()) == resource
    assert (await api.get(f"Encounter/{visit}")).status_code == 404


async def test_a_tiny_request_makes_no_large_entry(
    start_hub: Callable[..., Awaitable[RunningHub]], base: FhirVersion, inbox: Inbox
) -> None:
    """What is held and large is not copied by reference; when it is sent along, who sends it pays for it."""
    api, mark = (await start_hub(max_event_copy_bytes=2000)).api(base), fresh_id()
    url = await published(api, "A01", resource="Patient")
    await subscribe(api, inbox, url, content="full-resource")
    large = patient(mark, name=[{"text": "x" * 2000}])
    await api.put(f"Patient/{mark}", large)
    (issue,) = outcome_of(await api.post("$external-event", parameters("A01", focus=f"Patient/{mark}")), 413)
    assert issue["code"] == "too-long" and "send the resource itself" in issue["diagnostics"]
    assert issue["expression"] == ["Parameters.parameter.where(name='focus')"]
    event = {"name": "event", "valueCoding": coding("A01")}
    await told(api, {"resourceType": "Parameters", "parameter": [event, {"name": "focus", "resource": large}]})
    assert resource_in(await inbox.event())["name"] == large["name"]
    await api.put(f"Patient/{mark}", patient(mark))
    await told(api, parameters("A01", focus=f"Patient/{mark}"))
    assert (await inbox.event()).numbers == [2]


async def test_filters_look_at_the_focus(api: Api, inbox: Inbox) -> None:
    mine, other = fresh_id(), fresh_id()
    for visit in (mine, other):
        await api.put(f"Encounter/{visit}", encounter(api.base, visit, "p"))
    await subscribe(api, inbox, await published(api, "A01"), filters=(f"_id={mine}",))
    for visit in (other, mine):
        await told(api, parameters("A01", focus=f"Encounter/{visit}"))
    assert (await inbox.event()).events[0].focus.endswith(mine)


async def test_a_focus_that_is_not_held_is_told_by_its_reference(api: Api, inbox: Inbox) -> None:
    visit = fresh_id()
    await subscribe(api, inbox, await published(api, "A01"), content="full-resource")
    await told(api, parameters("A01", focus=f"Encounter/{visit}"))
    notification = await inbox.event()
    assert notification.events[0].focus.endswith(f"/Encounter/{visit}")
    assert "resource" not in notification.bundle["entry"][1]


async def test_context_travels_along_at_the_content_level(api: Api, inbox: Inbox) -> None:
    visit, person = fresh_id(), fresh_id()
    await api.put(f"Patient/{person}", patient(person, active=True))
    await subscribe(api, inbox, await published(api, "A01"), content="full-resource")
    body = parameters("A01", focus=f"Encounter/{visit}", context=[f"Patient/{person}", "Patient/nobody"])
    await told(api, body)
    notification = await inbox.event()
    assert f'/Patient/{person}"' in str(notification.bundle["entry"][0]).replace("'", '"')
    assert resource_in(notification, 2)["active"] is True


async def test_when_it_happened_is_the_timestamp_of_the_event(api: Api, inbox: Inbox) -> None:
    visit = fresh_id()
    await subscribe(api, inbox, await published(api, "A01"))
    await told(api, parameters("A01", focus=f"Encounter/{visit}", when="2006-01-02T03:04:05Z"))
    notification = await inbox.event()
    assert notification.events[0].timestamp.startswith("2006-01-02T03:04:05")
    assert notification.bundle["timestamp"] > "2006-01-03", "the Bundle was not assembled then"


async def test_when_a_processed_change_happened_is_the_timestamp_too(api: Api, inbox: Inbox) -> None:
    """Ruling 13: ``$process-change`` takes ``when``."""
    mark = fresh_id()
    await subscribe(api, inbox, filters=(f"_id={mark}",))
    parts: list[dict[str, Any]] = [
        {"name": "interaction", "valueCode": "create"},
        {"name": "current", "resource": patient(mark)},
        {"name": "when", "valueInstant": "2025-12-31T23:59:59.5+01:00"},
    ]
    answer = await api.post("$process-change", {"resourceType": "Parameters", "parameter": parts})
    assert answer.is_success, answer.text
    assert (await inbox.event()).events[0].timestamp.startswith("2025-12-31T22:59:59.5")


async def test_a_repeat_of_the_request_is_no_second_event(api: Api, inbox: Inbox) -> None:
    visit, key = fresh_id(), fresh_id()
    await subscribe(api, inbox, await published(api, "A01"))
    body = parameters("A01", focus=f"Encounter/{visit}")
    first, second = [await api.post("$external-event", body, Idempotency_Key=key) for _ in range(2)]
    assert first.json() == second.json()
    await told(api, body)
    assert await inbox.numbers(2) == [1, 2]
    assert inbox.nothing_unread()


FOCUS = {"name": "focus", "valueReference": {"reference": "Encounter/1"}}
EVENT = {"name": "event", "valueCoding": coding("A01")}


@pytest.mark.parametrize(
    ("parts", "element"),
    [
        ([EVENT], "Parameters.parameter"),
        ([FOCUS], "Parameters.parameter"),
        ([EVENT, FOCUS, FOCUS], "Parameters.parameter[2]"),
        ([{"name": "event", "valueCoding": {"system": V2}}, FOCUS], "Parameters.parameter[0]"),
        ([{"name": "event", "valueString": "A01"}, FOCUS], "Parameters.parameter[0]"),
        ([EVENT, {"name": "focus", "valueReference": {"reference": "Encounter?x=1"}}], "Parameters.parameter[1]"),
        ([EVENT, {"name": "focus", "valueReference": {"reference": "http://else.org/Encounter/1"}}],
         "Parameters.parameter[1]"),
        ([EVENT, {"name": "focus", "valueReference": {"reference": "Stay/1"}}],
         "Parameters.parameter.where(name='focus')"),
        ([EVENT, FOCUS, {"name": "when", "valueInstant": "yesterday"}], "Parameters.parameter[2].valueInstant"),
        ([EVENT, FOCUS, {"name": "who", "valueString": "me"}], "Parameters.parameter[2]"),
        ([EVENT] * 21 + [FOCUS], "Parameters.parameter"),
        ([{"name": "event", "valueCoding": {"system": 3, "code": "A01"}}, FOCUS], "Parameters.parameter[0]"),
        ([EVENT, FOCUS | {"resource": {"resourceType": "Encounter", "id": "2"}}], "Parameters.parameter[1]"),
        ([EVENT, FOCUS, {"name": "context", "valueReference": {"reference": "Stay/1"}}],
         "Parameters.parameter.where(name='context')"),
        ([EVENT, FOCUS, {"name": "context", "valueReference": {"reference": "Subscription/1"}}],
         "Parameters.parameter.where(name='context')"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_and_names_the_parameter(
    api: Api, parts: list[dict[str, Any]], element: str
) -> None:
    answer = await api.post("$external-event", {"resourceType": "Parameters", "parameter": parts})
    assert expressions_of(answer, 400) == [element]


async def test_nothing_but_parameters_is_taken(api: Api) -> None:
    for body in (patient("1"), {"resourceType": "Parameters"}, {"resourceType": "Parameters", "parameter": [1]}):
        assert outcome_of(await api.post("$external-event", body), 400)
    assert outcome_of(await api.get("$external-event"), 405)
