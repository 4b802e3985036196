"""Topics in files: one resource, a Bundle, NDJSON, or a folder of these.

A file that is named must be readable and hold a topic; in a folder everything that is no topic is passed over.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.errors import Malformed
from hub.fhir.basic_topics import is_topic
from hub.fhir.json import read_json

SUFFIXES = (".json", ".ndjson")


@dataclass(frozen=True, slots=True)
class Written:
    """A topic as it is written; ``source`` says where: ``a.json``, ``b.ndjson:12``, ``c.json entry[3]``."""

    source: str
    resource: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What was named and cannot be read, and why."""

    source: str
    reason: str


def written_topics(names: Iterable[str]) -> Iterator[Written | Unreadable]:
    """Every topic in files, folders and patterns, in order of their names."""
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from _in_folder(path)
        elif path.is_file():
            yield from _in_named_file(path)
        elif found := sorted(glob.glob(name, recursive=True)):
            yield from written_topics(found)
        else:
            yield Unreadable(name, "no such file or folder")


def _in_folder(folder: Path) -> Iterator[Written | Unreadable]:
    paths = (path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    found = [each for path in sorted(paths) for each in _in_file(path)]
    yield from found or [Unreadable(str(folder), f"no SubscriptionTopic in a {' or '.join(SUFFIXES)} file in it")]


def _in_named_file(path: Path) -> Iterator[Written | Unreadable]:
    found = list(_in_file(path))
    yield from found or [Unreadable(str(path), "no SubscriptionTopic in it, and no Basic that stands for one")]


def _in_file(path: Path) -> Iterator[Written | Unreadable]:
    try:
        raw = path.read_bytes()
    except OSError as problem:
        yield Unreadable(str(path), problem.strerror or type(problem).__name__)
        return
    if path.suffix != ".ndjson":
        yield from _in_text(str(path), raw)
        return
    for number, line in enumerate(raw.splitlines(), 1):
        if line.strip():
            yield from _in_text(f"{path}:{number}", line)


def _in_text(source: str, raw: bytes) -> Iterator[Written | Unreadable]:
    try:
        resource = read_json(raw)
    except Malformed as problem:
        yield Unreadable(source, str(problem))
        return
    entries = resource.get("entry")
    if resource.get("resourceType") != "Bundle" or not isinstance(entries, list):
        entries = []
    inside = [entry.get("resource") if isinstance(entry, Mapping) else None for entry in entries]
    places = [(source, resource), *((f"{source} entry[{index}]", each) for index, each in enumerate(inside))]
    yield from (Written(place, each) for place, each in places if isinstance(each, dict) and _is_topic(each))


def _is_topic(resource: Mapping[str, Any]) -> bool:
    return resource.get("resourceType") == "SubscriptionTopic" or is_topic(resource)
