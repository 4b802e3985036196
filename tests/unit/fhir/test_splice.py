"""Completing received bytes: everything the client wrote stays as it was (HOUSE decision 2)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Malformed
from hub.fhir.json import read_json
from hub.fhir.splice import meta_hint, with_id, with_meta

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05.678Z"


def completed(raw: bytes, version: str = "7") -> bytes:
    return with_meta(raw, meta_hint(raw, read_json(raw)), version, NOW)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            b'{"resourceType":"Observation","valueQuantity":{"value":6.30}}',
            b'{"meta":{"versionId":"7","lastUpdated":"%s"},"resourceType":"Observation","valueQuantity":{"value":6.30}}',
        ),
        (
            b'{ "resourceType" : "Patient",\n "meta" : { } }',
            b'{ "resourceType" : "Patient",\n "meta" : {"versionId":"7","lastUpdated":"%s" } }',
        ),
        (
            b'{"meta":{"versionId":"a"},"resourceType":"Patient"}',
            b'{"meta":{"lastUpdated":"%s","versionId":"a"},"resourceType":"Patient"}',
        ),
        (
            b'{"resourceType":"Patient","m\\u0065ta":{"tag":[]}}',
            b'{"resourceType":"Patient","m\\u0065ta":{"versionId":"7","lastUpdated":"%s","tag":[]}}',
        ),
        (
            b'{"contained":[{"meta":{}}],"text":"{\\"meta\\":{","meta":{"tag":[]}}',
            b'{"contained":[{"meta":{}}],"text":"{\\"meta\\":{","meta":{"versionId":"7","lastUpdated":"%s","tag":[]}}',
        ),
        (
            b'{"a\\"meta":{},"x":{"meta":1},"meta":{"source":"a"}}',
            b'{"a\\"meta":{},"x":{"meta":1},"meta":{"versionId":"7","lastUpdated":"%s","source":"a"}}',
        ),
        (b"{}", b'{"meta":{"versionId":"7","lastUpdated":"%s"}}'),
        (b"\xef\xbb\xbf {}", b' {"meta":{"versionId":"7","lastUpdated":"%s"}}'),
    ],
)
def test_meta_is_added_where_absent_and_every_other_byte_stays(raw: bytes, expected: bytes) -> None:
    assert completed(raw) == expected % STAMP.encode()


def test_a_complete_meta_needs_no_hint_and_changes_nothing() -> None:
    raw = b'{"meta":{"lastUpdated":"2020-01-01T00:00:00Z","versionId":"3"}}'
    assert meta_hint(raw, read_json(raw)) == ""
    assert completed(raw) == raw


@pytest.mark.parametrize("raw", [b'{"meta":[]}', b'{"meta":null}', b'{"meta":"x"}'])
def test_a_meta_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        meta_hint(raw, read_json(raw))


@pytest.mark.parametrize("hint", ["x", "-1m", "3mvlz", " 1mvl"])
def test_a_foreign_hint_is_a_fault_of_the_caller(hint: str) -> None:
    with pytest.raises(ValueError, match="hint"):
        with_meta(b"{}", hint, "1", NOW)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"resourceType":"Patient"}', b'{"id":"x","resourceType":"Patient"}'),
        (b'{"a":{"id":"n"},"id" : "old" ,"b":1.0}', b'{"a":{"id":"n"},"id" : "x" ,"b":1.0}'),
        (b'{"id":"o\\"ld","b":{"id":"}"}}', b'{"id":"x","b":{"id":"}"}}'),
        (b'{"i\\u0064":"old","b":{"id":"}"}}', b'{"i\\u0064":"x","b":{"id":"}"}}'),
        (b'{"id":"x","b":6.30}', b'{"id":"x","b":6.30}'),
        (b'{"id":12}', b'{"id":"x"}'),
        (b"{}", b'{"id":"x"}'),
    ],
)
def test_the_id_is_put_in_or_replaced_and_every_other_byte_stays(raw: bytes, expected: bytes) -> None:
    assert with_id(raw, read_json(raw), "x") == expected


def test_an_id_that_is_an_object_is_refused() -> None:
    with pytest.raises(Malformed):
        with_id(b'{"id":{}}', {"id": {}}, "x")


NAMES = st.sampled_from(["id", "meta", "versionId", "lastUpdated", 'a"', "\\", "{", "}", "é", "x:"]) | st.text(
    max_size=4
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(alphabet='"\\{}[]:,mé\U0001f600 \n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
RESOURCES = st.tuples(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.none() | st.dictionaries(NAMES, VALUES, max_size=3),
    st.dictionaries(NAMES.map(lambda name: name + "_"), VALUES, max_size=3),
)


def written(resource: dict[str, Any], ascii_only: bool, indent: int | None) -> bytes:
    return json.dumps(resource, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")


@given(RESOURCES, st.booleans(), st.sampled_from([None, 0, 2]), st.text(alphabet='a"\\é1', max_size=5))
def test_completed_bytes_mean_what_was_sent_plus_what_was_missing(
    parts: tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]],
    ascii_only: bool,
    indent: int | None,
    version: str,
) -> None:
    before, meta, after = parts
    resource = {name: value for name, value in before.items() if name not in ("meta", "id")}
    resource |= ({} if meta is None else {"meta": meta}) | after
    raw = written(resource, ascii_only, indent)
    try:
        parsed = read_json(raw)
    except Malformed:  # half a surrogate: such bytes are never accepted
        return
    expected = parsed | {"meta": {"versionId": version, "lastUpdated": STAMP} | parsed.get("meta", {})}
    assert json.loads(completed(raw, version)) == expected
    named = with_id(raw, parsed, version)
    assert json.loads(named) == parsed | {"id": version}
    assert json.loads(with_id(named, json.loads(named), "other")) == parsed | {"id": "other"}
