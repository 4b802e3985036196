"""``hub load`` as a process against a real hub: silent, repeatable, and clear about what is wrong (ruling 13)."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.serving import clean_environment, hub_in_development

COUNT = 1200
"""More than two requests' worth."""


@pytest.fixture(scope="module")
def hub_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with hub_in_development(tmp_path_factory.mktemp("load")) as url:
        yield url


def load(hub_url: str, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub", "load", *arguments],
        cwd=folder, env=clean_environment(folder) | {"HUB_BASE_URL": hub_url} | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def patients(count: int, prefix: str) -> list[dict[str, Any]]:
    return [{"resourceType": "Patient", "id": f"{prefix}-{number}"} for number in range(count)]


def ndjson(resources: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in resources)


def collection(resources: list[dict[str, Any]], **more: Any) -> bytes:
    entries = [{"resource": each} for each in resources]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}).encode()


def read(hub_url: str, reference: str, base: str = "r4") -> httpx.Response:
    return httpx.get(f"{hub_url}/fhir/{base}/{reference}", trust_env=False)


def test_files_are_loaded_and_may_be_loaded_again(hub_url: str, tmp_path: Path) -> None:
    (tmp_path / "many.ndjson").write_bytes(ndjson(patients(COUNT, "many")) + b"\n\n")
    (tmp_path / "few.json").write_bytes(collection(patients(3, "few")))
    for _ in range(2):
        done = load(hub_url, tmp_path, "many.ndjson", "few.json")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert f"{COUNT + 3:,} resources loaded in " in done.stderr and "none announced" in done.stderr
    for reference in (f"Patient/many-{COUNT - 1}", "Patient/few-2"):
        assert read(hub_url, reference).headers["etag"] == 'W/"1"'


def test_the_base_is_chosen(hub_url: str, tmp_path: Path) -> None:
    (tmp_path / "r5.ndjson").write_bytes(ndjson(patients(1, "r5")))
    assert load(hub_url, tmp_path, "--base", "r5", "r5.ndjson").returncode == 0
    assert read(hub_url, "Patient/r5-0", "r5").status_code == 200
    assert read(hub_url, "Patient/r5-0").status_code == 404


def test_a_terminal_is_shown_a_bar(hub_url: str, tmp_path: Path) -> None:
    (tmp_path / "bar.ndjson").write_bytes(ndjson(patients(COUNT, "bar")))
    reading, terminal = pty.openpty()
    environment = clean_environment(tmp_path) | {"HUB_BASE_URL": hub_url, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "hub", "load", "bar.ndjson"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, stderr=terminal, timeout=60, check=False)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody holds any more with EIO
        while part := os.read(reading, 65536):
            shown += part
    os.close(reading)
    assert done.returncode == 0
    assert "█" in shown.decode() and " 100%  1,200 resources" in shown.decode()


WRONG: dict[str, tuple[bytes | None, str]] = {
    "absent.ndjson": (None, "absent.ndjson: no such file"),
    "broken.ndjson": (ndjson(patients(2, "broken")) + b"\n{", "broken.ndjson: the hub answered 400: line 3: "),
    "nameless.json": (collection([{"resourceType": "Patient"}]), "Bundle.entry[0].resource: "),
    "single.json": (ndjson(patients(1, "single")), "$load takes a Bundle"),
    "empty.json": (b"", "the hub answered 400"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_ends_with_2_and_says_where(hub_url: str, tmp_path: Path, name: str) -> None:
    content, said = WRONG[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = load(hub_url, tmp_path, name)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_hub_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "one.ndjson").write_bytes(ndjson(patients(1, "lost")))
    done = load("http://127.0.0.1:9", tmp_path, "one.ndjson")
    assert done.returncode == 2
    assert "does not answer" in done.stderr and "repeat it" in done.stderr and "Traceback" not in done.stderr


@contextlib.contextmanager
def serving(answer: Callable[[str, dict[str, str]], tuple[int, str, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """A server of another make: (path, headers) -> (status, content type, body). Its URL, and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(self.path)
            status, media_type, body = answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_pages_behind_a_url_are_followed_and_the_token_stays_with_the_hub(hub_url: str, tmp_path: Path) -> None:
    tokens: list[str] = []

    def answer(path: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
        tokens.append(headers.get("authorization", ""))
        if path == "/Patient":
            link = [{"relation": "next", "url": "/page/2"}]
            return 200, "application/fhir+json", collection(patients(2, "page-1"), link=link)
        return 200, "application/fhir+ndjson; charset=utf-8", ndjson(patients(700, "page-2"))

    with serving(answer) as (url, asked):
        done = load(hub_url, tmp_path, f"{url}/Patient", HUB_TOKEN="secret")
    assert done.returncode == 0 and "702 resources" in done.stderr, done.stderr
    assert asked == ["/Patient", "/page/2"] and tokens == ["", ""]
    assert read(hub_url, "Patient/page-2-699").status_code == 200


STRANGE: dict[str, tuple[int, bytes, str]] = {
    "/circle": (200, collection([], link=[{"relation": "next", "url": "/circle"}]), "read before"),
    "/missing": (404, b"", "answered 404"),
    "/html": (200, b"<html>", "the hub answered 400"),
    "/list": (200, b"[]", "the hub answered 400"),
}


@pytest.mark.parametrize("path", STRANGE)
def test_a_strange_source_ends_with_2(hub_url: str, tmp_path: Path, path: str) -> None:
    status, body, said = STRANGE[path]
    with serving(lambda *_: (status, "application/fhir+json", body)) as (url, _):
        done = load(hub_url, tmp_path, f"{url}{path}")
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


def test_the_token_is_sent_to_the_hub_and_a_busy_hub_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "one.ndjson").write_bytes(ndjson(patients(1, "one")))
    loaded = json.dumps({"resourceType": "Parameters", "parameter": [{"name": "loaded", "valueInteger": 1}]}).encode()
    answers = [(429, "application/fhir+json", b""), (200, "application/fhir+json", loaded)]
    seen: list[str] = []

    def answer(path: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
        seen.append(headers.get("authorization", ""))
        return answers.pop(0) if headers.get("authorization") == "Bearer right" else (401, "text/plain", b"")

    with serving(answer) as (url, _):
        done = load(url, tmp_path, "one.ndjson", HUB_TOKEN="right")
        assert done.returncode == 0 and "1 resource loaded" in done.stderr, done.stderr
        assert seen == ["Bearer right"] * 2
        refused = load(url, tmp_path, "one.ndjson", HUB_TOKEN="wrong")
    assert refused.returncode == 2 and "401" in refused.stderr
    with serving(lambda *_: (200, "text/html", b"<html>")) as (url, _):
        assert "not as a hub does" in load(url, tmp_path, "one.ndjson").stderr
