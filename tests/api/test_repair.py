"""Looking into deliveries and repairing them on the three bases: $attempts, $transitions, $dead-letters,
$resend (S-190, S-191, ruling 19), $pause."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from hub.api import repairing
from hub.domain.versions import FhirVersion
from hub.intake import repair
from tests.api.builders import PATIENT_CHANGE, classic, fresh_id, patient, subscribe, subscription, until_status
from tests.api.harness import Api, RunningHub, outcome_of
from tests.api.receiver import Inbox, Reply


def parameters(**values: Any) -> dict[str, Any]:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, "valueString": str(value)} for name, value in values.items()],
    }


def told(answer: httpx.Response, name: str) -> list[dict[str, Any]]:
    """The parts of every parameter of this name, by their names."""
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "Parameters"
    return [
        {part["name"]: next(value for key, value in part.items() if key != "name") for part in each["part"]}
        for each in answer.json().get("parameter", ())
        if each["name"] == name
    ]


def said(answer: httpx.Response) -> str:
    """What an OperationOutcome says that refuses nothing."""
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["severity"] in ("information", "warning") for issue in outcome["issue"])
    return "; ".join(issue["diagnostics"] for issue in outcome["issue"])


async def until(ask: Callable[[], Any], true: Callable[[Any], bool]) -> Any:
    """The answer once it is as it should be."""
    for _ in range(500):
        answer = await ask()
        if true(answer):
            return answer
        await asyncio.sleep(0.01)
    raise AssertionError(answer.text if isinstance(answer, httpx.Response) else answer)


async def with_events(api: Api, inbox: Inbox, count: int, **options: Any) -> tuple[str, str]:
    """A Subscription with delivered events; its path, and the Patient they are about."""
    mark = fresh_id()
    shown = await subscribe(api, inbox, filters=(f"_id={mark}",), **options)
    for _ in range(count):
        await api.put(f"Patient/{mark}", patient(mark, active=True))
    assert await inbox.numbers(count) == list(range(1, count + 1))
    return f"Subscription/{shown['id']}", mark


async def refused(api: Api, inbox: Inbox, count: int) -> tuple[str, str]:
    """A Subscription all of whose events were refused."""
    mark = fresh_id()
    shown = await subscribe(api, inbox, filters=(f"_id={mark}",))
    inbox.replies = [Reply(422)] * count
    for _ in range(count):
        await api.put(f"Patient/{mark}", patient(mark))
    await inbox.numbers(count)
    path = f"Subscription/{shown['id']}"
    await until(lambda: api.get(f"{path}/$dead-letters"), lambda found: len(told(found, "dead-letter")) == count)
    return path, mark


async def test_attempts_tell_time_numbers_status_duration_and_error_and_no_body(api: Api, inbox: Inbox) -> None:
    path, mark = await with_events(api, inbox, 1)
    inbox.replies = [Reply(503)]
    await api.put(f"Patient/{mark}", patient(mark))
    await inbox.event()
    await inbox.event()
    answer = await until(
        lambda: api.get(f"{path}/$attempts"), lambda found: len(told(found, "attempt")) == 4
    )  # fmt: skip
    attempts = told(answer, "attempt")
    assert [(each["duty"], each.get("first-number"), each["outcome"], each["http-status"]) for each in attempts] == [
        ("handshake", None, "delivered", 200),
        ("events", "1", "delivered", 200),
        ("events", "2", "failed", 503),
        ("events", "2", "delivered", 200),
    ]
    assert attempts[2]["error"] == "error-response" and attempts[2]["last-number"] == "2"
    assert all(each["milliseconds"] >= 0 and each["at"].endswith("Z") for each in attempts)
    assert mark not in answer.text


async def test_transitions_tell_when_where_to_and_why(api: Api, inbox: Inbox) -> None:
    path, _ = await refused(api, inbox, 1)
    answer = await api.get(f"{path}/$transitions")
    moves = [(each.get("from"), each["to"], each["cause"]) for each in told(answer, "transition")]
    assert moves == [
        (None, "requested", "client"), ("requested", "active", "handshake"), ("active", "error", "event-refused"),
    ]  # fmt: skip
    parts = {each["name"]: each for each in answer.json()["parameter"]}
    assert parts["status"]["valueCode"] == "error" and parts["paused"]["valueBoolean"] is False
    instants = [each["at"] for each in told(answer, "transition")]
    assert instants == sorted(instants)


async def test_a_transition_says_whose_request_it_was_and_names_nobody_when_it_was_none(
    start_hub: Callable[..., Awaitable[RunningHub]], inbox: Inbox, base: FhirVersion
) -> None:
    """Ruling 31: the holder of a token is the operator, whoever wrote the Subscription before."""
    running = await start_hub(token="test-token-one")
    running.client.headers["Authorization"] = "Bearer test-token-one"
    api = running.api(base)
    path, _ = await refused(api, inbox, 1)
    await api.post(f"{path}/$dead-letters?action=drop&number=1")
    await api.post(f"{path}/$pause")
    await api.post(f"$stop?topic={PATIENT_CHANGE}")
    await api.post(f"$start?topic={PATIENT_CHANGE}")
    await api.post(f"{path}/$resume")
    now = (await api.get(path)).json()
    await api.put(path, {**now, "status": "off"})
    answer = await api.get(f"{path}/$transitions")
    assert [(each["cause"], each.get("by")) for each in told(answer, "transition")] == [
        ("client", "operator"), ("handshake", None), ("event-refused", None), ("no-dead-letters", "operator"),
        ("paused", "operator"), ("topic-stopped", "operator"), ("topic-started", "operator"), ("resumed", "operator"),
        ("client", "operator"),
    ]  # fmt: skip
    assert told(answer, "transition")[-1]["text"] == "the Subscription was written, by operator"
    assert (await api.delete(path)).status_code == 204
    (issue,) = outcome_of(await api.get(f"{path}/$transitions"), 410)
    assert re.search(r"was deleted at 20\S+Z by operator$", issue["diagnostics"])
    restored = {name: value for name, value in now.items() if name != "meta"} | {"status": "requested"}
    assert (await api.put(path, restored)).status_code == 201
    moves = told(await api.get(f"{path}/$transitions"), "transition")
    assert [(each.get("from"), each["to"]) for each in moves[:2]] == [("off", "gone"), (None, "requested")]


async def test_dead_letters_are_listed_and_redriven_and_then_it_is_active(api: Api, inbox: Inbox) -> None:
    """Ruling 19."""
    path, _ = await refused(api, inbox, 2)
    letters = told(await api.get(f"{path}/$dead-letters"), "dead-letter")
    assert [(each["number"], each["http-status"], each["being-redriven"]) for each in letters] == [
        ("1", 422, False), ("2", 422, False),
    ]  # fmt: skip
    assert "1 to 2" in said(await api.post(f"{path}/$dead-letters", parameters(action="redrive")))
    assert await inbox.numbers(2) == [1, 2]
    await until_status(api, path.partition("/")[2], "active")
    assert told(await api.get(f"{path}/$dead-letters"), "dead-letter") == []
    outcome_of(await api.post(f"{path}/$dead-letters", parameters(action="redrive")), 404)
    moves = told(await api.get(f"{path}/$transitions"), "transition")
    assert (moves[-1]["to"], moves[-1]["cause"]) == ("active", "no-dead-letters")


async def test_some_dead_letters_are_redriven_and_others_dropped(api: Api, inbox: Inbox) -> None:
    path, _ = await refused(api, inbox, 4)
    identity = path.partition("/")[2]
    await api.post(f"{path}/$dead-letters?action=redrive&number=2")
    assert await inbox.numbers(1) == [2]
    await until(lambda: api.get(f"{path}/$dead-letters"), lambda found: len(told(found, "dead-letter")) == 3)
    assert (await api.get(path)).json()["status"] == "error"
    assert said(await api.post(f"{path}/$dead-letters?action=drop&number=1,3-9")) == "dropped 3 dead letters"
    await until_status(api, identity, "active")
    assert inbox.nothing_unread()


async def test_a_dead_letter_that_is_refused_again_stays_one(api: Api, inbox: Inbox) -> None:
    path, _ = await refused(api, inbox, 1)
    inbox.replies = [Reply(400)]
    await api.post(f"{path}/$dead-letters?action=redrive")
    assert await inbox.numbers(1) == [1]
    (letter,) = await until(
        lambda: api.get(f"{path}/$dead-letters"), lambda found: told(found, "dead-letter")[0]["http-status"] == 400
    ) and told(await api.get(f"{path}/$dead-letters"), "dead-letter")
    assert letter["being-redriven"] is False
    assert (await api.get(path)).json()["status"] == "error"


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("POST", "action=mend"), ("POST", "number=1"), ("POST", "action=drop"), ("POST", "action=drop&number=0"),
        ("POST", "action=redrive&number=3-1"), ("POST", "action=drop&number=1-5000"), ("POST", "what=1"),
        ("POST", "action=redrive&number=" + ",".join("1" * 1001)),
        ("GET", "action=redrive"), ("PUT", ""),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_with_dead_letters_is_refused(
    api: Api, inbox: Inbox, method: str, query: str
) -> None:
    shown = await subscribe(api, inbox)
    outcome_of(await api.call(method, f"Subscription/{shown['id']}/$dead-letters?{query}"), 400, 405)


async def test_resent_events_arrive_with_their_numbers_and_the_count_stays(api: Api, inbox: Inbox) -> None:
    """S-190, S-191: 5..7 arrives as it was, of type event-notification; eventsSinceSubscriptionStart is unchanged."""
    path, mark = await with_events(api, inbox, 5, content="full-resource")
    first = next(each.request for each in inbox.everything if each.type == "event-notification" and 3 in each.numbers)
    answer = await api.post(f"{path}/$resend", parameters(eventsSinceNumber=2, eventsUntilNumber=4))
    assert "2 to 4" in said(answer)
    again = [await inbox.event() for _ in range(3)]
    assert [each.numbers for each in again] == [[2], [3], [4]]
    assert [each.carrier["eventsSinceSubscriptionStart"] for each in again] == ["2", "3", "4"]
    assert all(mark in each.body.decode() for each in again)
    identifiers = [each.header("webhook-id") for each in again]
    assert len(set(identifiers)) == 3 and first.values("webhook-id") != [identifiers[1]], "a repeat would be dropped"
    status = (await api.get(f"{path}/$status")).json()
    assert '"5"' in str(status).replace("'", '"')
    await api.put(f"Patient/{mark}", patient(mark))
    assert await inbox.numbers(1) == [6]


async def test_a_failed_resending_is_repeated_with_the_same_id(api: Api, inbox: Inbox) -> None:
    path, _ = await with_events(api, inbox, 2)
    inbox.replies = [Reply(503)]
    again = f"{path}/$resend?eventsSinceNumber=2"
    await until(lambda: api.post(again), lambda found: found.status_code == 200)  # its 200 may not be written down yet
    first, second = await inbox.event(), await inbox.event()
    assert first.numbers == second.numbers == [2]
    assert first.header("webhook-id") == second.header("webhook-id")
    assert first.body == second.body


async def test_a_late_joiner_asks_by_instant(api: Api, inbox: Inbox) -> None:
    """A40: from a moment on, both bounds belong to it."""
    path, mark = await with_events(api, inbox, 2)
    await asyncio.sleep(0.01)  # another millisecond than that of the second event
    instant = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await api.put(f"Patient/{mark}", patient(mark))
    assert await inbox.numbers(1) == [3]
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "eventsSinceInstant", "valueInstant": instant}],
    }
    assert said(await until_delivered(api, path, body)).endswith("what waits: 3")
    assert await inbox.numbers(1) == [3]
    said(await api.post(f"{path}/$resend?eventsUntilInstant={instant}"))
    assert await inbox.numbers(2) == [1, 2]
    outcome_of(await api.post(f"{path}/$resend?eventsSinceInstant=2999-01-01T00:00:00Z"), 404)


async def until_delivered(api: Api, path: str, body: dict[str, Any]) -> httpx.Response:
    """The answer once the receiver's 200 has been written down."""
    return await until(lambda: api.post(f"{path}/$resend", body), lambda found: found.status_code == 200)


