"""examples/02_websocket_bed_board does what its README says, against a real hub: the terminal client and the page's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import PATIENCE_SECONDS, ROOT, clean_environment, hub_in_development

EXAMPLE = ROOT / "examples" / "02_websocket_bed_board"
NODE = shutil.which("node")
WITH_SOCKETS = "--experimental-websocket"
"""Needed up to Node 21; later ones have a WebSocket anyway."""
PAGE = """
import { Board } from BOARD;
const said = [];
const board = new Board(HUB, { name: "page", said: (line) => said.push(line) });
const until = async (so) => { while (!so()) await new Promise((done) => setTimeout(done, 10)); };
const put = (number, status) => board.ask("PUT", `Encounter/page-${number}`, {
  resourceType: "Encounter", id: `page-${number}`, status, subject: { display: `patient ${number}` },
  class: [{ coding: [{ system: "http://terminology.hl7.org/CodeSystem/v3-ActCode", code: "IMP" }] }],
  location: [{ location: { display: `bed ${number}` } }],
});
await board.subscribe();
await board.connect();
for (let number = 1; number <= 40; number++) {
  await put(number, "in-progress");
  if (number % 2) await put(number, "completed");
  if (number % 10 === 5) { await until(() => board.socket.readyState === 1); board.socket.close(); }
}
await until(() => board.seen["page-admissions"] === 40 && board.seen["page-discharges"] === 20);
const cuts = said.filter((line) => line.startsWith("cut")).length;
console.log(`${board.taken.length} beds, ${cuts} cuts`);
board.stop();
"""


def run(arguments: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(folder)
    return subprocess.run(
        list(map(str, arguments)), cwd=folder, env=environment, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


def test_the_board_stays_right_through_cut_connections(tmp_path: Path) -> None:
    with hub_in_development(tmp_path) as url:
        done = run([sys.executable, EXAMPLE / "run.py", f"{url}/fhir/r5"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("The board is right: ") and "6 cut connections" in last
    assert done.stdout.count("cut; connecting again") >= 6


def test_the_example_fails_when_there_is_no_hub(tmp_path: Path) -> None:
    done = run([sys.executable, EXAMPLE / "run.py", "http://127.0.0.1:1/fhir/r5"], tmp_path)
    assert done.returncode != 0
    assert "The board is right" not in done.stdout


@pytest.mark.skipif(NODE is None, reason="the page's script is run by Node")
def test_the_pages_board_stays_right_through_cut_connections(tmp_path: Path) -> None:
    with hub_in_development(tmp_path) as url:
        script = tmp_path / "page.mjs"
        board, hub = (EXAMPLE / "board.js").as_uri(), f"{url}/fhir/r5"
        script.write_text(PAGE.replace("BOARD", f'"{board}"', 1).replace("HUB", f'"{hub}"', 1), encoding="utf-8")
        has_sockets = "process.exit(typeof WebSocket === 'function' ? 0 : 1)"
        if run([NODE, WITH_SOCKETS, "-e", has_sockets], tmp_path).returncode:
            pytest.skip("this Node has no WebSocket")
        done = run([NODE, WITH_SOCKETS, script], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "20 beds, 4 cuts"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = (EXAMPLE / "index.html").read_text(encoding="utf-8")
    assert "https://" not in page and 'src="http' not in page and "innerHTML" not in page
