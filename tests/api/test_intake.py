"""Changes of ordinary resources come in over FHIR REST, on every base alike (issue point 1, ruling 12)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import pytest

from tests.api.builders import fresh_id, patient, subscribe
from tests.api.harness import BASE_URL, Api, outcome_of
from tests.api.receiver import Inbox

ODD_BYTES = (
    b'{ "valueQuantity" : {"unit":"mmol\\u002fl","value":6.30,\n\t"code":"mmol/L"},\r\n "status":"final",'
    b' "code":{"text":"caf\\u00e9 \\ud83d\\ude00 \xc3\xa9"}, "subject":{"reference":"Patient\\/1"},'
    b'"resourceType":"Observation" , "id":"%s", "component":[{"code":{},"valueQuantity":{"value":1.0E+2}}] }'
)


async def test_create_names_the_resource_and_says_where_it_is(api: Api) -> None:
    created = await api.post("Patient", patient(active=True))
    assert created.status_code == 201
    identity = created.json()["id"]
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", identity)
    assert created.headers["location"] == f"{BASE_URL}{api.base.path}/Patient/{identity}/_history/1"
    assert created.headers["etag"] == 'W/"1"'
    assert created.json()["meta"]["versionId"] == "1"
    assert (await api.get(f"Patient/{identity}")).content == created.content


async def test_last_modified_is_the_moment_of_acceptance_and_agrees_with_meta(api: Api) -> None:
    created = await api.post("Patient", patient())
    told = parsedate_to_datetime(created.headers["last-modified"])
    assert created.json()["meta"]["lastUpdated"].startswith(told.strftime("%Y-%m-%dT%H:%M:%S"))


async def test_an_id_in_a_create_is_replaced_by_the_hubs(api: Api) -> None:
    created = await api.post("Patient", patient("chosen"))
    assert created.status_code == 201
    assert created.json()["id"] != "chosen"


async def test_put_of_a_new_id_creates_and_put_of_a_known_one_updates(api: Api) -> None:
    identity = fresh_id()
    first = await api.put(f"Patient/{identity}", patient(identity))
    assert (first.status_code, first.headers["etag"]) == (201, 'W/"1"')
    second = await api.put(f"Patient/{identity}", patient(identity, active=True))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert second.headers["location"].endswith(f"/Patient/{identity}/_history/2")


async def test_every_version_can_be_read_by_its_number(api: Api) -> None:
    identity = fresh_id()
    first = await api.put(f"Patient/{identity}", patient(identity, gender="female"))
    second = await api.put(f"Patient/{identity}", patient(identity, gender="male"))
    assert (await api.get(f"Patient/{identity}/_history/1")).content == first.content
    assert (await api.get(f"Patient/{identity}/_history/2")).content == second.content
    assert (await api.get(f"Patient/{identity}")).content == second.content
    outcome_of(await api.get(f"Patient/{identity}/_history/3"), 404)
    outcome_of(await api.get(f"Patient/{identity}/_history/0"), 404)


async def test_a_deleted_resource_is_gone_and_its_earlier_versions_are_still_read(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    deleted = await api.delete(f"Patient/{identity}")
    assert (deleted.status_code, deleted.content, deleted.headers["etag"]) == (204, b"", 'W/"2"')
    outcome_of(await api.get(f"Patient/{identity}"), 410)
    outcome_of(await api.get(f"Patient/{identity}/_history/2"), 410)
    assert (await api.get(f"Patient/{identity}/_history/1")).status_code == 200


async def test_deleting_again_is_no_change_and_deleting_the_unknown_is_404(api: Api) -> None:
    identity = fresh_id()
    outcome_of(await api.delete(f"Patient/{identity}"), 404)
    await api.put(f"Patient/{identity}", patient(identity))
    await api.delete(f"Patient/{identity}")
    again = await api.delete(f"Patient/{identity}")
    assert (again.status_code, again.headers["etag"]) == (204, 'W/"2"')


async def test_a_resource_comes_back_after_its_deletion_as_a_create(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    await api.delete(f"Patient/{identity}")
    back = await api.put(f"Patient/{identity}", patient(identity))
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')


async def test_what_is_unknown_is_404(api: Api) -> None:
    outcome_of(await api.get("Patient/never-seen"), 404)
    outcome_of(await api.get("Patient/never-seen/_history/1"), 404)


async def test_the_same_id_on_another_type_or_base_is_another_resource(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    outcome_of(await api.get(f"Practitioner/{identity}"), 404)


async def test_if_match_lets_only_the_named_version_be_changed(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    outcome_of(await api.put(f"Patient/{identity}", patient(identity), If_Match='W/"2"'), 412)
    assert (await api.put(f"Patient/{identity}", patient(identity), If_Match='W/"1"')).headers["etag"] == 'W/"2"'
    outcome_of(await api.delete(f"Patient/{identity}", If_Match='W/"1"'), 412)
    assert (await api.delete(f"Patient/{identity}", If_Match='W/"2"')).status_code == 204
    outcome_of(await api.put(f"Patient/{identity}", patient(identity), If_Match='W/"3"'), 412)
    outcome_of(await api.put(f"Patient/{fresh_id()}", patient("x"), If_Match='W/"1"'), 400, 412)


@pytest.mark.parametrize("named", ['W/"1"', '"1"', '"7", W/"1"', "*"])
async def test_a_read_of_what_the_client_already_has_is_304_without_a_body(api: Api, named: str) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    answer = await api.get(f"Patient/{identity}", If_None_Match=named)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", 'W/"1"')
    assert "content-length" not in answer.headers
    assert (await api.get(f"Patient/{identity}", If_None_Match='W/"2"')).status_code == 200


async def test_head_answers_as_get_without_the_body(api: Api) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    got, head = await api.get(f"Patient/{identity}"), await api.call("HEAD", f"Patient/{identity}")
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers} == {**got.headers}


async def test_prefer_chooses_what_the_answer_to_a_write_carries(api: Api) -> None:
    identity = fresh_id()
    minimal = await api.put(f"Patient/{identity}", patient(identity), Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert minimal.headers["location"] and minimal.headers["etag"] == 'W/"1"'
    whole = await api.put(f"Patient/{identity}", patient(identity), Prefer="return=representation")
    assert whole.json()["id"] == identity
    outcome = await api.put(f"Patient/{identity}", patient(identity), Prefer="respond-async, return=OperationOutcome")
    assert outcome.json()["resourceType"] == "OperationOutcome"
    assert outcome.json()["issue"][0]["severity"] == "information"
    assert "preference-applied" not in outcome.headers
    deleted = await api.delete(f"Patient/{identity}", Prefer="return=OperationOutcome")
    assert (deleted.status_code, deleted.json()["resourceType"]) == (200, "OperationOutcome")


async def test_received_bytes_come_back_unchanged_everywhere(api: Api, inbox: Inbox) -> None:
    """Decision 2: 6.30 stays 6.30; order, spaces and escapes stay. Only what is missing in meta is spliced in."""
    identity = fresh_id()
    raw = ODD_BYTES % identity.encode()
    topic = "https://fhir-notification-hub.example/topics/observation-lab-result"
    raw = raw.replace(b'"status"', b'"category":[{"coding":[{"system":"%s","code":"laboratory"}]}],"status"' % LAB, 1)
    told = await subscribe(api, inbox, topic, content="full-resource")
    await api.put(f"Observation/{identity}", raw)
    read = (await api.get(f"Observation/{identity}")).content
    tail = raw[1:]
    assert read.endswith(tail), read
    assert re.fullmatch(rb'\{"meta":\{"versionId":"1","lastUpdated":"[^"]+"\},', read.removesuffix(tail))
    assert (await api.get(f"Observation/{identity}/_history/1")).content == read
    assert read in (await inbox.event()).body
    assert read in (await api.get(f"Subscription/{told['id']}/$events")).content


LAB = b"http://terminology.hl7.org/CodeSystem/observation-category"


async def test_a_meta_that_came_along_is_kept_as_it_came(api: Api) -> None:
    """Ruling 15: the received versionId stays in the body, the hub's own version is the ETag."""
    identity = fresh_id()
    raw = b'{"resourceType":"Patient","id":"%s","meta":{"versionId":"7","lastUpdated":"2020-02-03T04:05:06Z"}}'
    stored = await api.put(f"Patient/{identity}", raw % identity.encode())
    assert stored.content == raw % identity.encode()
    assert stored.headers["etag"] == 'W/"1"'


