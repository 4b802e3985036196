"""SubscriptionTopics: written through R4B and R5, shipped for all (issue point 2, ruling 22, S-018…S-053)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.subscriptiontopic import SubscriptionTopic as R4BTopic
from fhir.resources.subscriptiontopic import SubscriptionTopic as R5Topic

from hub.domain.versions import FhirVersion
from tests.api.builders import (
    PATIENT_CHANGE,
    SHIPPED,
    TOPIC_BASES,
    fresh_id,
    ids_in,
    patient,
    subscribe,
    subscription,
    topic,
)
from tests.api.harness import Api, RunningHub, expressions_of, outcome_of
from tests.api.receiver import Receiver

SHIPPED_IDS = {
    "admission", "discharge", "encounter-end", "encounter-start", "hub-test", "observation-lab-result",
    "patient-change", "task-status", "transfer",
}  # fmt: skip
StartHub = Callable[..., Awaitable[RunningHub]]


@pytest.fixture(params=TOPIC_BASES, ids=[base.value for base in TOPIC_BASES])
def base(request: pytest.FixtureRequest) -> FhirVersion:
    """R4 has no SubscriptionTopic."""
    return FhirVersion(request.param)


def fresh_url() -> str:
    return f"http://example.org/topics/{fresh_id()}"


async def test_a_topic_is_created_read_updated_and_deleted(api: Api) -> None:
    url = fresh_url()
    created = await api.post("SubscriptionTopic", topic(api.base, url))
    assert (created.status_code, created.headers["etag"]) == (201, 'W/"1"')
    identity = created.json()["id"]
    assert created.headers["location"].endswith(f"/SubscriptionTopic/{identity}/_history/1")
    read = await api.get(f"SubscriptionTopic/{identity}")
    assert read.json() == created.json()
    changed = await api.put(f"SubscriptionTopic/{identity}", read.json() | {"title": "Renamed"}, If_Match='W/"1"')
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert (await api.get(f"SubscriptionTopic/{identity}")).json()["title"] == "Renamed"
    assert "title" not in (await api.get(f"SubscriptionTopic/{identity}/_history/1")).json()
    outcome_of(await api.put(f"SubscriptionTopic/{identity}", read.json(), If_Match='W/"1"'), 412)
    outcome_of(await api.delete(f"SubscriptionTopic/{identity}", If_Match='W/"1"'), 412)
    assert (await api.delete(f"SubscriptionTopic/{identity}")).status_code == 204
    outcome_of(await api.get(f"SubscriptionTopic/{identity}"), 410)
    assert (await api.delete(f"SubscriptionTopic/{identity}")).status_code == 204
    assert (await api.get(f"SubscriptionTopic/{identity}/_history/1")).status_code == 200


async def test_a_client_may_name_its_topic(api: Api) -> None:
    identity = fresh_id()
    body = topic(api.base, fresh_url()) | {"id": identity}
    assert (await api.put(f"SubscriptionTopic/{identity}", body)).status_code == 201
    outcome_of(await api.put(f"SubscriptionTopic/{identity}", body | {"id": "other"}), 400)
    outcome_of(await api.put(f"SubscriptionTopic/{fresh_id()}", topic(api.base, fresh_url())), 400)


async def test_prefer_chooses_what_the_answer_to_a_topic_write_carries(api: Api) -> None:
    minimal = await api.post("SubscriptionTopic", topic(api.base, fresh_url()), Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    outcome = await api.post("SubscriptionTopic", topic(api.base, fresh_url()), Prefer="return=OperationOutcome")
    assert outcome.json()["resourceType"] == "OperationOutcome"


async def test_shipped_topics_are_read_in_the_shape_of_each_base(api: Api) -> None:
    """S-020: R4B knows no name and no comparator."""
    model = R4BTopic if api.base is FhirVersion.R4B else R5Topic
    found = (await api.get("SubscriptionTopic?_count=1000")).json()["entry"]
    shipped = {entry["resource"]["id"]: entry["resource"] for entry in found if entry["resource"]["id"] in SHIPPED_IDS}
    assert shipped.keys() == SHIPPED_IDS
    for identity, resource in shipped.items():
        model.model_validate(json.loads(json.dumps(resource)))
        assert (await api.get(f"SubscriptionTopic/{identity}")).json() == resource
        listed = [*resource.get("canFilterBy", ())]
        assert ("name" in resource) is (api.base is FhirVersion.R5)
        assert api.base is FhirVersion.R5 or not any("comparator" in each for each in listed)


async def test_a_shipped_topic_cannot_be_deleted(api: Api) -> None:
    answer = await api.delete("SubscriptionTopic/patient-change")
    outcome_of(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, PUT"


async def test_search_finds_topics_by_each_of_its_parameters(api: Api) -> None:
    url, mother = fresh_url(), fresh_url()
    body = topic(api.base, url, "Encounter") | {"derivedFrom": [f"{mother}|2"], "status": "draft"}
    identity = (await api.post("SubscriptionTopic", body)).json()["id"]
    hits = [
        f"url={url}", f"derived-or-self={url}", f"derived-or-self={mother}", f"derived-or-self={mother}|2",
        f"url={url}&resource=Encounter", f"url={url}&status=draft", f"url={fresh_url()},{url}", f"_id={identity}",
        f"url={url}&resource=http://hl7.org/fhir/StructureDefinition/Encounter",
        f"url={url}&status=http://hl7.org/fhir/publication-status|draft",
    ]  # fmt: skip
    for query in hits:
        assert ids_in(await api.get(f"SubscriptionTopic?{query}")) == [identity], query
    misses = [
        f"url={url}x", f"url={url}&status=active", f"url={url}&resource=Patient", f"derived-or-self={mother}|3",
        f"url={url}&code=A01",
    ]  # fmt: skip
    for query in misses:
        assert ids_in(await api.get(f"SubscriptionTopic?{query}")) == [], query


async def test_search_is_paged_by_links_that_lead_to_the_end(api: Api) -> None:
    path, seen = "SubscriptionTopic?_count=4&status=active", []
    for _ in range(100):
        page = (await api.get(path)).json()
        assert len(page.get("entry", ())) <= 4
        seen += [entry["resource"]["id"] for entry in page.get("entry", ())]
        links = {link["relation"]: link["url"] for link in page["link"]}
        if "next" not in links:
            break
        path = links["next"].partition("http://hub.test")[2]
    assert len(seen) == len(set(seen)) == page["total"]
    assert set(seen) >= SHIPPED_IDS


UNDECIDABLE: list[tuple[dict[str, Any], str]] = [
    ({"resource": "Unicorn"}, "SubscriptionTopic.resourceTrigger[0].resource"),
    ({"resource": "http://example.org/StructureDefinition/MyPatient"}, "SubscriptionTopic.resourceTrigger[0].resource"),
    ({"queryCriteria": {"current": "unicorn=1"}}, "SubscriptionTopic.resourceTrigger[0].queryCriteria.current"),
    ({"queryCriteria": {"current": "_has:Observation:patient:code=1"}}, "queryCriteria.current"),
    ({"queryCriteria": {"previous": "status:text=x"}}, "queryCriteria.previous"),
    ({"queryCriteria": {"current": "date=ge20x"}}, "queryCriteria.current"),
    ({"fhirPathCriteria": "status ="}, "SubscriptionTopic.resourceTrigger[0].fhirPathCriteria"),
    ({"fhirPathCriteria": "%previous.unknownFunction()"}, "fhirPathCriteria"),
    ({"fhirPathCriteria": "(" * 500}, "fhirPathCriteria"),
    ({"fhirPathCriteria": "status.matches('(a+)+\\\\1')"}, "fhirPathCriteria"),
    ({"supportedInteraction": ["read"]}, "supportedInteraction"),
    ({"queryCriteria": {"current": "status=x", "resultForCreate": "perhaps"}}, "resultForCreate"),
]


@pytest.mark.parametrize(("trigger", "element"), UNDECIDABLE, ids=[str(row[0])[:60] for row in UNDECIDABLE])
async def test_a_topic_that_cannot_be_decided_exactly_is_refused_with_the_element(
    api: Api, trigger: dict[str, Any], element: str
) -> None:
    """HOUSE decision 9."""
    url = fresh_url()
    body = topic(api.base, url, **({"resource": "Encounter"} | trigger))
    answer = await api.post("SubscriptionTopic", body)
    assert any(each.endswith(element) for each in expressions_of(answer, 422)), answer.text
    assert ids_in(await api.get(f"SubscriptionTopic?url={url}")) == []


NEVER: list[tuple[dict[str, Any], str]] = [
    ({"supportedInteraction": ["create"], "fhirPathCriteria": "%previous.status = 'a'"}, "resourceTrigger[0]"),
    ({"fhirPathCriteria": "%previous.exists() | %current.exists()"}, "resourceTrigger[0].fhirPathCriteria"),
    ({"fhirPathCriteria": "status"}, "resourceTrigger[0].fhirPathCriteria"),
    (
        {"queryCriteria": {"current": "status=a&status:not=a", "previous": "status=b", "requireBoth": True}},
        "resourceTrigger[0].queryCriteria.current",
    ),
]


@pytest.mark.parametrize(("trigger", "element"), NEVER, ids=[element for _, element in NEVER])
async def test_a_topic_that_the_lint_refuses_is_not_published(api: Api, trigger: dict[str, Any], element: str) -> None:
    """Nothing silent: a trigger that can never fire, or decides nothing, is told when it is written."""
    url = fresh_url()
    answer = await api.post("SubscriptionTopic", topic(api.base, url, "Encounter", **trigger))
    assert f"SubscriptionTopic.{element}" in expressions_of(answer, 422)
    assert ids_in(await api.get(f"SubscriptionTopic?url={url}")) == []


async def test_warnings_and_hints_are_told_to_who_asks_for_the_outcome(api: Api) -> None:
    """Ruling 22: the answer to POST says where."""
    body = topic(api.base, fresh_url(), "Patient") | {
        "canFilterBy": [{"resource": "Patient", "filterParameter": "gender"}],
        "notificationShape": [{"resource": "Patient", "include": ["Patient:organisation"]}],
    }
    answer = await api.post("SubscriptionTopic", body, Prefer="return=OperationOutcome")
    assert answer.status_code == 201
    done, *notes = answer.json()["issue"]
    assert done["diagnostics"] == f"published on {api.base.path}"
    assert [(each["severity"], each["expression"][0]) for each in notes] == [
        ("warning", "SubscriptionTopic.notificationShape[0].include"),
        ("information", "SubscriptionTopic.canFilterBy[0]"),
    ]
    assert "Did you mean 'organization'?" in notes[0]["diagnostics"]


async def test_a_subscription_to_an_unknown_topic_hears_of_the_nearest(api: Api, receiver: Receiver) -> None:
    async def said(asked: str) -> str:
        (issue,) = outcome_of(await api.post("Subscription", subscription(api.base, receiver.inbox().url, asked)), 422)
        return str(issue["diagnostics"])

    assert f"Did you mean {SHIPPED}patient-change|1.0.0?" in await said(SHIPPED + "patient-chnage")
    assert f"Did you mean {SHIPPED}patient-change|1.0.0?" in await said(f"{PATIENT_CHANGE}|3")
    assert "Did you mean" not in await said("http://example.org/quite/another-thing")


async def test_a_topic_of_the_r6_ballot_is_read_from_the_operators_folder(
    start_hub: StartHub, tmp_path: Path, receiver: Receiver
) -> None:
    """S-070: shown, and fired, as the R5 topic that it stands for."""
    url = "http://example.org/topics/r6"
    (tmp_path / "topics").mkdir()
    body = {name: value for name, value in topic(FhirVersion.R5, url).items() if name != "resourceTrigger"} | {
        "id": "r6",
        "trigger": [{"resource": "Patient", "canFilterBy": [{"filterParameter": "gender"}]}],
    }
    (tmp_path / "topics" / "r6.json").write_text(json.dumps(body))
    hub = await start_hub(topics_dir=tmp_path / "topics")
    api, inbox = hub.api(FhirVersion.R5), receiver.inbox()
    shown = (await api.get("SubscriptionTopic/r6")).json()
    assert shown["resourceTrigger"] == [{"resource": "Patient"}] and "trigger" not in shown
    await subscribe(api, inbox, url, filters=("gender=male",))
    await api.put("Patient/1", patient("1", gender="female"))
    await api.put("Patient/2", patient("2", gender="male"))
    (event,) = (await inbox.event()).events
    assert event.focus.endswith("Patient/2")


async def test_a_topic_of_the_r6_ballot_is_not_written_through_a_base(api: Api) -> None:
    body = {name: value for name, value in topic(api.base, fresh_url()).items() if name != "resourceTrigger"}
    (issue,) = outcome_of(await api.post("SubscriptionTopic", body | {"trigger": [{"resource": "Patient"}]}), 400)
    assert issue["expression"] == ["SubscriptionTopic.trigger"] and "HUB_TOPICS_DIR" in issue["diagnostics"]


async def test_the_same_canonical_twice_on_one_base_is_a_conflict_and_on_two_bases_none(running: RunningHub) -> None:
    url = fresh_url()
    first, second = (running.api(base) for base in TOPIC_BASES)
    assert (await first.post("SubscriptionTopic", topic(first.base, url))).status_code == 201
    outcome_of(await first.post("SubscriptionTopic", topic(first.base, url)), 409)
    assert (await second.post("SubscriptionTopic", topic(second.base, url))).status_code == 201
    other = topic(first.base, url) | {"version": "1.0.1"}
    assert (await first.post("SubscriptionTopic", other)).status_code == 201


async def test_topics_of_the_operators_folder_are_offered_where_they_compile(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """ruling 22: a topic about a type that only R5 has is offered on R5 alone."""
    folder = tmp_path / "topics"
    folder.mkdir()
    for name, resource in (("everywhere", "Basic"), ("r5-only", "Transport")):
        body = topic(FhirVersion.R5, f"http://example.org/{name}", resource) | {"id": name}
        (folder / f"{name}.json").write_text(json.dumps(body))
    hub = await start_hub(topics_dir=folder)
    for base in FhirVersion:
        statement = (await hub.api(base).get("metadata")).json()
        subscriptions = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription")
        offered = {each["valueCanonical"] for each in subscriptions["extension"]}
        assert "http://example.org/everywhere" in offered
        assert ("http://example.org/r5-only" in offered) is (base is FhirVersion.R5)


async def test_a_bases_own_topic_wins_over_the_shipped_one_on_that_base_only(
    start_hub: StartHub, receiver: Receiver
) -> None:
    """ruling 22."""
    hub = await start_hub()
    r4b, r5 = (hub.api(base) for base in TOPIC_BASES)
    own = topic(r5.base, PATIENT_CHANGE, "Patient", supportedInteraction=["delete"])
    assert (await r5.post("SubscriptionTopic", own)).status_code == 201
    inboxes = {api.base: receiver.inbox() for api in (r4b, r5)}
    for api in (r4b, r5):
        await subscribe(api, inboxes[api.base])
        await api.put("Patient/1", patient("1"))
        await api.delete("Patient/1")
    assert await inboxes[r4b.base].numbers(2) == [1, 2]
    (only,) = (await inboxes[r5.base].event()).events
    assert only.number == "1"
    assert inboxes[r5.base].nothing_unread()
    found = (await r5.get(f"SubscriptionTopic?url={PATIENT_CHANGE}")).json()["entry"]
    assert [entry["resource"]["resourceTrigger"][0]["supportedInteraction"] for entry in found] == [["delete"]]


async def test_a_topic_in_use_cannot_be_taken_away_or_changed_so_that_subscriptions_fall_silent(
    api: Api, receiver: Receiver
) -> None:
    url, inbox = fresh_url(), receiver.inbox()
    filters = [{"resource": "Patient", "filterParameter": name} for name in ("gender", "_id")]
    body = topic(api.base, url, "Patient") | {"canFilterBy": filters}
    identity = (await api.post("SubscriptionTopic", body)).json()["id"]
    told = await subscribe(api, inbox, f"{url}|1.0.0", filters=("gender=male",))
    here = f"SubscriptionTopic/{identity}"
    body["id"] = identity
    outcome_of(await api.delete(here), 409)
    outcome_of(await api.put(here, body | {"canFilterBy": filters[1:]}), 409)
    outcome_of(await api.put(here, body | {"url": url + "x"}), 409)
    outcome_of(await api.put(here, body | {"version": "2.0.0"}), 409)
    assert (await api.put(here, body | {"canFilterBy": filters[:1], "title": "fits"})).status_code == 200
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark, gender="male"))
    assert (await inbox.event()).numbers == [1]
    assert (await api.delete(f"Subscription/{told['id']}")).status_code == 204
    assert (await api.delete(here)).status_code == 204


async def test_a_new_topic_cannot_silence_those_who_use_the_one_that_it_would_replace(
    api: Api, receiver: Receiver
) -> None:
    """A Subscription without |version follows the newest version (S-019): it must fit there too."""
    url = fresh_url()
    body = topic(api.base, url, "Patient") | {"canFilterBy": [{"resource": "Patient", "filterParameter": "gender"}]}
    await api.post("SubscriptionTopic", body)
    await subscribe(api, receiver.inbox(), url, filters=("gender=male",))
    newer = topic(api.base, url, "Patient") | {"version": "1.0.1"}
    outcome_of(await api.post("SubscriptionTopic", newer), 409)
    hiding = topic(api.base, SHIPPED + "patient-change", "Patient")
    await subscribe(api, receiver.inbox(), filters=("gender=male",))
    outcome_of(await api.post("SubscriptionTopic", hiding), 409)
    assert (await api.post("SubscriptionTopic", newer | {"canFilterBy": body["canFilterBy"]})).status_code == 201


async def test_a_subscription_follows_the_version_that_its_canonical_means(api: Api, receiver: Receiver) -> None:
    """S-019: with a version exactly that one, without one the newest; numbers compare as numbers."""
    url = fresh_url()
    for version, interaction in (("1.9", "create"), ("1.10", "delete")):
        trigger = topic(api.base, url, "Patient", supportedInteraction=[interaction])
        assert (await api.post("SubscriptionTopic", trigger | {"version": version})).status_code == 201
    exact, newest = receiver.inbox(), receiver.inbox()
    await subscribe(api, exact, f"{url}|1.9", content="full-resource")
    await subscribe(api, newest, url, content="full-resource")
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    await api.delete(f"Patient/{mark}")
    assert [entry["request"]["method"] for entry in (await exact.event()).entries] == ["POST"]
    assert [entry["request"]["method"] for entry in (await newest.event()).entries] == ["DELETE"]
    unknown = subscription(api.base, exact.url, f"{url}|3")
    (element,) = expressions_of(await api.post("Subscription", unknown), 422)
    assert element == ("Subscription.topic" if api.base is FhirVersion.R5 else "Subscription.criteria")


async def test_a_version_of_odd_digits_is_a_version_like_any_other(api: Api) -> None:
    url = fresh_url()
    for version in ("²", "9" * 5000, "1.٣", "1..2"):
        answer = await api.post("SubscriptionTopic", topic(api.base, url) | {"version": version})
        assert answer.status_code in (201, 400, 422), answer.text
    body = subscription(api.base, "http://127.0.0.1:2001/", url, status="off")
    assert (await api.post("Subscription", body)).status_code == 201


async def test_a_retired_topic_takes_no_new_subscriptions_and_keeps_those_it_has(api: Api, receiver: Receiver) -> None:
    """S-019."""
    url, inbox = fresh_url(), receiver.inbox()
    body = topic(api.base, url, "Patient")
    identity = (await api.post("SubscriptionTopic", body)).json()["id"]
    await subscribe(api, inbox, url)
    retired = body | {"id": identity, "status": "retired"}
    assert (await api.put(f"SubscriptionTopic/{identity}", retired)).status_code == 200
    outcome_of(await api.post("Subscription", subscription(api.base, inbox.url, url)), 422)
    mark = fresh_id()
    await api.put(f"Patient/{mark}", patient(mark))
    assert (await inbox.event()).numbers == [1]


async def test_a_draft_topic_is_usable_only_when_the_operator_says_so(
    start_hub: StartHub, receiver: Receiver, base: FhirVersion
) -> None:
    api = (await start_hub(draft_topics=False)).api(base)
    url = fresh_url()
    await api.post("SubscriptionTopic", topic(base, url) | {"status": "draft"})
    (issue,) = outcome_of(await api.post("Subscription", subscription(base, receiver.inbox().url, url)), 422)
    assert "HUB_DRAFT_TOPICS" in issue["diagnostics"]
