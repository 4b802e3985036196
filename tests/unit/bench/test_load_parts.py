"""The parts of the load and of the receivers: requests, what notifications say, options, the schedule."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from hub.bench.child import Child
from hub.bench.counter import Counter
from hub.bench.load import Load
from hub.bench.notifications import read
from hub.bench.options import add_options, plan_of
from hub.bench.plan import FLAVOURS
from hub.bench.receiver import Notebook
from hub.bench.requests import maker
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from hub.fhir.dialects import dialect
from hub.fhir.subscriptions import Limits

JOB = {"host": "h", "port": 1, "path": "/fhir", "label": "l"}


def body_of(request: bytes) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_subscription_of_each_flavour_is_one_that_the_hub_reads(flavour: str) -> None:
    job = {
        **JOB, "what": "subscriptions", "matches": 10, "receiver": "http://127.0.0.1:9", "flavour": flavour,
        "topic": "http://t", "content": "id-only",
    }  # fmt: skip
    resource = body_of(maker(job)(25))
    version = FhirVersion(flavour.removesuffix("-classic"))
    told = dialect(version).read_subscription(resource, Limits())
    assert told.channel.endpoint == "http://127.0.0.1:9/n/l/25"
    assert "Patient/l-2" in json.dumps(resource)
    assert told.is_classic is (flavour == "r4-classic")


def test_a_change_is_of_its_group_and_has_a_name_of_its_own() -> None:
    make = maker({**JOB, "what": "changes", "prefix": "p", "groups": 3, "token": "secret"})
    request = make(7)
    assert request.startswith(b"PUT /fhir/Observation/p-7 HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in request
    resource = body_of(request)
    assert (resource["id"], resource["subject"]) == ("p-7", {"reference": "Patient/l-1"})


R5_EVENT = {"eventNumber": "3", "focus": {"reference": "Observation/p-7"}}
R4_EVENT = {
    "name": "notification-event",
    "part": [
        {"name": "event-number", "valueString": "3"},
        {"name": "focus", "valueReference": {"reference": "http://h/Observation/p-7"}},
    ],
}


def test_number_and_focus_are_read_from_either_shape_of_a_notification() -> None:
    status = {"resourceType": "SubscriptionStatus", "type": "event-notification", "notificationEvent": [R5_EVENT]}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "type", "valueCode": "event-notification"}, R4_EVENT],
    }
    for resource, focus in ((status, "Observation/p-7"), (parameters, "http://h/Observation/p-7")):
        body = json.dumps({"entry": [{"resource": resource}]}).encode()
        assert read(body) == ("event-notification", [(3, focus)])


def test_the_receivers_tell_a_phase_from_an_earlier_one_and_say_what_they_could_not_read() -> None:
    status = {"resourceType": "SubscriptionStatus", "type": "event-notification", "notificationEvent": [R5_EVENT]}
    body = json.dumps({"entry": [{"resource": status}]}).encode()
    notebook = Notebook()
    for path, said in ((b"/n/l/25", body), (b"/n/l/25", b"{}"), (b"/n/l/4/Observation/p-8", b""), (b"/bare", b"")):
        notebook.note(path, said)
    told = notebook.take("l", "p")
    assert [row[1:] for row in told["rows"]] == [(25, 3, 7), (4, 0, 8)]
    assert (told["late"], told["unreadable"], told["handshakes"]) == (0, 1, 0)
    notebook.note(b"/n/l/25", body)
    assert notebook.take("l", "later") == {"handshakes": 0, "late": 1, "unreadable": 0, "rows": []}


def test_the_counter_is_seen_by_whoever_opens_its_file(tmp_path: Path) -> None:
    path = str(tmp_path / "counter")
    writer, reader = Counter(path), Counter(path)
    writer.up()
    writer.up()
    assert reader.read() == 2


async def served(handle: Any, job: dict[str, Any]) -> dict[str, Any]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await Load({**JOB, "host": "127.0.0.1", "port": port, "deadline": 10, **job}).run()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, then the connection ends: what servers with a short keep-alive do all the time."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0]))
    writer.write(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def test_moments_of_the_open_loop_are_the_schedules_whatever_the_server_does() -> None:
    job = {"what": "changes", "prefix": "p", "groups": 1, "rate": 100, "seconds": 0.1, "connections": 1}
    told = await served(answer, job)
    moments = dict(told["accepted"])
    assert told["statuses"] == {"201": 10}
    assert [moments[number] - told["begin"] for number in range(10)] == [number * 10_000_000 for number in range(10)]


async def test_a_server_that_refuses_has_accepted_nothing() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    told = await served(refuse, {"what": "changes", "prefix": "p", "groups": 1, "count": 3, "connections": 2})
    assert (told["statuses"], told["accepted"], told["unanswered"]) == ({"429": 3}, [], 0)


async def test_no_more_is_sent_than_the_window_leaves_room_for(tmp_path: Path) -> None:
    job = {
        "what": "changes", "prefix": "p", "groups": 1, "seconds": 0.1, "connections": 1, "matches": 10, "window": 30,
        "counter": str(tmp_path / "counter"),
    }  # fmt: skip
    began = time.monotonic_ns()
    told = await served(answer, job)
    assert told["sent"] == 3  # thirty notifications are under way, and none ever arrives
    assert told["begin"] >= began


async def test_the_aiohttp_loop_counts_what_was_answered() -> None:
    pytest.importorskip("aiohttp", reason="needs the extra bench")
    loop = Child("hub.bench.aiohttp_loop")
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        await loop.start()
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bare"
        told = await loop.ask(url=url, connections=2, seconds=0.1)
        await loop.stop()
    assert told["answered"] >= 2


def plan_from(*arguments: str) -> Any:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return plan_of(parser.parse_args(arguments))


def test_quick_leaves_what_was_asked_for() -> None:
    assert plan_from("--quick").rounds == 1
    plan = plan_from("--quick", "--rounds", "2", "--subscriptions", "20")
    assert (plan.rounds, plan.subscriptions) == (2, 20)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--matches", "10", "--subscriptions", "5"), "cannot concern 10 of 5"),
        (("--target", "http://h", "--profile", "f"), "--profile"),
        (("--watch", "me=1"), "--watch"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CannotStart, match=reason):
        plan_from(*arguments)
