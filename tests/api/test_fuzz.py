"""Valid requests, broken a little at random: never a 5xx, never a hang, and a refusal changes nothing (SECURITY G2)."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import encounter, subscription, topic
from tests.api.harness import BASES, FHIR_JSON, RunningHub, check, raw_call, running_hub, snapshot, written_by_clients

SEED, ROUNDS = 20_261_121, 350
NOWHERE = "http://127.0.0.1:2001/"
SCRAPS = [
    None, True, 0, -1, 10**17, 1.5, 1e300, "", " ", "\u0000", "\u2028", "é" * 40, "x" * 3000, "***", "http://", "urn:",
    "|", "%", "%zz", "$this", "Patient?", "a:b=c", [], {}, [[]], [None], {"extension": []}, {"url": None}, "9999-12-31",
    "2020-01-01T25:00:00Z", "0000-00-00T00:00:00Z", "-", "application/fhir+json; fhirVersion=9", "full-resource",
]  # fmt: skip
TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud800", b"\\udc00", b"\x00", b"\xff", b"\xc3",
    b"NaN", b"-Infinity", b"1e400", b"1e-400", b"9" * 400, b"null", b"true", b"\xef\xbb\xbf", b"//", b"'", b"\n", b"",
]  # fmt: skip


@pytest.fixture(scope="module")
async def target(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    folder = tmp_path_factory.mktemp("fuzz")
    async with running_hub(f"{api_redis_url}?db=5", folder, max_body_bytes=32 * 1024) as hub:
        yield hub


def seeds(base: FhirVersion) -> list[tuple[str, dict[str, Any]]]:
    """(path, body) of requests that are right as they stand."""
    filters = (
        ("patient=Patient/1", "status=in-progress") if base is FhirVersion.R5 else ("Encounter?patient=Patient/1",)
    )
    options: dict[str, Any] = {"heartbeat": 60, "timeout": 5, "max_count": 3, "headers": ("X-Key: a",), "status": "off"}
    url = "https://fhir-notification-hub.example/topics/encounter-start"
    told = subscription(base, NOWHERE, url, id="s", end="2030-01-01T00:00:00Z", **options)
    filtered = subscription(base, NOWHERE, url, id="f", filters=filters, status="off")
    found = [("Encounter/e", encounter(base, "e", "1")), ("Subscription/s", told), ("Subscription/f", filtered)]
    status = {"name": "status", "valueCode": "active"}
    found.append(("Subscription/$status", {"resourceType": "Parameters", "parameter": [status]}))
    if base is not FhirVersion.R4:
        query = {"previous": "status:not=finished", "current": "status=finished", "requireBoth": True}
        trigger = {"queryCriteria": query, "fhirPathCriteria": "%previous.status != %current.status and class.exists()"}
        written = topic(base, "http://example.org/fuzz", "Encounter", **trigger)
        written["canFilterBy"] = [{"resource": "Encounter", "filterParameter": "patient"}]
        found.append(("SubscriptionTopic/t", written | {"id": "t"}))
    return found


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(owner, key) of everything inside."""
    found: list[tuple[Any, Any]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        found += [(value, key), *_places(item)]
    return found


def bend(body: dict[str, Any], chance: random.Random) -> bytes:
    """The body with one to three of its values replaced, removed, renamed, doubled or cut."""
    bent = json.loads(json.dumps(body))
    for _ in range(chance.randint(1, 3)):
        places = _places(bent)
        if not places:
            break
        owner, key = chance.choice(places)
        chance.choice(BENDS)(owner, key, chance)
    return json.dumps(bent, ensure_ascii=chance.random() < 0.5).encode()


def _replace(owner: Any, key: Any, chance: random.Random) -> None:
    owner[key] = chance.choice(SCRAPS)


def _remove(owner: Any, key: Any, _: random.Random) -> None:
    del owner[key]


def _rename(owner: Any, key: Any, chance: random.Random) -> None:
    if isinstance(owner, dict):
        owner[chance.choice(["_" + key, key.upper(), key + "x", "extension", "modifierExtension"])] = owner.pop(key)


def _repeat(owner: Any, key: Any, chance: random.Random) -> None:
    owner[key] = [owner[key]] * chance.randint(0, 30)


def _cut(owner: Any, key: Any, chance: random.Random) -> None:
    if isinstance(owner[key], str) and owner[key]:
        place = chance.randrange(len(owner[key]))
        owner[key] = owner[key][:place] + str(chance.choice(SCRAPS)) + owner[key][place:]


BENDS: list[Callable[[Any, Any, random.Random], None]] = [_replace, _replace, _remove, _rename, _repeat, _cut, _cut]


def tear(raw: bytes, chance: random.Random) -> bytes:
    """The bytes with one to four scraps put in or over."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(raw) + 1)
        raw = raw[:place] + chance.choice(TOKENS) + raw[place + chance.randint(0, 3) :]
    return raw


@pytest.mark.parametrize("base", BASES, ids=[base.value for base in BASES])
async def test_requests_broken_at_random_are_answered_and_what_is_refused_changes_nothing(
    target: RunningHub, base: FhirVersion
) -> None:
    chance = random.Random(f"{SEED} {base}")
    before = written_by_clients(await snapshot(target.hub))
    refusals = 0
    for turn in range(ROUNDS):
        path, body = chance.choice(seeds(base))
        sent = bend(body, chance) if chance.random() < 0.7 else tear(json.dumps(body).encode(), chance)
        method = "POST" if "$" in path else "PUT"
        headers = [(b"content-type", FHIR_JSON.encode())]
        answer = await raw_call(target.app, method, f"{base.path}/{path}".encode(), b"", headers, sent)
        refused = answer.status >= 400
        if refused:
            check(answer, (turn, path, sent))
        refusals += refused
        if turn % 25 == 0 or not refused:  # to look after every one would take minutes
            now = written_by_clients(await snapshot(target.hub))
            assert not refused or now == before
            before = now
    assert refusals > ROUNDS / 4


async def test_paths_and_queries_broken_at_random_are_answered(target: RunningHub) -> None:
    chance = random.Random(SEED)
    parts = [
        b"Patient", b"Subscription", b"SubscriptionTopic", b"$status", b"$events", b"_history", b"1", b"metadata",
        b"..", b"%2e", b"%00", b"%ff", b"%", b"", b"\xc3\xa9", b"*", b"_search", b"a" * 70, b"0",
    ]  # fmt: skip
    queries = [
        b"_count", b"=", b"&", b"1", b"%ff", b"%zz", b"status", b"active", b"_after", b"url", b"\xff", b"+", b";", b":",
        b"eventsSinceNumber", b"content", b"empty", b"_format", b"json", b"9" * 30, b"-", b",",
    ]  # fmt: skip
    before = written_by_clients(await snapshot(target.hub))
    for _ in range(ROUNDS):
        base = chance.choice(BASES)
        path = b"/".join([base.path.encode(), *(chance.choice(parts) for _ in range(chance.randint(0, 5)))])
        query = b"".join(chance.choice(queries) for _ in range(chance.randint(0, 6)))
        method = chance.choice(["GET", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
        answer = await raw_call(target.app, method, path, query)
        assert answer.status < 500, (method, path, query, answer.body)
    assert written_by_clients(await snapshot(target.hub)) == before
