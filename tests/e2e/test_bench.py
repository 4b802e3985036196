"""``hub bench`` runs against a real hub and loses nothing; no figure is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.e2e.serving import PATIENCE_SECONDS, clean_environment, hub_in_development, processes_below

TINY = ("--quick", "--subscriptions", "20", "--seconds", "0.5", "--connections", "8", "--matches", "1,4")


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "hub", "bench", *TINY, "--json", "result.json", "--svg", "picture.svg", *options],
        cwd=folder,
        env=clean_environment(folder) | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_quick_run_loses_nothing_and_tells_everything(short_path: Path) -> None:
    done = bench(short_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((short_path / "result.json").read_text(encoding="utf-8"))
    kinds = [phase["kind"] for phase in result["phases"]]
    assert kinds == ["subscribe"] * 2 + ["echo", "client"] + ["maximum", "load", "load"] * 2
    for phase in result["phases"]:
        if phase["kind"] in ("maximum", "load"):
            assert phase["accepted"] > 0
            assert phase["delivered"] == phase["accepted"] * phase["matches"]
            assert phase["latency_ms"].keys() == {"p50", "p99", "max"}
            assert phase["usage"].keys() == {"hub", "redis", "load", "receivers"}
            assert set(phase["statuses"]) == {"201"}
    assert not any(result["summary"]["integrity"].values()), result["summary"]["integrity"]
    assert result["machine"].keys() >= {"cores", "python", "redis", "fsync_ms", "load_average_before"}
    drawn = ElementTree.parse(short_path / "picture.svg").getroot()
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 4
    assert "Subscriptions, 4 for each patient" in done.stdout
    assert "goal" in done.stdout and "bare Starlette echo" in done.stdout
    assert processes_below(short_path) == []
    assert list((short_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(("flavour", "path"), [("r4-classic", "/fhir/r4"), ("r5", "/fhir/r5")])
def test_it_drives_a_server_that_it_did_not_start(flavour: str, path: str, short_path: Path) -> None:
    server = short_path / "server"
    server.mkdir()
    with hub_in_development(server) as url:
        done = bench(short_path, "--target", url + path, "--flavour", flavour, "--content", "full-resource")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((short_path / "result.json").read_text(encoding="utf-8"))
    assert not any(result["summary"]["integrity"].values()), result["summary"]["integrity"]
    assert result["machine"]["redis"] == "not ours"


def test_a_server_that_is_not_there_is_said_in_one_line(short_path: Path) -> None:
    done = bench(short_path, "--target", "http://127.0.0.1:1/fhir")
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
