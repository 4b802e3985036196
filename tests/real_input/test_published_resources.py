"""Other published resources and Bundles, on the base of their version: kept as they came, or refused rightly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import PATIENT_CHANGE, subscribe
from tests.api.harness import Api, RunningHub, outcome_of, running_hub, snapshot, written_by_clients
from tests.api.receiver import Inbox, Receiver
from tests.real_input.hospital import resource_bytes
from tests.real_input.shared_data import DATA, needs_data

pytestmark = needs_data

R4, R4B, R5 = FhirVersion
PATIENTS = DATA / "patients"
FOLDERS = {R4: ("fhir-candle/r4", "fhir-candle/davinci-cdex"), R4B: ("fhir-candle/r4b",), R5: ("fhir-candle/r5",)}
TRANSACTIONS = [
    (R4, "microsoft-smart/SmartCommon.json"),
    (R4, "microsoft-smart/SmartPatientA.json"),
    (R4, "microsoft-smart/SmartPatientB.json"),
    (R4, "microsoft-smart/SmartPatientC.json"),
    (R4, "microsoft-smart/Bundle-ChainingSortAndSearchValidation-R4.json"),
    (R5, "microsoft-smart/Bundle-ChainingSortAndSearchValidation-R5.json"),
]
REFUSED = {
    # Its entries 0 and 9 both PUT Device/smart-device-1: identities that overlap fail a transaction (FHIR http.html).
    "microsoft-smart/SmartPatientD.json": "Bundle.entry[9]",
    # No entry has a request (bdl-3).
    "fhir-candle/r4/Bundle-pas-test-claim-01.json": "Bundle.entry[0].request",
    # ifNoneMatch belongs to reads and holds an ETag; ifNoneExist is meant. Overlooked, it would make duplicates.
    "fhir-candle/r4/Bundle-transaction-cdex-load-payer.json": "Bundle.entry[0].request.ifNoneMatch",
    # A collection asks for nothing.
    "us-core-examples.json": "Bundle.type",
}


@pytest.fixture(scope="module")
async def running(real_input_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    async with running_hub(f"{real_input_redis_url}?db=4", tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def lexemes(raw: bytes) -> Any:
    """The JSON with numbers as they were written, members in their order, and without id and what is added to meta."""
    added = ("versionId", "lastUpdated")

    def members(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in pairs if name not in added and (name, value) != ("meta", [])]

    found = json.loads(raw, parse_float=str, parse_int=str, object_pairs_hook=members)
    return [(name, value) for name, value in found if name != "id"]


async def check_kept(api: Api, name: str, written: bytes) -> None:
    read = await api.get(name)
    assert read.status_code == 200
    assert lexemes(read.content) == lexemes(written), name


def single_resources(base: FhirVersion) -> Iterator[tuple[str, bytes]]:
    for folder in FOLDERS[base]:
        for path in sorted((PATIENTS / folder).glob("*.json")):
            raw = path.read_bytes()
            resource = json.loads(raw)
            if resource["resourceType"] != "Bundle":
                yield f"{resource['resourceType']}/{resource.get('id', '')}", raw


@pytest.mark.parametrize("base", list(FhirVersion))
async def test_published_resources_are_kept_as_they_came_and_patients_are_told_of(
    running: RunningHub, receiver: Receiver, base: FhirVersion
) -> None:
    api, inbox = running.api(base), receiver.inbox()
    told = await subscribe(api, inbox, PATIENT_CHANGE, max_count=50)
    patients = []
    for name, raw in list(single_resources(base)):
        answer = await (api.post(name[:-1], raw) if name.endswith("/") else api.put(name, raw))
        assert answer.status_code in (200, 201), name
        here = name if not name.endswith("/") else name + answer.json()["id"]
        await check_kept(api, here, raw)
        patients += [here] if here.startswith("Patient/") else []
    assert len(patients) >= 5
    foci = await foci_of(inbox, len(patients))
    assert foci == [f"http://hub.test{base.path}/{name}" for name in patients]
    await api.delete(f"Subscription/{told['id']}")


async def foci_of(inbox: Inbox, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += [event.focus for event in (await inbox.event()).events]
    return found


@pytest.mark.parametrize(("base", "path"), TRANSACTIONS, ids=[path for _, path in TRANSACTIONS])
async def test_published_transactions_are_taken_and_kept_as_they_came(
    running: RunningHub, base: FhirVersion, path: str
) -> None:
    api, raw = running.api(base), read(path)
    answer = await api.post(base.path, raw)
    assert answer.status_code == 200, answer.text[:500]
    entries = zip(json.loads(raw)["entry"], resource_bytes(raw), answer.json()["entry"], strict=True)
    for entry, written, answered in entries:
        assert answered["response"]["status"].startswith("20")
        if entry["request"]["method"] == "PUT" and "?" not in entry["request"]["url"]:
            await check_kept(api, entry["request"]["url"], written)


@pytest.mark.parametrize(("path", "place"), REFUSED.items())
async def test_published_bundles_that_cannot_be_carried_out_are_refused_and_change_nothing(
    running: RunningHub, path: str, place: str
) -> None:
    before = written_by_clients(await snapshot(running.hub))
    (issue,) = outcome_of(await running.api(R4).post(R4.path, read(path)))
    assert issue["expression"] == [place]
    assert written_by_clients(await snapshot(running.hub)) == before


async def test_a_published_collection_is_loaded_without_a_word(
    real_input_redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Ruling 13: the examples of US Core become states to start from, and nobody is told; the first change is."""
    inbox = receiver.inbox()
    lines = lines_of("us-core-examples.json")
    assert len(lines) == 230
    async with running_hub(f"{real_input_redis_url}?db=5", tmp_path) as hub:
        api = hub.api(R4)
        await subscribe(api, inbox, PATIENT_CHANGE)
        for _ in range(2):  # it can be repeated
            answer = await api.call("POST", "$load", b"\n".join(lines), Content_Type="application/fhir+ndjson")
            assert answer.status_code == 200, answer.text[:500]
        for line in lines:
            resource = json.loads(line)
            await check_kept(api, f"{resource['resourceType']}/{resource['id']}", line)
        assert inbox.nothing_unread()
        (patient, *_) = [line for line in lines if b'"resourceType":"Patient"' in line]
        await api.put(f"Patient/{json.loads(patient)['id']}", patient)
        assert (await inbox.event()).numbers == [1]


def read(path: str) -> bytes:
    return Path(PATIENTS / path).read_bytes()


def lines_of(path: str) -> list[bytes]:
    """Each resource on one line, its numbers as they were written."""
    return [b" ".join(each.split()) for each in resource_bytes(read(path))]
