"""ValueSets that are written through a base decide its filters, criteria and expressions (S-250, S-274, ruling 22)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.topic_forms import topic_type, write_topic_for
from tests.api.builders import classic, encounter, fresh_id, subscribe, subscription, topic
from tests.api.bundle_builders import bundle, delete, fresh, put
from tests.api.harness import FHIR_JSON, Api, RunningHub, outcome_of, running_hub
from tests.api.receiver import Inbox

VISITS = "http://example.org/topics/visits-by-class"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
IN_FOLDER = "http://example.org/ValueSet/of-the-folder"
FILED = {
    "resourceType": "SubscriptionTopic", "id": "visits-by-class", "url": VISITS, "version": "1.0.0", "status": "active",
    "resourceTrigger": [{"resource": "Encounter"}],
    "canFilterBy": [
        {"resource": "Encounter", "filterParameter": "_id"},
        {"resource": "Encounter", "filterParameter": "class", "modifier": ["in", "not-in"]},
    ],
}  # fmt: skip


def value_set(*codes: str, url: str = "", **elements: Any) -> dict[str, Any]:
    url = url or f"http://example.org/ValueSet/{fresh_id()}"
    compose = {"include": [{"system": ACT, "concept": [{"code": code} for code in codes]}]}
    return {
        "resourceType": "ValueSet", "id": fresh_id(), "url": url, "status": "active", "compose": compose, **elements
    }  # fmt: skip


def undecidable(url: str = "") -> dict[str, Any]:
    is_a = {"op": "is-a", "property": "concept", "value": "_ActEncounterCode"}
    return value_set(url=url, compose={"include": [{"system": ACT, "filter": [is_a]}]})


def settings(folder: Path) -> dict[str, Any]:
    """One topic, and one ValueSet of the folder."""
    topics, value_sets = folder / "topics", folder / "value-sets"
    for each in (topics, value_sets):
        each.mkdir()
    (topics / "visits.json").write_text(json.dumps(FILED))
    (value_sets / "one.json").write_text(json.dumps(value_set("AMB", url=IN_FOLDER, version="1.0")))
    return {"topics_dir": topics, "valuesets_dir": value_sets}


@pytest.fixture(scope="module")
async def visits(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    given = settings(tmp_path_factory.mktemp("files"))
    async with running_hub(f"{api_redis_url}?db=7", tmp_path_factory.mktemp("hub"), **given) as hub:
        yield hub


@pytest.fixture
def api(visits: RunningHub, base: FhirVersion) -> Api:
    return visits.api(base)


async def written(api: Api, body: dict[str, Any]) -> str:
    """Its url, once the write was answered."""
    answer = await api.put(f"ValueSet/{body['id']}", body)
    assert answer.status_code in (200, 201), answer.text
    return str(body["url"])


def coded(base: FhirVersion, identity: str, code: str) -> dict[str, Any]:
    coding = {"system": ACT, "code": code}
    classed = [{"coding": [coding]}] if base is FhirVersion.R5 else coding
    return encounter(base, identity, "x") | {"class": classed}


async def visit(api: Api, identity: str, code: str) -> None:
    assert (await api.put(f"Encounter/{identity}", coded(api.base, identity, code))).status_code in (200, 201)


async def seen(inbox: Inbox) -> str:
    return (await inbox.event()).events[0].focus.rpartition("/")[2]


async def filtered(api: Api, inbox: Inbox, url: str, ids: list[str], modifier: str = "in") -> str:
    made = await subscribe(api, inbox, VISITS, filters=(f"_id={','.join(ids)}", f"class:{modifier}={url}"))
    return str(made["id"])


async def refused(api: Api, inbox: Inbox, url: str) -> str:
    """What a Subscription that asks this ValueSet is told."""
    made = subscription(api.base, inbox.url, VISITS, filters=(f"class:in={url}",))
    (issue,) = outcome_of(await api.post("Subscription", made), 422)
    return str(issue["diagnostics"])


async def published(api: Api, body: dict[str, Any]) -> Any:
    return await api.post(topic_type(api.base), write_topic_for(api.base, body))


async def readiness(api: Api) -> dict[str, Any]:
    """Of a process that has heard the news: who asks for its capabilities makes it listen."""
    await api.get("metadata")
    return dict((await api.get("/health/ready")).json())


@pytest.mark.parametrize(("modifier", "expected"), [("in", 0), ("not-in", 1)])
async def test_a_filter_asks_it_from_the_answer_to_its_write_on(
    api: Api, inbox: Inbox, modifier: str, expected: int
) -> None:
    ids = fresh(3)
    url = await written(api, value_set("AMB"))
    await filtered(api, inbox, url, ids, modifier)
    await visit(api, ids[0], "AMB")
    await visit(api, ids[1], "IMP")
    assert await seen(inbox) == ids[expected]
    assert inbox.nothing_unread()


async def test_a_change_that_is_sent_after_it_changed_is_judged_with_what_it_says_now(api: Api, inbox: Inbox) -> None:
    """I5: the verdict flips, without a word from the Subscription."""
    ids = fresh(4)
    body = value_set("AMB")
    await filtered(api, inbox, await written(api, body), ids)
    await visit(api, ids[0], "AMB")
    assert await seen(inbox) == ids[0]
    await written(api, value_set("IMP", url=body["url"]) | {"id": body["id"]})
    await visit(api, ids[1], "AMB")
    await visit(api, ids[2], "IMP")
    assert await seen(inbox) == ids[2]
    await written(api, value_set("IMP", "AMB", url=body["url"]) | {"id": body["id"]})
    await visit(api, ids[3], "AMB")
    assert await seen(inbox) == ids[3]
    assert inbox.nothing_unread()


async def test_one_that_is_deleted_in_use_silences_nobody_unseen(visits: RunningHub, api: Api, inbox: Inbox) -> None:
    """The Subscription says why, until the ValueSet is there again; it is not judged with the old one."""
    ids = fresh(3)
    body = value_set("AMB")
    url = await written(api, body)
    identity = await filtered(api, inbox, url, ids)
    assert (await api.delete(f"ValueSet/{body['id']}")).status_code == 204
    await visit(api, ids[0], "AMB")
    ready = await readiness(api)
    name = f"default|{api.base}|{identity}"
    assert f"{url} is not known here" in ready["subscriptions_that_cannot_be_matched"][name]
    assert f"{url} is not known here" in (await api.get(f"Subscription/{identity}/$status")).text
    assert f"{url} is not known here" in await refused(api, inbox, url)
    await written(api, undecidable(url) | {"id": body["id"]})
    await visit(api, ids[1], "AMB")
    assert "terminology server" in (await api.get(f"Subscription/{identity}/$status")).text
    await written(api, body)
    await visit(api, ids[2], "AMB")
    assert await seen(inbox) == ids[2]
    assert name not in visits.hub.registry.broken
    assert inbox.nothing_unread()


async def test_what_needs_a_terminology_server_is_kept_and_not_asked(api: Api, inbox: Inbox) -> None:
    """Its place and its reason stand in the refusal of whoever refers to it."""
    body = undecidable()
    told = await refused(api, inbox, await written(api, body))
    assert f"ValueSet/{body['id']}: ValueSet.compose.include[0].filter" in told and "terminology server" in told
    read = (await api.get(f"ValueSet/{body['id']}")).json()
    assert read["compose"] == body["compose"]
    expression = f"%current.class.all(memberOf('{body['url']}'))"
    made = topic(api.base, f"http://example.org/topics/{fresh_id()}", "Encounter", fhirPathCriteria=expression)
    assert "terminology server" in (await published(api, made)).text


async def test_it_is_a_resource_as_every_other(api: Api, inbox: Inbox) -> None:
    """Topics about ValueSets fire, its versions are kept."""
    body = value_set("AMB")
    watched = topic(api.base, f"http://example.org/topics/{fresh_id()}", "ValueSet") | {
        "canFilterBy": [{"resource": "ValueSet", "filterParameter": "_id"}]
    }
    assert (await published(api, watched)).status_code == 201
    await subscribe(api, inbox, watched["url"], filters=(f"_id={body['id']}",))
    await written(api, body)
    assert await seen(inbox) == body["id"]
    await written(api, body | {"title": "Outpatient"})
    assert await seen(inbox) == body["id"]
    first = (await api.get(f"ValueSet/{body['id']}/_history/1")).json()
    assert "title" not in first and first["compose"] == body["compose"]
    history = (await api.get(f"ValueSet/{body['id']}/_history")).json()
    assert len(history["entry"]) == 2


async def loaded(api: Api, body: dict[str, Any]) -> int:
    return (await api.post("$load", bundle("collection", {"resource": body}))).status_code


async def transacted(api: Api, body: dict[str, Any]) -> int:
    return (await api.post("", bundle("transaction", put(body)))).status_code


async def posted(api: Api, body: dict[str, Any]) -> int:
    return (await api.post("ValueSet", body)).status_code


@pytest.mark.parametrize("way", [loaded, transacted, posted])
async def test_it_counts_however_it_came(api: Api, inbox: Inbox, way: Any) -> None:
    ids = fresh(2)
    body = value_set("AMB")
    assert await way(api, body) in (200, 201)
    await filtered(api, inbox, body["url"], ids)
    await visit(api, ids[0], "IMP")
    await visit(api, ids[1], "AMB")
    assert await seen(inbox) == ids[1]


async def test_a_transaction_that_deletes_it_is_heard_too(api: Api, inbox: Inbox) -> None:
    body = value_set("AMB")
    url = await written(api, body)
    assert (await api.post("", bundle("transaction", delete(f"ValueSet/{body['id']}")))).status_code == 200
    assert "is not known here" in await refused(api, inbox, url)


CRITERIA = {
    "queryCriteria": lambda url: {"current": f"class:in={url}"},
    "fhirPathCriteria": lambda url: f"%current.class.where(memberOf('{url}')).exists()",
}


@pytest.mark.parametrize("criterion", CRITERIA)
async def test_a_topic_asks_it_and_says_so_when_it_cannot(api: Api, inbox: Inbox, criterion: str) -> None:
    """Taken away, the topic is shown as unusable; it fires again as soon as the ValueSet is back."""
    body = value_set("AMB")
    made = topic(
        api.base,
        f"http://example.org/topics/{fresh_id()}",
        "Encounter",
        **{criterion: CRITERIA[criterion](body["url"])},
    )
    assert body["url"] in outcome_of(await published(api, made), 422)[0]["diagnostics"]
    await written(api, body)
    answer = await published(api, made)
    assert answer.status_code == 201, answer.text
    identity = (await subscribe(api, inbox, made["url"]))["id"]
    ids = fresh(4)
    await visit(api, ids[0], "IMP")
    await visit(api, ids[1], "AMB")
    assert await seen(inbox) == ids[1]
    await api.delete(f"ValueSet/{body['id']}")
    await visit(api, ids[2], "AMB")
    outcome_of(await api.post("Subscription", subscription(api.base, inbox.url, made["url"])), 422)
    ready = await readiness(api)
    name = f"default|{api.base}|{answer.json()['id']}"
    assert body["url"] in ready["topics_that_cannot_be_used"][name]
    assert body["url"] in ready["subscriptions_that_cannot_be_matched"][f"default|{api.base}|{identity}"]
    assert "cannot be used now" in (await api.get(f"Subscription/{identity}/$status")).text
    await written(api, body)
    await visit(api, ids[3], "AMB")
    assert await seen(inbox) == ids[3]
    assert name not in (await readiness(api))["topics_that_cannot_be_used"]
    assert inbox.nothing_unread()


async def test_no_older_version_of_a_topic_stands_in_for_one_that_cannot_be_used(api: Api, inbox: Inbox) -> None:
    """S-018: the url alone means the newest."""
    body = value_set("AMB")
    url = f"http://example.org/topics/{fresh_id()}"
    await written(api, body)
    old = topic(api.base, url, "Encounter")
    new = topic(api.base, url, "Encounter", queryCriteria={"current": f"class:in={body['url']}"}) | {"version": "2.0.0"}
    for each in (old, new):
        assert (await published(api, each)).status_code == 201
    await subscribe(api, inbox, url)
    await subscribe(api, inbox, f"{url}|1.0.0")
    await api.delete(f"ValueSet/{body['id']}")
    identity = fresh_id()
    await visit(api, identity, "AMB")
    assert await seen(inbox) == identity
    outcome_of(await api.post("Subscription", subscription(api.base, inbox.url, url)), 422)
    assert inbox.nothing_unread()


@pytest.mark.parametrize("base_of_classic", [FhirVersion.R4, FhirVersion.R4B])
async def test_a_classic_search_asks_it(visits: RunningHub, inbox: Inbox, base_of_classic: FhirVersion) -> None:
    """S-011."""
    api = visits.api(base_of_classic)
    first, second, third = fresh(3)
    body = value_set("AMB")
    criteria = f"Encounter?_id={first},{second},{third}&class:in={body['url']}"
    asked = classic(inbox.url, criteria, FHIR_JSON)
    outcome_of(await api.post("Subscription", asked), 422)
    await written(api, body)
    made = await api.post("Subscription", asked)
    assert made.status_code == 201, made.text
    await visit(api, first, "IMP")
    await visit(api, second, "AMB")
    assert json.loads((await inbox.bare()).body)["id"] == second
    await api.delete(f"ValueSet/{body['id']}")
    await visit(api, third, "AMB")
    ready = (await readiness(api))["subscriptions_that_cannot_be_matched"]
    assert body["url"] in ready[f"default|{api.base}|{made.json()['id']}"]


async def test_the_url_alone_means_the_newest_active_one(api: Api, inbox: Inbox) -> None:
    """S-018; with a version exactly that one."""
    url = f"http://example.org/ValueSet/{fresh_id()}"
    await written(api, value_set("AMB", url=url, version="1.9"))
    await written(api, value_set("IMP", url=url, version="1.10"))
    await written(api, value_set("VR", url=url, version="2.0", status="draft"))
    for asked, code in ((url, "IMP"), (f"{url}|1.9", "AMB"), (f"{url}|2.0", "VR")):
        ids = fresh(3)
        await filtered(api, inbox, asked, ids)
        for identity, each in zip(ids, ("AMB", "IMP", "VR"), strict=True):
            await visit(api, identity, each)
        assert await seen(inbox) == ids[("AMB", "IMP", "VR").index(code)]
    assert f"{url}|3.0 is not known here" in await refused(api, inbox, f"{url}|3.0")


async def test_the_folder_wins(api: Api, inbox: Inbox) -> None:
    """What the operator laid down is not changed by a client; another version is another ValueSet."""
    await written(api, value_set("IMP", url=IN_FOLDER, version="1.0"))
    await written(api, value_set("IMP", url=IN_FOLDER, version="2.0"))
    for asked, expected in ((IN_FOLDER, 0), (f"{IN_FOLDER}|1.0", 0), (f"{IN_FOLDER}|2.0", 1)):
        ids = fresh(2)
        await filtered(api, inbox, asked, ids)
        await visit(api, ids[0], "AMB")
        await visit(api, ids[1], "IMP")
        assert await seen(inbox) == ids[expected]


async def test_one_base_does_not_ask_those_of_another(visits: RunningHub, inbox: Inbox) -> None:
    url = await written(visits.api(FhirVersion.R4), value_set("AMB"))
    for base in (FhirVersion.R4B, FhirVersion.R5):
        assert "is not known here" in await refused(visits.api(base), inbox, url)


async def test_it_outlives_a_restart(api_redis_url: str, tmp_path: Path, base: FhirVersion, inbox: Inbox) -> None:
    redis, given, ids = f"{api_redis_url}?db=8", settings(tmp_path), fresh(2)
    kept, gone = value_set("AMB"), value_set("AMB")
    async with running_hub(redis, tmp_path / "hub", **given) as first:
        api = first.api(base)
        await written(api, kept)
        await written(api, gone)
        await filtered(api, inbox, kept["url"], ids)
        lost = await filtered(api, inbox, gone["url"], ids)
        await api.delete(f"ValueSet/{gone['id']}")
    async with running_hub(redis, tmp_path / "hub", fresh=False, **given) as second:
        api = second.api(base)
        assert list(second.hub.registry.broken) == [f"default|{base}|{lost}"]
        await visit(api, ids[0], "IMP")
        await visit(api, ids[1], "AMB")
        assert await seen(inbox) == ids[1]
        assert inbox.nothing_unread()


async def test_a_store_of_an_earlier_release_is_searched_for_them_once(
    api_redis_url: str, tmp_path: Path, inbox: Inbox
) -> None:
    redis, given, body = f"{api_redis_url}?db=8", settings(tmp_path), value_set("AMB")
    async with running_hub(redis, tmp_path / "hub", **given) as first:
        await written(first.api(FhirVersion.R4B), body)
        await first.hub.store.send(("DEL", "{reg}:valuesets"), ("DEL", "{reg}:valuesets:filled"))
    async with running_hub(redis, tmp_path / "hub", fresh=False, **given) as second:
        assert "is not known here" in await refused(second.api(FhirVersion.R4), inbox, body["url"])
        await filtered(second.api(FhirVersion.R4B), inbox, body["url"], fresh(1))


async def test_every_process_learns_of_it(api_redis_url: str, tmp_path: Path, base: FhirVersion, inbox: Inbox) -> None:
    """Whichever of two evaluates: the other one has the lease of the partition."""
    redis, given, ids = f"{api_redis_url}?db=8", settings(tmp_path), fresh(2)
    async with (
        running_hub(redis, tmp_path / "a", **given) as one,
        running_hub(redis, tmp_path / "b", fresh=False, **given) as other,
    ):
        here, there = one.api(base), other.api(base)
        body = value_set("AMB")
        url = await written(there, body)
        await filtered(here, inbox, url, ids)
        await written(there, value_set("IMP", url=url) | {"id": body["id"]})
        await visit(there, ids[0], "AMB")
        await visit(there, ids[1], "IMP")
        assert await seen(inbox) == ids[1]
        await there.delete(f"ValueSet/{body['id']}")
        for api in (here, there):
            assert "is not known here" in await refused(api, inbox, url)
        assert inbox.nothing_unread()
