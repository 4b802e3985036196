"""``$explain``: why a change did, or did not, become an event (HOUSE promise 2). The texts are written by hand."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import (
    ENCOUNTER_START,
    PATIENT_CHANGE,
    classic,
    encounter,
    fresh_id,
    patient,
    subscribe,
    subscription,
    until_status,
)
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Inbox, Reply

NOT_STARTED = "status:not=in-progress,onleave"


async def explained(api: Api, where: str, **query: str) -> httpx.Response:
    """The answer once the change has been judged."""
    for _ in range(500):
        answer = await asked(api, where, **query)
        if answer_of(answer) != "not-judged-yet":
            return answer
        await asyncio.sleep(0.01)
    raise AssertionError(f"{query} is still waiting")


async def asked(api: Api, where: str, **query: str) -> httpx.Response:
    answer = await api.get(f"{where}/$explain?" + "&".join(f"{name}={value}" for name, value in query.items()))
    assert answer.status_code == 200, answer.text
    return answer


def answer_of(answer: httpx.Response) -> str:
    return str(next(each["valueCode"] for each in answer.json()["parameter"] if each["name"] == "answer"))


def part(answer: httpx.Response, name: str) -> dict[str, Any]:
    """The parts of a parameter by their names; the first of a name."""
    parts = next(each["part"] for each in answer.json()["parameter"] if each["name"] == name)
    return {each["name"]: next(value for key, value in each.items() if key != "name") for each in reversed(parts)}


def notes(answer: httpx.Response) -> str:
    return "; ".join(each["valueString"] for each in answer.json()["parameter"] if each["name"] == "note")


async def text(api: Api, where: str, change: str) -> str:
    """The text for people, with what differs from run to run replaced."""
    await explained(api, where, change=change)
    answer = await api.get(f"{where}/$explain?change={change}", Accept="text/plain")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain;charset=utf-8"
    plain = re.sub(r"\d{13}-\d+", "CHANGE", answer.text)
    plain = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "INSTANT", plain)
    return re.sub(r"after \d+ ms", "after N ms", plain)


async def a_subscription(api: Api) -> str:
    answer = await api.post("Subscription", subscription(api.base, "http://127.0.0.1:9000/x", status="off"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_delivered_event_tells_its_number_its_delivery_and_its_attempts(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    inbox.replies = [Reply(503)]
    await api.put(f"Patient/{mark}", patient(mark))
    await inbox.event()
    await inbox.event()
    for _ in range(500):
        answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
        if part(answer, "event")["delivery"] == "delivered":
            break
        await asyncio.sleep(0.01)
    assert answer_of(answer) == "event"
    event = part(answer, "event")
    assert (event["number"], event["delivery"], event["definition-version"]) == ("1", "delivered", "1")
    attempts = next(each for each in answer.json()["parameter"] if each["name"] == "event")["part"][3:]
    codes = [{each["name"]: each for each in attempt["part"]}["outcome"]["valueCode"] for attempt in attempts]
    assert codes == ["failed", "delivered"]
    assert await text(api, f"Subscription/{told['id']}", f"Patient/{mark}/_history/1") == textwrap.dedent(f"""\
        event: this is an event for the Subscription
        change  create of Patient/{mark}/_history/1 (change CHANGE)
        event   number 1, delivered
        attempt INSTANT failed HTTP 503 error-response after N ms
        attempt INSTANT delivered HTTP 200 after N ms

        yes     topic  {PATIENT_CHANGE}|1.0.0
        yes       resourceTrigger[0]
        yes         resource  Patient  <- Patient
        yes         supportedInteraction  create, update, delete  <- create

        yes     filterBy
        yes       filterBy[0]  _id={mark}  <- "{mark}"
        """)


async def test_no_trigger_names_the_clause_and_the_value_it_met(api: Api, inbox: Inbox) -> None:
    visit, person = fresh_id(), fresh_id()
    told = await subscribe(api, inbox, ENCOUNTER_START, filters=(f"patient=Patient/{person}",))
    await api.put(f"Encounter/{visit}", encounter(api.base, visit, person, "planned"))
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Encounter/{visit}")
    assert answer_of(answer) == "no-trigger"
    because = part(answer, "because")
    assert because["subject"] == "resourceTrigger[0].queryCriteria.current.clause[0]"
    assert (because["verdict"], because["value"]) == ("no", '"planned"')
    shown = await text(api, f"Subscription/{told['id']}", f"Encounter/{visit}/_history/1")
    assert shown.splitlines()[:3] == [
        "no-trigger: no trigger of the topic fires for this",
        'because resourceTrigger[0].queryCriteria.current.clause[0]  status=in-progress  <- "planned"',
        f"change  create of Encounter/{visit}/_history/1 (change CHANGE)",
    ]
    assert f'yes       filterBy[0]  patient=Patient/{person}  <- {{"reference":"Patient/{person}"}}' in shown


async def test_a_filter_that_said_no_is_named(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=("_id=somebody-else",))
    await api.put(f"Patient/{mark}", patient(mark))
    shown = await text(api, f"Subscription/{told['id']}", f"Patient/{mark}")
    assert shown == textwrap.dedent(f"""\
        filter-said-no: the topic fires, but a filter of the Subscription says no
        because filterBy[0]  _id=somebody-else  <- "{mark}"
        change  create of Patient/{mark}/_history/1 (change CHANGE)

        yes     topic  {PATIENT_CHANGE}|1.0.0
        yes       resourceTrigger[0]
        yes         resource  Patient  <- Patient
        yes         supportedInteraction  create, update, delete  <- create

        NO      filterBy
        NO        filterBy[0]  _id=somebody-else  <- "{mark}"
        """)


async def test_what_was_there_before_the_subscription_is_said_so(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
    assert answer_of(answer) == "before-subscription"
    assert "before the Subscription" in notes(answer)


async def test_a_loaded_resource_was_never_judged(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    await api.post("$load", {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient(mark)}]})
    assert answer_of(await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")) == "never-judged"


async def test_a_subscription_that_is_off_is_said_so(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    await api.put(f"Subscription/{told['id']}", told | {"status": "off"})
    await api.put(f"Patient/{mark}", patient(mark))
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
    assert answer_of(answer) == "switched-off" and "is off" in notes(answer)
    assert re.search(r"is off since 20\d\d-\S+Z \(the Subscription was written, by developer\)", notes(answer))


async def test_what_waits_because_of_a_pause_says_so(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    path = f"Subscription/{(await subscribe(api, inbox, filters=(f'_id={mark}',)))['id']}"
    await api.post(f"{path}/$pause")
    await api.put(f"Patient/{mark}", patient(mark))
    answer = await explained(api, path, change=f"Patient/{mark}")
    assert part(answer, "event")["delivery"] == "waiting"
    assert "nothing is sent: the Subscription is paused" in notes(answer)


async def test_a_subscription_that_was_changed_since_is_said_so(api: Api, inbox: Inbox) -> None:
    mark, base = fresh_id(), api.base
    told = await subscribe(api, inbox, filters=("_id=other",))
    await api.put(f"Patient/{mark}", patient(mark))
    assert answer_of(await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")) == "filter-said-no"
    changed = subscription(base, inbox.url, filters=(f"_id={mark}",), id=told["id"], status="active")
    assert (await api.put(f"Subscription/{told['id']}", changed)).status_code == 200
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
    assert answer_of(answer) == "changed-since"


async def test_an_event_that_waits_says_what_it_waits_for(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    inbox.reply = Reply(503)
    await api.put(f"Patient/{mark}", patient(mark))
    await until_status(api, told["id"], "error")
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
    assert (answer_of(answer), part(answer, "event")["delivery"]) == ("event", "waiting")
    assert "the Subscription is error" in notes(answer) and "503" in notes(answer)


async def test_a_refused_event_is_told_as_a_dead_letter(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    inbox.reply = Reply(422)
    await api.put(f"Patient/{mark}", patient(mark))
    await until_status(api, told["id"], "error")
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
    assert part(answer, "event")["delivery"] == "dead-letter"


async def test_a_deletion_is_explained_by_its_last_state(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=("active=true",))
    await api.put(f"Patient/{mark}", patient(mark, active=False))
    await api.delete(f"Patient/{mark}")
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}/_history/2")
    assert answer_of(answer) == "filter-said-no"
    assert part(answer, "because")["value"] == "false"


async def test_a_change_can_be_named_by_its_id(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"_id={mark}",))
    event = {"name": "event", "valueCoding": {"code": "A01"}}
    focus = {"name": "focus", "valueReference": {"reference": f"Patient/{mark}"}}
    accepted = await api.post("$external-event", {"resourceType": "Parameters", "parameter": [event, focus]})
    change = accepted.json()["parameter"][0]["valueString"]
    answer = await explained(api, f"Subscription/{told['id']}", change=change)
    assert answer_of(answer) == "no-trigger"


def posted(**given: Any) -> dict[str, Any]:
    """Parameters; dicts are resources, the interaction is a code, other text is a string."""
    parts: list[dict[str, Any]] = []
    for name, value in given.items():
        kind = (
            "resource"
            if isinstance(value, dict)
            else {"interaction": "valueCode", "topic": "valueCanonical"}.get(name, "valueString")
        )
        parts.append({"name": name, kind: value})
    return {"resourceType": "Parameters", "parameter": parts}


async def test_states_can_be_handed_in(api: Api, inbox: Inbox) -> None:
    told = await subscribe(api, inbox, ENCOUNTER_START)
    planned, running = (encounter(api.base, "e", "p", status) for status in ("planned", "in-progress"))
    for body, expected in (
        (posted(previous=planned, current=running), "event"),
        (posted(previous=running, current=running), "no-trigger"),
        (posted(resource=running), "event"),
        (posted(resource=planned), "no-trigger"),
        (posted(previous=running), "no-trigger"),
        (posted(current=running, interaction="update"), "event"),
    ):
        answer = await api.post(f"Subscription/{told['id']}/$explain", body)
        assert (answer.status_code, answer_of(answer)) == (200, expected), (body, answer.text)


async def test_a_subscription_that_is_not_stored_can_be_handed_in(api: Api) -> None:
    wanted = subscription(api.base, "http://127.0.0.1:9000/x", filters=("_id=a",))
    for identity, expected in (("a", "event"), ("b", "filter-said-no")):
        body = posted(subscription=wanted, resource=patient(identity))
        answer = await api.post("Subscription/$explain", body)
        assert (answer.status_code, answer_of(answer)) == (200, expected), answer.text
    unknown = subscription(api.base, "http://127.0.0.1:9000/x", "http://example.org/nothing")
    answer = await api.post("Subscription/$explain", posted(subscription=unknown, resource=patient("a")))
    assert answer_of(answer) == "topic-unusable" and "not known" in notes(answer)
    assert (await api.get("Subscription?_summary=count&url=http://127.0.0.1:9000/x")).json()["total"] >= 0


async def test_a_topic_can_be_asked_alone(api: Api) -> None:
    kind = "Basic" if api.base is FhirVersion.R4 else "SubscriptionTopic"
    running = encounter(api.base, "e", "p")
    by_canonical = await api.post(f"{kind}/$explain", posted(topic=ENCOUNTER_START, resource=running))
    by_id = await api.post(f"{kind}/encounter-start/$explain", posted(resource=running))
    for answer in (by_canonical, by_id):
        assert (answer.status_code, answer_of(answer)) == (200, "event"), answer.text
    if kind == "SubscriptionTopic":
        trigger = {"resource": "Patient", "fhirPathCriteria": "%current.active = true"}
        own = {"resourceType": kind, "url": "http://example.org/t", "status": "active", "resourceTrigger": [trigger]}
        answer = await api.post(f"{kind}/$explain", posted(topic=own, resource=patient("a", active=False)))
        assert answer_of(answer) == "no-trigger"
        assert part(answer, "because")["text"].startswith("%current.active")


@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B], indirect=True)
async def test_a_classic_subscription_is_explained_too(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    told = (await api.post("Subscription", classic(inbox.url, "Patient?active=true"))).json()
    await api.put(f"Patient/{mark}", patient(mark, active=False))
    answer = await explained(api, f"Subscription/{told['id']}", change=f"Patient/{mark}")
    assert answer_of(answer) == "filter-said-no"


async def test_a_change_that_waits_is_said_so(
    start_hub: Callable[..., Awaitable[RunningHub]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = await start_hub()
    api = hub.api(FhirVersion.R5)
    identity = await a_subscription(api)

    async def nothing(*_: Any, **__: Any) -> tuple[list[Any], str]:
        return [], "0-0"

    monkeypatch.setattr(hub.hub.changes, "after_and_news", nothing)  # the evaluator sees none of what is accepted
    await api.put("Patient/1", patient("1"))
    assert answer_of(await asked(api, f"Subscription/{identity}", change="Patient/1")) == "not-judged-yet"


BAD: list[tuple[dict[str, Any], str]] = [
    (posted(), "Parameters.parameter"),
    (posted(change="yesterday"), "Parameters.parameter"),
    (posted(change="Patient/1", resource=patient("1")), "Parameters.parameter"),
    (posted(resource=patient("1"), current=patient("1")), "Parameters.parameter"),
    (posted(previous=patient("1"), interaction="create"), "Parameters.parameter"),
    (posted(resource=patient("1"), interaction="explode"), "Parameters.parameter"),
    (posted(resource=patient("1"), subscription=patient("1")), "Parameters.parameter"),
    (posted(resource=patient("1"), topic="x"), "Parameters.parameter"),
    ({"resourceType": "Parameters", "parameter": [{"name": "resource", "valueString": "x"}]},
     "Parameters.parameter[0]"),
    ({"resourceType": "Parameters", "parameter": [{"name": "who"}]}, "Parameters.parameter[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "element"), BAD)
async def test_what_cannot_be_read_is_refused_and_names_the_parameter(
    api: Api, body: dict[str, Any], element: str
) -> None:
    identity = await a_subscription(api)
    assert expressions_of(await api.post(f"Subscription/{identity}/$explain", body), 400) == [element]


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    identity = await a_subscription(api)
    for where, change in ((f"Subscription/{identity}", "Patient/none"), (f"Subscription/{identity}", "1-1"),
                          ("Subscription/none", "Patient/none")):  # fmt: skip
        assert outcome_of(await api.get(f"{where}/$explain?change={change}"), 404)
    assert outcome_of(await api.get(f"Subscription/{identity}/$explain?change=Patient/1&x=1"), 400)
    assert outcome_of(await api.get(f"Subscription/{identity}/$explain?change=Patient/1", Accept="text/html"), 406)
