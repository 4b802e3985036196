"""Reading Bundles that ask for something: each entry with its own bytes, and every wrong shape refused by its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.errors import Malformed, Refused, TooLarge
from hub.fhir.bundle_entries import BundleEntry, read_entries
from hub.fhir.bundle_references import references_in, with_references
from hub.fhir.identifiers import identifier_tokens, search_token
from hub.fhir.json import read_json
from hub.fhir.query_strings import read_query, read_written_query

PATIENT = {"resourceType": "Patient"}


def entries_of(*entries: Any, kind: str = "transaction") -> list[BundleEntry]:
    raw = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()
    return read_entries(raw, read_json(raw))


def asking(method: str, url: Any, **more: Any) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **more}, "resource": PATIENT}


def refused(*entries: Any) -> str:
    with pytest.raises(Refused) as problem:
        entries_of(*entries)
    return problem.value.issues[0].expression


def test_each_entry_keeps_the_bytes_of_its_resource() -> None:
    bodies = [b'{ "a":6.30 ,"b":[ "\\u00e9]}", {}]}', b"", '{"c":"é\\"}"}'.encode()]
    resource = b',"resource" : %s '
    raw = b"\xef\xbb\xbf" + b' {"entry" :\t[%s],"resourceType":"Bundle", "type":"history" }\n' % b" ,\n".join(
        b'{"request":{"method":"DELETE","url":"A/1"}%s}' % (resource % body if body else b"") for body in bodies
    )
    assert [entry.raw for entry in read_entries(raw, read_json(raw))] == bodies


def test_members_written_in_escapes_are_the_same_members() -> None:
    raw = (
        b'{"type":"batch","\\u0065ntry":[{"r\\u0065source":{"resourceType":"Patient"},'
        b'"request":{"method":"POST","url":"Patient"}}]}'
    )
    assert read_entries(raw, read_json(raw))[0].raw == b'{"resourceType":"Patient"}'


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("Patient", ("Patient", "", ())), ("Patient/1", ("Patient", "1", ())), ("/Patient/1", ("Patient", "1", ())),
        ("Patient?identifier=a%7Cb+c", ("Patient", "", [("identifier", "a|b c")])),
    ],
)  # fmt: skip
def test_the_url_is_taken_apart(url: str, parts: Any) -> None:
    (entry,) = entries_of(asking("PUT", url))
    assert (entry.type, entry.id, entry.query) == parts


@pytest.mark.parametrize(
    "url",
    ["", 1, None, [], "Patient/", "Patient/1/2", "Patient/1?x=y", "http://a/Patient/1", "Patient?", "Patient?a=%zz"],
)
def test_a_url_that_means_nothing_is_refused_by_its_place(url: Any) -> None:
    assert refused(asking("DELETE", "Patient/1"), asking("PUT", url)) == "Bundle.entry[1].request.url"


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("PUT", "ifMatch", 1), ("PUT", "ifMatch", ""), ("PUT", "ifMatch", "3"), ("PUT", "ifMatch", 'W/"0"'),
        ("POST", "ifNoneExist", ""), ("POST", "ifNoneExist", []), ("PUT", "ifNoneExist", "identifier=1"),
        ("POST", "ifMatch", 'W/"1"'), ("PUT", "ifNoneMatch", "*"), ("DELETE", "ifModifiedSince", "2020"),
    ],
)  # fmt: skip
def test_a_condition_that_would_be_overlooked_is_refused(method: str, name: str, value: Any) -> None:
    url = "Patient" if method == "POST" else "Patient/1"
    assert refused(asking(method, url, **{name: value})) == f"Bundle.entry[0].request.{name}"


def test_a_history_tells_of_conditions_that_do_not_matter_any_more() -> None:
    (entry,) = entries_of(asking("PUT", "Patient/1", ifMatch="*", ifNoneExist=1), kind="history")
    assert (entry.if_match, entry.if_none_exist) == (None, ())


@pytest.mark.parametrize(
    "entry", [{}, {"request": 1}, {"request": {"method": "PUT", "url": "Patient/1"}}, {"request": {"method": ["PUT"]}}]
)
def test_an_entry_of_a_wrong_shape_is_refused(entry: Any) -> None:
    assert refused(entry).startswith("Bundle.entry[0]")


def test_more_entries_than_one_step_may_have_are_refused() -> None:
    with pytest.raises(TooLarge):
        entries_of(*[asking("PUT", "Patient/1")] * 1001)


def test_references_are_replaced_where_something_is_pointed_at_and_nowhere_else() -> None:
    raw = (
        b'{"reference":"urn:uuid:1", "valueUri" :"urn\\u003auuid:1","value":"urn:uuid:1","display":"urn:uuid:1",'
        b'"urn:uuid:1":"x","instantiatesUri":["urn:uuid:1","urn:uuid:12"],"system":"urn:uuid:1","x":6.30,'
        b'"div":"<a href=\\"urn:uuid:1\\">urn:uuid:1</a><img src=\\"urn:uuid:1\\"/>"}'
    )
    assert with_references(raw, {"urn:uuid:1": "Patient/9"}) == (
        b'{"reference":"Patient/9", "valueUri" :"Patient/9","value":"urn:uuid:1","display":"urn:uuid:1",'
        b'"urn:uuid:1":"x","instantiatesUri":["Patient/9","urn:uuid:12"],"system":"urn:uuid:1","x":6.30,'
        b'"div":"<a href=\\"Patient/9\\">urn:uuid:1</a><img src=\\"Patient/9\\"/>"}'
    )
    assert with_references(raw, {}) is raw


def test_references_are_found_at_any_depth() -> None:
    value = {
        "a": [{"reference": "A/1"}, {"b": {"reference": "B/1", "reference2": "no"}}],
        "reference": {"reference": "C/1"},
    }
    assert list(references_in(value)) == ["A/1", "B/1", "C/1"]


def test_a_plus_is_a_space_only_in_a_query_that_is_encoded() -> None:
    assert read_written_query("?identifier=a+b") == [("identifier", "a+b")]
    assert read_written_query("identifier=é|a+b") == [("identifier", "é|a+b")]
    assert read_written_query("identifier=a%20+b") == read_query(b"identifier=a%20+b") == [("identifier", "a  b")]


@pytest.mark.parametrize("text", ["", "?", "&", "a=%zz", "a=%ff"])
def test_a_condition_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as problem:
        read_written_query(text, "there")
    assert problem.value.issues[0].expression == "there"


def test_an_identifier_is_found_with_its_system_and_by_its_value() -> None:
    resource = {
        "resourceType": "DocumentReference", "masterIdentifier": {"value": "1"},
        "identifier": [{"system": "s", "value": "2"}, {"system": "s"}, "x", {"value": 3}, {"value": ""}],
    }  # fmt: skip
    expected = [("", "1"), (None, "1"), ("s", "2"), (None, "2")]
    assert set(identifier_tokens(resource)) == {search_token("DocumentReference", *each) for each in expected}
    assert len({search_token("A", *each) for each in expected} | {search_token("B", "", "1")}) == 5
