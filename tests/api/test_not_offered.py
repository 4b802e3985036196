"""What the hub does not offer is refused in FHIR's words, never done halfway (issue point 1, HOUSE decision 9)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient
from tests.api.harness import Api, RunningHub, outcome_of

TRANSACTION = {"resourceType": "Bundle", "type": "transaction", "entry": []}
READ_ONE = "GET, HEAD, PUT, PATCH, DELETE"

NOT_OFFERED: list[tuple[str, str, Any, dict[str, str], str]] = [
    ("GET", "", None, {}, "POST"),
    ("PUT", "", TRANSACTION, {}, "POST"),
    ("GET", "$load", None, {}, "POST"),
    ("GET", "$process-change", None, {}, "POST"),
    ("PATCH", "Patient", [], {"Content_Type": "application/json-patch+json"}, "POST"),
    ("PATCH", "Patient?_format=json", [], {"Content_Type": "application/json-patch+json"}, "POST"),
    ("PUT", "Patient", patient("1"), {}, "POST"),
    ("DELETE", "Patient", None, {}, "POST"),
    ("GET", "Patient", None, {}, "POST"),
    ("GET", "Patient?name=x", None, {}, "POST"),
    ("POST", "Patient/_search", b"name=x", {"Content_Type": "application/x-www-form-urlencoded"}, ""),
    ("POST", "_search", b"name=x", {"Content_Type": "application/x-www-form-urlencoded"}, ""),
    ("POST", "Patient/1", patient("1"), {}, READ_ONE),
    ("POST", "Patient/1/_history", None, {}, "GET, HEAD"),
    ("GET", "Patient/_history", None, {}, ""),
    ("GET", "_history", None, {}, ""),
    ("PUT", "Patient/1/_history/1", patient("1"), {}, "GET, HEAD"),
    ("DELETE", "Patient/1/_history/1", None, {}, "GET, HEAD"),
    ("GET", "Patient/1/$everything", None, {}, ""),
    ("POST", "Patient/$validate", patient("1"), {}, ""),
    ("OPTIONS", "Patient", None, {}, "POST"),
    ("POST", "metadata", None, {}, "GET, HEAD"),
    ("PATCH", "Subscription/1", [], {}, "GET, HEAD, PUT, DELETE"),
    ("DELETE", "Subscription", None, {}, "GET, HEAD, POST"),
    ("GET", "Subscription/1/_history", None, {}, ""),
    ("DELETE", "Subscription/1/$status", None, {}, "GET, HEAD, POST"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "allowed"), NOT_OFFERED, ids=[f"{row[0]} {row[1]}" for row in NOT_OFFERED]
)
async def test_an_interaction_that_is_not_offered_is_405_and_says_what_is(
    api: Api, method: str, path: str, body: Any, headers: dict[str, str], allowed: str
) -> None:
    answer = await api.call(method, path, body, **headers)
    outcome_of(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path",
    ["Patient/1/$x/y", "Patient/1/_history/1/2", "Patient//1", "/", "//", "$x/Patient", "$process-message"],
)
async def test_a_path_that_means_nothing_is_404(api: Api, path: str) -> None:
    outcome_of(await api.get(f"{api.base.path}/{path}"), 404)


@pytest.mark.parametrize("path", ["/fhir", "/fhir/", "/fhir/r6/Patient", "/fhir/R4/Patient", "/Patient", "/metadata"])
async def test_a_path_beside_the_bases_is_404(running: RunningHub, path: str) -> None:
    outcome_of(await running.api(FhirVersion.R5).get(path), 404)


UNKNOWN_TYPES = [
    (FhirVersion.R4, "Unicorn"), (FhirVersion.R4, "Resource"), (FhirVersion.R4, "DomainResource"),
    (FhirVersion.R4, "patient"), (FhirVersion.R4, "SubscriptionTopic"), (FhirVersion.R4, "SubscriptionStatus"),
    (FhirVersion.R4, "Transport"), (FhirVersion.R4B, "Transport"), (FhirVersion.R4B, "ActorDefinition"),
    (FhirVersion.R5, "Media"), (FhirVersion.R5, "RequestGroup"), (FhirVersion.R5, "Unicorn"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "name"), UNKNOWN_TYPES)
async def test_a_type_that_the_version_does_not_have_is_refused_and_not_in_metadata(
    running: RunningHub, base: FhirVersion, name: str
) -> None:
    api, body = running.api(base), {"resourceType": name, "id": "1"}
    for method, path, sent in (("POST", name, body), ("PUT", f"{name}/1", body), ("GET", f"{name}/1", None)):
        outcome_of(await api.call(method, path, sent), 404)
    outcome_of(await api.delete(f"{name}/1"), 404)
    statement = (await api.get("metadata")).json()
    assert name not in {resource["type"] for resource in statement["rest"][0]["resource"]}


CONDITIONS = {
    "If-None-Match": "*", "If-Unmodified-Since": "Sat, 01 Jan 2022 00:00:00 GMT",
}  # fmt: skip


@pytest.mark.parametrize("name", CONDITIONS)
async def test_a_condition_that_would_not_be_kept_refuses_the_write(api: Api, name: str) -> None:
    """Overlooking it would do what the client asked not to be done."""
    identity, condition = fresh_id(), {name: CONDITIONS[name]}
    for resource_type in ("Patient", "Subscription"):
        body = {"resourceType": resource_type, "id": identity}
        outcome_of(await api.post(resource_type, body, **condition), 400)
        outcome_of(await api.put(f"{resource_type}/{identity}", body, **condition), 400)
        outcome_of(await api.delete(f"{resource_type}/{identity}", **condition), 400)
    outcome_of(await api.get(f"Patient/{identity}"), 404)


async def test_a_parameter_that_would_be_overlooked_refuses_the_request(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    outcome_of(await api.post("Patient?identifier=1", patient()), 400)
    outcome_of(await api.put(f"Patient/{identity}?x=1", patient(identity)), 400)
    outcome_of(await api.delete(f"Patient/{identity}?x=1"), 400)
    outcome_of(await api.get(f"Patient/{identity}?_summary=true"), 400)
    assert (await api.get(f"Patient/{identity}?_format=json&_pretty=true")).status_code == 200


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/fhir+json;q=0", "image/*"])
async def test_a_format_that_is_not_served_is_406(api: Api, accept: str) -> None:
    for path in ("Patient/1", "metadata", "Subscription"):
        outcome_of(await api.get(path, Accept=accept), 406)
    outcome_of(await api.get("Patient/1?_format=xml"), 406)


@pytest.mark.parametrize("accept", ["*/*", "application/fhir+xml, application/fhir+json;q=0.1", "text/html, */*;q=0.8"])
async def test_json_is_served_to_whoever_takes_it_among_others(api: Api, accept: str) -> None:
    assert (await api.get("Subscription", Accept=accept)).status_code == 200
