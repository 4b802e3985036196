"""README.md and docs/ say what is so: the session is run, the commands are right, every link leads somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.serving import PATIENCE_SECONDS, ROOT, clean_environment, hub_in_development, running

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "topics/*.md") for page in ROOT.glob(pattern)
)
EXAMPLE = Path("examples") / "01_first_notification"
FIRST_SCREEN = 25
RUN = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/hub demo"
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"


def test_the_first_screen_has_exactly_the_two_set_up_commands() -> None:
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert [block.strip() for block in BLOCKS if block in screen] == [RUN, TEST]
    assert screen.count("pip install") == 2


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
def test_the_curl_session_works_as_it_stands(tmp_path: Path) -> None:
    (session,) = [block for block in BLOCKS if "curl" in block]
    environment = clean_environment(tmp_path)
    with (
        hub_in_development(tmp_path) as url,
        running([str(ROOT / EXAMPLE / "receiver.py"), "0"], env=environment) as (_, receiver),
    ):
        endpoint = receiver.wait_for(r"http://\S+")[0]
        copy_subscription(tmp_path, endpoint)
        assert "http://127.0.0.1:8080" in session
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", session.replace("http://127.0.0.1:8080", url)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        receiver.wait_for("handshake")
        receiver.wait_for(rf"event 1: {url}/fhir/r4/Encounter/first$")
    assert "https://fhir-notification-hub.example/topics/admission" in done.stdout
    assert '"events-since-subscription-start"' in done.stdout


def copy_subscription(folder: Path, endpoint: str) -> None:
    """The example's Subscription with the endpoint of this test's receiver, where the session looks for it."""
    text = (ROOT / EXAMPLE / "subscription-r4.json").read_text(encoding="utf-8")
    assert "http://127.0.0.1:9000/notifications" in text
    (folder / EXAMPLE).mkdir(parents=True)
    changed = text.replace("http://127.0.0.1:9000/notifications", endpoint)
    (folder / EXAMPLE / "subscription-r4.json").write_text(changed, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"`((?:hub|tests|docs|examples|topics)/[\w./-]*)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name
