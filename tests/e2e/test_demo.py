"""``hub demo`` tells its whole story with real processes, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.e2e.serving import PATIENCE_SECONDS, clean_environment, processes_below, running

STORY = (
    "A hub and a receiver start",
    "The receiver subscribes to admissions",
    "← handshake",
    "$status says active",
    "← #1 ",
    "← #2 ",
    "← #3 ",
    "three admissions, numbers 1 to 3",
    "The receiver goes down",
    "attempt 3 failed (no-response)",
    "$status says error: 127.0.0.1",
    "The receiver is back",
    "← #4 ",
    "← #5 ",
    "← #6 ",
    "$status says active again",
    "kill -9 ",
    "the hub runs again",
    "← #8 ",
    "number 8 follows without a gap",
    "Seen: 8 admissions, 8 numbers, 1 to 8 in order, none missing, none different",
)


def demo(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub", "demo", "--once"],
        cwd=folder,
        env=clean_environment(folder) | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def assert_nothing_is_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert processes_below(folder) == []


def test_the_demo_shows_every_step_within_a_minute(short_path: Path) -> None:
    began = time.monotonic()
    done = demo(short_path)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert seconds < 60
    at = 0
    for line in STORY:
        found = done.stdout.find(line, at)
        assert found >= 0, f"{line!r} is missing, or not in its place:\n{done.stdout}"
        at = found
    assert "\033" not in done.stdout
    assert done.stderr == ""
    assert_nothing_is_left(short_path)


def test_the_demo_says_what_it_did_not_see_and_fails(short_path: Path) -> None:
    done = demo(short_path, HUB_REDIS_SERVER="/bin/false")
    assert done.returncode == 1
    assert "expected: the hub runs" in done.stdout
    assert "/bin/false is not a Redis or Valkey server" in done.stdout
    assert_nothing_is_left(short_path)


def test_settings_of_another_hub_do_not_reach_the_demo(short_path: Path) -> None:
    elsewhere = {"HUB_REDIS_URL": "redis://127.0.0.1:1", "HUB_TOKEN": "secret", "HUB_CONFIG": "/nowhere.toml"}
    (short_path / ".env").write_text("HUB_PORT=none\n", encoding="utf-8")
    done = demo(short_path, **elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_demo_stays_up_for_a_look_around_until_ctrl_c(short_path: Path) -> None:
    with running(["-m", "hub", "demo"], cwd=short_path, env=clean_environment(short_path)) as (process, lines):
        pid = int(lines.wait_for(r"the hub runs again, process (\d+)")[1])
        for path in ("metadata", "SubscriptionTopic", r"Subscription/[a-z0-9]+", r"\$status", r"\$events\S+=1"):
            url = lines.wait_for(rf"curl -s '?(http://\S*{path})(?:'|$)")[1]
            answer = httpx.get(url, trust_env=False)
            assert answer.status_code == 200, f"{url}: {answer.text}"
        admit = lines.wait_for(r"curl -s -X PUT (\S+) .* -d '(.*)'$")
        fhir_json = {"Content-Type": "application/fhir+json"}
        answer = httpx.put(admit[1], content=admit[2], headers=fhir_json, trust_env=False)
        assert answer.status_code == 201
        lines.wait_for(r"← #9  You: in-progress \(Encounter/mine\)")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0
        lines.wait_for("Everything is stopped")
    assert_ended(pid)
    assert_nothing_is_left(short_path)


def test_an_interrupted_story_leaves_nothing_behind(short_path: Path) -> None:
    with running(["-m", "hub", "demo", "--once"], cwd=short_path, env=clean_environment(short_path)) as (
        process,
        lines,
    ):
        lines.wait_for("kill -9 ")  # the moment in which no hub is there to stop its Redis
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 130
    assert_nothing_is_left(short_path)


def assert_ended(pid: int) -> None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    raise AssertionError(f"process {pid} still runs")