async def test_only_an_active_subscription_is_resent_to(api: Api, inbox: Inbox) -> None:
    """S-191."""
    path, _ = await refused(api, inbox, 1)
    (issue,) = outcome_of(await api.post(f"{path}/$resend?eventsSinceNumber=1"), 422)
    assert "active" in issue["diagnostics"]


async def test_numbers_past_their_retention_are_named_and_the_others_sent(
    running: RunningHub, api: Api, inbox: Inbox
) -> None:
    path, _ = await with_events(api, inbox, 5)
    await until_delivered(api, path, parameters(eventsSinceNumber=5))
    assert await inbox.numbers(1) == [5]
    name = f"default|{api.base}|{path.partition('/')[2]}"
    trimmed = await until(lambda: running.hub.event_log.trim(name, 4), bool)
    assert trimmed == 3
    answer = said(await api.post(f"{path}/$resend", parameters(eventsSinceNumber=2)))
    assert "4 to 5" in answer and "events 2 to 3 are past their retention and no longer held" in answer
    assert await inbox.numbers(2) == [4, 5]
    (issue,) = outcome_of(await api.post(f"{path}/$resend", parameters(eventsUntilNumber=3)), 404)
    assert "held: 4 to 5" in issue["diagnostics"]


async def test_an_instant_is_looked_for_among_so_many_events_and_no_more(
    api: Api, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = await with_events(api, inbox, 3)
    monkeypatch.setattr(repair, "MOST_SEARCHED", 2)
    await until_delivered(api, path, parameters(eventsSinceNumber=3))
    asked = f"{path}/$resend?eventsSinceInstant=2020-01-01T00:00:00Z"
    (issue,) = outcome_of(await api.post(asked), 422)
    assert issue["code"] == "too-costly" and "eventsSinceNumber" in issue["diagnostics"]
    assert said(await api.post(f"{asked}&eventsUntilNumber=2")).endswith("1 to 2")


async def test_what_finds_no_room_among_what_is_sent_again_is_told_and_then_refused(
    api: Api, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = await refused(api, inbox, 4)
    await api.post(f"{path}/$pause")
    monkeypatch.setattr(repair, "MOST_STRETCHES", 1)
    answer = await api.post(f"{path}/$dead-letters?action=redrive&number=1,3")
    assert "from number 3 on found no room" in said(answer)
    (issue,) = outcome_of(await api.post(f"{path}/$dead-letters?action=redrive&number=3"), 409)
    assert "wait to be sent again" in issue["diagnostics"]
    await api.post(f"{path}/$resume")
    assert await inbox.numbers(1) == [1]


async def test_a_long_list_of_dead_letters_says_how_many_it_leaves_out(
    api: Api, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = await refused(api, inbox, 3)
    monkeypatch.setattr(repairing, "MOST_LISTED", 2)
    answer = await api.get(f"{path}/$dead-letters")
    assert [each["number"] for each in told(answer, "dead-letter")] == ["1", "2"]
    assert answer.json()["parameter"][-1] == {"name": "not-listed", "valueInteger": 1}


@pytest.mark.parametrize(
    "query",
    [
        "", "eventsSinceNumber=x", "eventsSinceNumber=3&eventsUntilNumber=2", "eventsSinceInstant=yesterday",
        "eventsSinceInstant=2026-01-02T00:00:00Z&eventsUntilInstant=2026-01-01T00:00:00Z", "from=1",
    ],
)  # fmt: skip
async def test_what_cannot_be_resent_is_refused(api: Api, inbox: Inbox, query: str) -> None:
    shown = await subscribe(api, inbox)
    outcome_of(await api.post(f"Subscription/{shown['id']}/$resend?{query}"), 400)


async def test_resending_what_is_not_held_or_not_there_is_not_found(api: Api, inbox: Inbox) -> None:
    path, _ = await with_events(api, inbox, 1)
    outcome_of(await api.post(f"{path}/$resend?eventsSinceNumber=7"), 404)
    for operation in ("$attempts", "$transitions", "$dead-letters"):
        outcome_of(await api.get(f"Subscription/nobody/{operation}"), 404)
    outcome_of(await api.post("Subscription/nobody/$resend?eventsSinceNumber=1"), 404)
    outcome_of(await api.get(f"{path}/$resend?eventsSinceNumber=1"), 405)
    await api.delete(path)
    outcome_of(await api.get(f"{path}/$attempts"), 410)


@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B])
async def test_a_classic_subscription_has_no_numbers_to_resend_by(api: Api, inbox: Inbox) -> None:
    """S-017."""
    created = await api.post("Subscription", classic(inbox.url, f"Patient?_id={fresh_id()}"))
    outcome_of(await api.post(f"Subscription/{created.json()['id']}/$resend?eventsSinceNumber=1"), 422)


async def test_a_paused_subscription_gets_everything_in_order_when_it_is_resumed(api: Api, inbox: Inbox) -> None:
    """PEERS rank 18: pause, write k, resume: k arrive in order."""
    path, mark = await with_events(api, inbox, 1)
    paused = await api.post(f"{path}/$pause")
    assert {each["name"]: each.get("valueBoolean") for each in paused.json()["parameter"]}["paused"] is True
    for _ in range(3):
        await api.put(f"Patient/{mark}", patient(mark))
    answer = await until(
        lambda: api.post(f"{path}/$pause"), lambda found: '"waiting","valueString":"3"' in found.text
    )  # fmt: skip
    values = {each["name"]: each.get("valueString") for each in answer.json()["parameter"]}
    assert values["oldest-waiting"] == "2" and values["reason"] == "the Subscription is paused"
    assert "expires" in str(values["kept"])
    assert inbox.nothing_unread()
    resumed = await api.post(f"{path}/$resume")
    assert resumed.json()["parameter"][0] == {"name": "paused", "valueBoolean": False}
    assert await inbox.numbers(3) == [2, 3, 4]
    causes = [each["cause"] for each in told(await api.get(f"{path}/$transitions"), "transition")]
    assert causes[-2:] == ["paused", "resumed"]


async def test_pausing_is_a_post_without_parameters(api: Api, inbox: Inbox) -> None:
    shown = await subscribe(api, inbox)
    outcome_of(await api.get(f"Subscription/{shown['id']}/$pause"), 405)
    outcome_of(await api.post(f"Subscription/{shown['id']}/$pause?until=tomorrow"), 400)
    outcome_of(await api.post(f"Subscription/{shown['id']}/$resume", parameters(x=1)), 400)
    outcome_of(await api.post(f"Subscription/{shown['id']}/$resume", patient()), 400)
    outcome_of(await api.post("Subscription/nobody/$pause"), 404)


async def test_a_paused_subscription_is_not_shaken_hands_with_before_it_is_resumed(api: Api, inbox: Inbox) -> None:
    body = subscription(api.base, inbox.url, status="off")
    written = (await api.post("Subscription", body)).json()
    path = f"Subscription/{written['id']}"
    await api.post(f"{path}/$pause")
    await api.put(path, written | {"status": "requested"})
    assert (await api.get(path)).json()["status"] == "requested"
    await api.post(f"{path}/$resume")
    await inbox.next("handshake")
    assert len(inbox.everything) == 1
