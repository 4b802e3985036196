"""FHIR versions, formats, and the operations that are claimed for a base as a whole (S-001, S-005, S-006)."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.structure import model
from tests.api.builders import fresh_id, patient, subscribe, subscription
from tests.api.harness import BASE_URL, BASES, FHIR_JSON, Api, RunningHub, outcome_of
from tests.api.receiver import Inbox

NOWHERE = "http://127.0.0.1:2001/"
OTHER = {FhirVersion.R4: "5.0", FhirVersion.R4B: "4.0", FhirVersion.R5: "4.3"}


async def operations(api: Api) -> dict[str, str]:
    (rest,) = (await api.get("metadata")).json()["rest"]
    return {each["name"]: each["definition"] for each in rest["operation"]}


async def test_versions_tells_the_one_version_of_a_base(api: Api) -> None:
    own = {FhirVersion.R4: "4.0", FhirVersion.R4B: "4.3", FhirVersion.R5: "5.0"}[api.base]
    told = {
        "resourceType": "Parameters",
        "parameter": [{"name": "version", "valueCode": own}, {"name": "default", "valueCode": own}],
    }
    nothing = {"resourceType": "Parameters"}
    for answer in (await api.get("$versions"), await api.post("$versions"), await api.post("$versions", nothing)):
        assert (answer.status_code, answer.json()) == (200, told)
        assert answer.headers["content-type"].startswith(FHIR_JSON)
    plain = await api.get("$versions", Accept="application/json")
    assert plain.json() == {"versions": [own], "default": own}
    assert plain.headers["content-type"].startswith("application/json")
    assert (await api.call("HEAD", "$versions")).status_code == 200
    outcome_of(await api.get("$versions?x=1"), 400)
    refused = await api.delete("$versions")
    outcome_of(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD, POST"


async def test_versions_needs_no_token_and_the_operations_do(start_hub: Callable[..., Awaitable[RunningHub]]) -> None:
    hub = await start_hub(dev=False, token="secret")
    for base in BASES:
        api = hub.api(base)
        assert (await api.get("$versions")).status_code == 200
        for path in ("$versions", "$load", "$process-change"):
            outcome_of(await api.post(path, {"resourceType": "Parameters"}), 401)
        outcome_of(await api.get("OperationDefinition/hub-load"), 401)


async def test_every_claimed_operation_of_the_base_works_and_is_defined(api: Api) -> None:
    """S-200; a definition below the base is really served there."""
    claimed = await operations(api)
    assert claimed.keys() == {"versions", "load", "process-change", "external-event", "stop", "start"}
    assert claimed["versions"] == "http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions"
    mark = fresh_id()
    entry = {"resource": patient(mark)}
    loaded = await api.post("$load", {"resourceType": "Bundle", "type": "collection", "entry": [entry]})
    assert loaded.status_code == 200 and loaded.json()["parameter"][0]["name"] == "loaded", loaded.text
    change = [
        {"name": "interaction", "valueCode": "update"},
        {"name": "current", "resource": patient(mark, active=True)},
        {"name": "previous", "resource": patient(mark)},
    ]
    told = await api.post("$process-change", {"resourceType": "Parameters", "parameter": change})
    assert told.status_code == 200 and told.json()["active"] is True, told.text
    event = [
        {"name": "event", "valueCoding": {"code": "A01"}},
        {"name": "focus", "valueReference": {"reference": f"Patient/{mark}"}},
    ]
    told = await api.post("$external-event", {"resourceType": "Parameters", "parameter": event})
    assert told.status_code == 200 and told.json()["parameter"][0]["name"] == "change", told.text
    host = {"name": "endpoint", "valueString": f"{mark}.example.org"}
    for name in ("stop", "start"):
        told = await api.post(f"${name}", {"resourceType": "Parameters", "parameter": [host]})
        assert told.status_code == 200, told.text
    for name in ("load", "process-change", "external-event", "stop", "start"):
        url, here = claimed[name], f"OperationDefinition/hub-{name}"
        assert url == f"{BASE_URL}{api.base.path}/OperationDefinition/hub-{name}"
        served = await api.get(url.removeprefix(BASE_URL))
        definition = served.json()
        assert (definition["url"], definition["code"], definition["system"]) == (url, name, True)
        model("OperationDefinition", api.base).model_validate(copy.deepcopy(definition))
        assert (await api.get(f"{here}/_history/1")).json() == definition
        assert (await api.get(here, If_None_Match=served.headers["etag"])).status_code == 304


async def test_the_hubs_own_definitions_can_only_be_read_and_others_are_data(api: Api) -> None:
    here = "OperationDefinition/hub-load"
    body = (await api.get(here)).json()
    for answer in (
        await api.put(here, body | {"title": "mine"}),
        await api.delete(here),
        await api.get(f"{here}/_history"),
    ):
        outcome_of(answer, 405)
    outcome_of(await api.get(f"{here}/_history/2"), 404)
    assert (await api.get(here)).json() == body
    other = await api.post("OperationDefinition", {"resourceType": "OperationDefinition", "status": "draft"})
    assert other.status_code == 201
    assert (await api.get(f"OperationDefinition/{other.json()['id']}")).status_code == 200


async def test_the_statement_claims_what_the_ig_asks_for(api: Api) -> None:
    """S-194…S-196, S-199."""
    statement = (await api.get("metadata")).json()
    model("CapabilityStatement", api.base).model_validate(copy.deepcopy(statement))
    claim = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription")
    assert claim["conditionalCreate"] is True
    assert {each["name"] for each in claim["searchParam"]} >= {"url", "status"}
    is_backport = api.base is not FhirVersion.R5
    assert ("instantiates" in statement) is is_backport and ("supportedProfile" in claim) is is_backport


@pytest.mark.parametrize("quote", ["", '"'])
async def test_the_own_version_is_served_and_taken(api: Api, quote: str) -> None:
    """S-005."""
    own = f"{FHIR_JSON}; fhirVersion={quote}{api.base.mime_parameter}{quote}"
    identity = fresh_id()
    written = await api.put(f"Patient/{identity}", patient(identity), Accept=own, Content_Type=own)
    assert written.status_code == 201
    assert (await api.get(f"Patient/{identity}", Accept=own)).status_code == 200
    body = subscription(api.base, NOWHERE, status="off")
    assert (await api.post("Subscription", _sent_as(body, own))).status_code == 201


async def test_another_version_is_refused_with_the_base_that_serves_it(api: Api) -> None:
    """S-005: never accept what cannot be sent. S-006: resources are not converted."""
    for number in {"4.0", "4.3", "5.0", "6.0", "3.0", ""} - {api.base.mime_parameter}:
        other = f"{FHIR_JSON}; fhirVersion={number}"
        refused = await api.get("metadata", Accept=other)
        outcome_of(refused, 406)
        assert all(base.path in refused.text for base in BASES if base is not api.base)
        outcome_of(await api.post("Patient", patient(), Content_Type=other), 415)
        body = subscription(api.base, NOWHERE)
        (issue,) = outcome_of(await api.post("Subscription", _sent_as(body, other)), 422)
        place = "Subscription.contentType" if api.base is FhirVersion.R5 else "Subscription.channel.payload"
        assert issue["expression"] == [place]


async def test_notifications_say_the_version_that_was_asked_for(api: Api, inbox: Inbox) -> None:
    own = f"{FHIR_JSON}; fhirVersion={api.base.mime_parameter}"
    created = await api.post("Subscription", _sent_as(subscription(api.base, inbox.url), own))
    assert created.status_code == 201
    handshake = await inbox.next("handshake")
    assert handshake.header("content-type").replace(" ", "") == own.replace(" ", "")


def _sent_as(body: dict[str, Any], mime: str) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    if "channel" in changed:
        changed["channel"]["payload"] = mime
    else:
        changed["contentType"] = mime
    return changed


XML = b'<Patient xmlns="http://hl7.org/fhir"/>'


@pytest.mark.parametrize("mime", ["application/fhir+xml", "application/xml", "text/xml"])
async def test_xml_is_refused_everywhere_with_words(api: Api, mime: str) -> None:
    """Issue 3 point 7: served or refused, never half."""
    for path in ("metadata", "Patient/1", "Subscription", "$versions", "OperationDefinition/hub-load"):
        for answer in (await api.get(path, Accept=mime), await api.get(f"{path}?_format={mime}")):
            assert "json" in outcome_of(answer, 406)[0]["diagnostics"]
    for path in ("Patient", "Subscription", "Basic", "", "$load", "$process-change", "SubscriptionTopic"):
        if path == "SubscriptionTopic" and api.base is FhirVersion.R4:
            continue
        answer = await api.post(path, XML, Content_Type=mime)
        assert "application/fhir+json" in outcome_of(answer, 415)[0]["diagnostics"], path
    outcome_of(await api.put("Patient/1", XML, Content_Type=mime), 415)
    body = _sent_as(subscription(api.base, NOWHERE), mime)
    assert "application/fhir+json" in outcome_of(await api.post("Subscription", body), 422)[0]["diagnostics"]


async def test_the_format_parameter_chooses_among_what_is_served(api: Api) -> None:
    for wanted in ("json", "application/fhir%2Bjson", f"application/fhir%2Bjson;fhirVersion={api.base.mime_parameter}"):
        assert (await api.get(f"metadata?_format={wanted}", Accept="application/fhir+xml")).status_code == 200
    outcome_of(await api.get(f"metadata?_format=application/fhir%2Bjson;fhirVersion={OTHER[api.base]}"), 406)
    outcome_of(await api.get("metadata?_format=xml"), 406)


async def test_one_change_reaches_each_base_in_its_own_shape_only(running: RunningHub, inbox: Inbox) -> None:
    """S-001: a change made through one base concerns the Subscriptions of that base."""
    r4, r5 = running.api(FhirVersion.R4), running.api(FhirVersion.R5)
    mark = fresh_id()
    await subscribe(r4, inbox, filters=(f"_id={mark}",))
    await r5.put(f"Patient/{mark}", patient(mark))
    await r4.put(f"Patient/{mark}", patient(mark))
    assert (await inbox.event()).numbers == [1]
    assert inbox.nothing_unread()
