"""examples/04_email_inbox does what its README says, against a real hub (S6 of the patterns, S-171)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.e2e.serving import PATIENCE_SECONDS, ROOT, clean_environment, hub_in_development

EXAMPLE = ROOT / "examples" / "04_email_inbox"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE / "run.py", *arguments],
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def mail_settings(port: int) -> dict[str, str]:
    """As the README has them in its command."""
    command = next(line for line in (EXAMPLE / "README.md").read_text().splitlines() if "HUB_SMTP_HOST=" in line)
    given = dict(word.split("=") for word in command.split() if word.startswith("HUB_"))
    return given | {"HUB_SMTP_PORT": str(port)}


def test_a_notifiable_result_becomes_two_mails_without_the_patient(tmp_path: Path) -> None:
    port = free_port()
    with hub_in_development(tmp_path, **mail_settings(port)) as url:
        done = run(tmp_path, f"{url}/fhir/r5", str(port))
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Two mails: one says only that there is event 1, the other has a Bundle about Observation/")
    assert done.stdout.count("--- mail to ") == 2
    assert "full-resource is answered 422: Whole resources do not go by mail here" in done.stdout


def test_it_fails_when_the_hub_has_no_mail_server(tmp_path: Path) -> None:
    with hub_in_development(tmp_path) as url:
        done = run(tmp_path, f"{url}/fhir/r5", str(free_port()))
    assert done.returncode != 0
    assert "HUB_SMTP_HOST" in done.stderr and "Two mails" not in done.stdout


def test_it_fails_when_there_is_no_hub(tmp_path: Path) -> None:
    done = run(tmp_path, "http://127.0.0.1:1/fhir/r5", str(free_port()))
    assert done.returncode != 0 and "Two mails" not in done.stdout


def test_the_subscriptions_are_json_of_r5() -> None:
    for path in EXAMPLE.glob("*.json"):
        resource = json.loads(path.read_text(encoding="utf-8"))
        assert (resource["resourceType"], resource["channelType"]["code"]) == ("Subscription", "email")