async def test_a_put_never_seen_that_claims_a_history_is_an_update_with_previous_unknown(
    api: Api, inbox: Inbox
) -> None:
    """Ruling 13: a hub that starts beside a full EHR does not announce old facts as new ones."""
    await subscribe(api, inbox, content="full-resource", filters=("gender=other",))
    identity = fresh_id()
    answer = await api.put(f"Patient/{identity}", patient(identity, gender="other", meta={"versionId": "7"}))
    assert answer.status_code == 200
    (entry,) = (await inbox.event()).entries
    assert entry["request"] == {"method": "PUT", "url": f"Patient/{identity}"}


async def test_a_byte_order_mark_is_left_out_and_changes_nothing_else(api: Api) -> None:
    identity = fresh_id()
    raw = b'{"resourceType":"Patient","id":"%s","meta":{"versionId":"1","lastUpdated":"2020-02-03T04:05:06Z"}}'
    stored = await api.put(f"Patient/{identity}", b"\xef\xbb\xbf" + raw % identity.encode())
    assert stored.content == raw % identity.encode()


@pytest.mark.parametrize("media_type", ["application/fhir+json", "application/json", "application/json; charset=UTF-8"])
async def test_fhir_json_is_read_under_each_of_its_names(api: Api, media_type: str) -> None:
    assert (await api.post("Patient", patient(), Content_Type=media_type)).status_code == 201


async def test_the_fhir_version_of_the_base_may_be_named_and_no_other(api: Api) -> None:
    """S-005."""
    own = f"application/fhir+json; fhirVersion={api.base.mime_parameter}"
    assert (await api.post("Patient", patient(), Content_Type=own, Accept=own)).status_code == 201
    other = "application/fhir+json; fhirVersion=3.0"
    outcome_of(await api.post("Patient", patient(), Content_Type=other), 415)
    outcome_of(await api.post("Patient", patient(), Accept=other), 406)
