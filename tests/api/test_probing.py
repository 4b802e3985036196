"""``$test``: a real event that goes the true path, is known as a test, and has its place in the numbering."""

from __future__ import annotations

import pytest

from hub.domain.probe import TEST_SYSTEM
from hub.domain.versions import FhirVersion
from tests.api.builders import classic, encounter, fresh_id, patient, subscribe, subscription
from tests.api.harness import Api, expressions_of, outcome_of
from tests.api.receiver import Inbox, Receiver
from tests.api.test_explain import answer_of, explained, notes


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_a_test_event_goes_the_whole_way_at_the_content_level(api: Api, inbox: Inbox, content: str) -> None:
    mark = fresh_id()
    path = f"Subscription/{(await subscribe(api, inbox, content=content, filters=(f'_id={mark}',)))['id']}"
    await api.put(f"Patient/{mark}", patient(mark))
    assert await inbox.numbers(1) == [1]
    answer = await api.post(f"{path}/$test")
    assert answer.status_code == 200, answer.text
    focus = answer.json()["parameter"][1]["valueString"]
    assert focus.startswith("Basic/hub-test-")
    told = await inbox.event()
    assert (told.numbers, told.carrier["eventsSinceSubscriptionStart"]) == ([2], "2")
    assert told.events[0].focus.endswith(focus) is (content != "empty")
    assert (b'"HTEST"' in told.body) is (content == "full-resource")
    await api.put(f"Patient/{mark}", patient(mark))
    assert await inbox.numbers(1) == [3]


async def test_a_test_is_for_one_subscription_alone_and_is_stored_nowhere(api: Api, receiver: Receiver) -> None:
    one, other = receiver.inbox(), receiver.inbox()
    first, second = (await subscribe(api, one))["id"], (await subscribe(api, other))["id"]
    answer = (await api.post(f"Subscription/{first}/$test")).json()
    change, focus = (each["valueString"] for each in answer["parameter"])
    assert (await one.event()).events[0].focus.endswith(focus)
    outcome_of(await api.get(focus), 404)
    told = await explained(api, f"Subscription/{first}", change=change)
    assert answer_of(told) == "event" and "test event" in notes(told)
    told = await explained(api, f"Subscription/{second}", change=change)
    assert answer_of(told) == "no-trigger" and "another Subscription" in notes(told)
    assert other.nothing_unread()


async def test_what_cannot_be_tested_is_refused(api: Api, inbox: Inbox) -> None:
    off = (await api.post("Subscription", subscription(api.base, inbox.url, status="off"))).json()
    (issue,) = outcome_of(await api.post(f"Subscription/{off['id']}/$test"), 422)
    assert "requested" in issue["diagnostics"]
    outcome_of(await api.post("Subscription/nobody/$test"), 404)
    outcome_of(await api.get(f"Subscription/{off['id']}/$test"), 405)
    if api.base is not FhirVersion.R5:
        made = (await api.post("Subscription", classic(inbox.url, f"Patient?_id={fresh_id()}"))).json()
        outcome_of(await api.post(f"Subscription/{made['id']}/$test"), 422)


async def test_nobody_else_makes_test_events(api: Api) -> None:
    coding = {"system": TEST_SYSTEM, "code": "somebody"}
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "event", "valueCoding": coding},
            {"name": "focus", "resource": encounter(api.base, fresh_id(), "p")},
        ],
    }
    assert expressions_of(await api.post("$external-event", body), 400) == ["Parameters.parameter[0]"]
