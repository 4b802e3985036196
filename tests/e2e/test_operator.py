"""The operator's commands on a real hub: status, events, resend, dead-letters, pause, resume."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.cli import main
from tests.e2e.serving import PATIENCE_SECONDS, hub_in_development

TOPIC = "https://fhir-notification-hub.example/topics/patient-change"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"


class Receiver:
    """Keeps the event numbers it is sent, refuses those it is told to."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.refuses: set[int] = set()
        self.url = ""

    def take(self, body: bytes) -> int:
        parameters = json.loads(body)["entry"][0]["resource"]["parameter"]
        events = [each["part"] for each in parameters if each["name"] == "notification-event"]
        numbers = [int(part["valueString"]) for parts in events for part in parts if part["name"] == "event-number"]
        self.numbers += numbers
        return 422 if self.refuses & set(numbers) else 200


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.take(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def hub_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with hub_in_development(tmp_path_factory.mktemp("operator"), HUB_RETRY_INITIAL_MS="20") as url:
        yield url


@pytest.fixture
def command(
    hub_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Runs one command of the line; what it wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUB_BASE_URL", hub_url)

    def run(*arguments: str, code: int = 0) -> str:
        assert main(list(arguments)) == code
        written = capsys.readouterr()
        return written.err if code else written.out

    return run


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def subscribed(hub_url: str, receiver: Receiver, mark: str) -> str:
    """The id of an active Subscription to one Patient."""
    body = {
        "resourceType": "Subscription", "status": "requested", "reason": "test", "criteria": TOPIC,
        "_criteria": {"extension": [{"url": BACKPORT + "backport-filter-criteria", "valueString": f"_id={mark}"}]},
        "channel": {
            "type": "rest-hook", "endpoint": receiver.url, "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": BACKPORT + "backport-payload-content", "valueCode": "id-only"}]},
        },
    }  # fmt: skip
    answer = httpx.post(f"{hub_url}/fhir/r4/Subscription", json=body, headers=HEADERS, trust_env=False)
    assert answer.status_code == 201, answer.text
    url = f"{hub_url}/fhir/r4/Subscription/{answer.json()['id']}"
    until(lambda: httpx.get(url, trust_env=False).json()["status"] == "active")
    return str(answer.json()["id"])


HEADERS = {"Content-Type": "application/fhir+json"}


def change(hub_url: str, mark: str, times: int = 1) -> None:
    for _ in range(times):
        body = {"resourceType": "Patient", "id": mark}
        httpx.put(f"{hub_url}/fhir/r4/Patient/{mark}", json=body, headers=HEADERS, trust_env=False)


def test_events_are_listed_and_sent_again(hub_url: str, receiver: Receiver, command: Callable[..., str]) -> None:
    identity = subscribed(hub_url, receiver, "p1")
    change(hub_url, "p1", 4)
    until(lambda: receiver.numbers == [1, 2, 3, 4])
    until(lambda: "events 4  delivered" in command("status", identity))
    listed = command("events", identity, "--from", "2").splitlines()
    assert [line.split()[0] for line in listed] == ["2", "3", "4", "3"] and listed[-1] == "3 of 4 events"
    assert "Patient/p1" in listed[0]
    assert "2 to 3" in command("resend", identity, "--from", "2", "--to", "3")
    until(lambda: receiver.numbers == [1, 2, 3, 4, 2, 3])
    assert "1 to 4" in command("resend", f"Subscription/{identity}", "--from", "2020-01-01T00:00:00Z")
    until(lambda: receiver.numbers[6:] == [1, 2, 3, 4])


def test_dead_letters_are_listed_redriven_and_dropped(
    hub_url: str, receiver: Receiver, command: Callable[..., str]
) -> None:
    identity = subscribed(hub_url, receiver, "p2")
    receiver.refuses = {1, 2}
    change(hub_url, "p2", 2)
    until(lambda: "2 dead letters" in command("dead-letters", identity))
    assert "HTTP status 422" in command("dead-letters", identity)
    until(lambda: f"{identity}  " in command("status") and "error" in command("status"))
    receiver.refuses = set()
    assert "again, after what waits: 1" in command("dead-letters", identity, "--redrive", "1")
    until(lambda: "1 dead letter\n" in command("dead-letters", identity))
    assert command("dead-letters", identity, "--drop", "2") == "dropped 1 dead letter\n"
    assert "no dead letter is left" in command("status", identity)


def test_a_pause_is_told_and_ended(hub_url: str, receiver: Receiver, command: Callable[..., str]) -> None:
    identity = subscribed(hub_url, receiver, "p3")
    assert "held back: the Subscription is paused" in command("pause", identity)
    change(hub_url, "p3", 2)
    until(lambda: "2 waiting, from number 1 on; kept until they are delivered" in command("pause", identity))
    assert "held back: the Subscription is paused" in command("status", identity)
    assert "goes on" in command("resume", identity)
    until(lambda: receiver.numbers == [1, 2])


def test_a_test_event_arrives(hub_url: str, receiver: Receiver, command: Callable[..., str]) -> None:
    identity = subscribed(hub_url, receiver, "p5")
    assert command("test", identity).startswith("Basic/hub-test-")
    until(lambda: receiver.numbers == [1])


def test_a_topic_is_stopped_and_started(hub_url: str, receiver: Receiver, command: Callable[..., str]) -> None:
    identity = subscribed(hub_url, receiver, "p4")
    told = command("stop", "--topic", TOPIC)
    assert f"topic {TOPIC}" in told and "concerned" in told
    change(hub_url, "p4")
    until(lambda: "1 event numbered" in command("status", identity))
    assert "its topic is stopped by the operator" in command("status", identity)
    assert "stopped since" not in command("start", "--topic", TOPIC)
    until(lambda: receiver.numbers == [1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "nobody"], ["events", "nobody"], ["dead-letters", "nobody"], ["resend", "nobody", "--from", "1"],
        ["resend", "nobody"], ["pause", "nobody"], ["dead-letters", "nobody", "--drop", "x"],
    ],
)  # fmt: skip
def test_what_cannot_be_done_ends_with_2_and_says_why(command: Callable[..., str], arguments: list[str]) -> None:
    assert command(*arguments, code=2).startswith("hub: ")


def test_a_hub_that_is_not_there_ends_with_2(command: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_BASE_URL", "http://127.0.0.1:1")
    assert "does not answer" in command("status", code=2)


@pytest.mark.parametrize("base", ["r4b", "r5"])
def test_the_base_is_chosen(command: Callable[..., str], base: str) -> None:
    assert command("status", "--base", base) == "0 Subscriptions\n"
