"""examples/01_first_notification does what its README says, against a real hub."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.e2e.serving import PATIENCE_SECONDS, ROOT, clean_environment, hub_in_development, running

EXAMPLE = ROOT / "examples" / "01_first_notification"


def run(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE / script, *arguments],
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_example_brings_the_first_notification(tmp_path: Path) -> None:
    with hub_in_development(tmp_path) as url:
        done = run("run.py", tmp_path, f"{url}/fhir/r4")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"The receiver got its first notification, event 1: {url}/fhir/r4/Encounter/visit-")


def test_the_example_fails_when_there_is_no_hub(tmp_path: Path) -> None:
    done = run("run.py", tmp_path, "http://127.0.0.1:1/fhir/r4")
    assert done.returncode != 0
    assert "first notification" not in done.stdout


def test_the_subscriber_fails_when_nobody_receives(tmp_path: Path) -> None:
    with socket.socket() as silent, hub_in_development(tmp_path) as url:
        silent.bind(("127.0.0.1", 0))  # taken by us, and nobody listens
        done = run(
            "subscribe.py", tmp_path, f"{url}/fhir/r4", f"http://127.0.0.1:{silent.getsockname()[1]}/notifications"
        )
    assert done.returncode != 0
    assert "the hub cannot reach the endpoint" in done.stderr


def test_the_subscriber_shows_why_it_was_refused(tmp_path: Path) -> None:
    with hub_in_development(tmp_path) as url:
        done = run("subscribe.py", tmp_path, f"{url}/fhir/r4", "no-url")
    assert done.returncode != 0
    assert "answered 422" in done.stderr
    assert "Subscription.channel.endpoint" in done.stderr


def test_the_receiver_is_about_thirty_lines() -> None:
    lines = (EXAMPLE / "receiver.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 35


def test_the_receiver_prints_an_event_that_comes_twice_once(tmp_path: Path) -> None:
    event = [
        {"name": "event-number", "valueString": "1"},
        {"name": "focus", "valueReference": {"reference": "http://127.0.0.1/fhir/r4/Encounter/1"}},
    ]
    parameters = [
        {"name": "type", "valueCode": "event-notification"},
        {"name": "notification-event", "part": event},
    ]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"parameter": parameters}}]}
    with running([str(EXAMPLE / "receiver.py"), "0"], env=clean_environment(tmp_path)) as (_, lines):
        url = lines.wait_for(r"http://\S+")[0]
        for _ in range(2):
            assert httpx.post(url, json=bundle, trust_env=False).status_code == 200
        lines.wait_for("event 1")
        lines.wait_for("event-notification")
    assert str(lines).count("event 1:") == 1
