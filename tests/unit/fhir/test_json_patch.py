"""JSON Patch on resources (RFC 6902, RFC 6901)."""

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.json import read_json, read_json_array, write_json
from hub.fhir.patch import apply_json_patch, read_json_patch
from tests.unit.effort import counted_calls


def patient(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p"} | members


def patched(resource: dict[str, Any], *operations: Any) -> dict[str, Any]:
    """The result, with the check that nothing handed in was changed."""
    patch = read_json_patch(json.dumps(operations).encode())
    before = copy.deepcopy((resource, patch))
    result = apply_json_patch(resource, patch)
    assert (resource, patch) == before
    return result


def refusal(resource: dict[str, Any], *operations: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        patched(resource, *operations)
    assert all(issue.diagnostics for issue in refused.value.issues)
    return refused.value


def test_a_member_is_added_or_replaced() -> None:
    assert patched(patient(), {"op": "add", "path": "/active", "value": True}) == patient(active=True)
    assert patched(patient(active=True), {"op": "add", "path": "/active", "value": False}) == patient(active=False)


def test_an_item_is_inserted_before_the_index_or_at_the_end() -> None:
    resource = patient(name=[{"text": "a"}, {"text": "b"}])
    first = patched(resource, {"op": "add", "path": "/name/0", "value": {"text": "x"}})
    last = patched(resource, {"op": "add", "path": "/name/2", "value": {"text": "x"}})
    end = patched(resource, {"op": "add", "path": "/name/-", "value": {"text": "x"}})
    assert [name["text"] for name in first["name"]] == ["x", "a", "b"]
    assert [name["text"] for name in last["name"]] == [name["text"] for name in end["name"]] == ["a", "b", "x"]


def test_members_and_items_are_removed_and_replaced() -> None:
    resource = patient(active=True, name=[{"text": "a"}, {"text": "b"}])
    result = patched(
        resource,
        {"op": "remove", "path": "/active"},
        {"op": "remove", "path": "/name/0"},
        {"op": "replace", "path": "/name/0/text", "value": "c"},
        {"op": "replace", "path": "/name/0", "value": {"text": "d"}},
    )
    assert result == patient(name=[{"text": "d"}])


def test_values_are_moved_and_copied_without_sharing() -> None:
    result = patched(
        patient(name=[{"text": "a"}, {"text": "b"}]),
        {"op": "move", "from": "/name/1", "path": "/name/0"},
        {"op": "copy", "from": "/name/0", "path": "/contact"},
        {"op": "add", "path": "/contact/use", "value": "usual"},
        {"op": "move", "from": "/name", "path": "/name"},
    )
    assert result == patient(name=[{"text": "b"}, {"text": "a"}], contact={"text": "b", "use": "usual"})


def test_a_value_of_the_patch_can_be_patched_without_changing_the_patch() -> None:
    result = patched(
        patient(),
        {"op": "add", "path": "/name", "value": [{"text": "a"}]},
        {"op": "add", "path": "/name/0/use", "value": "usual"},
    )
    assert result["name"] == [{"text": "a", "use": "usual"}]


def test_pointers_escape_tilde_and_slash() -> None:
    resource = {"a/b": 1, "m~n": 2, "~1": 3, "": 4, " ": 5} | patient()
    for path, value in {"/a~1b": 1, "/m~0n": 2, "/~01": 3, "/": 4, "/ ": 5}.items():
        assert patched(resource, {"op": "test", "path": path, "value": value}) == resource


def test_numbers_are_tested_by_value_and_keep_their_digits() -> None:
    resource = read_json(b'{"resourceType":"Observation","id":"o","valueQuantity":{"value":6.30}}')
    patch = read_json_patch(
        b'[{"op":"test","path":"/valueQuantity/value","value":6.3},{"op":"add","path":"/x","value":1.10}]'
    )
    result = apply_json_patch(resource, patch)
    assert b'"value":6.30' in write_json(result)
    assert result["x"] == Decimal("1.10") and str(result["x"]) == "1.10"


@pytest.mark.parametrize(
    ("there", "tested"),
    [(True, 1), (1, True), (0, False), (1, "1"), (None, False), ([1, 2], [2, 1]), ({"a": 1}, {"a": 1, "b": 1})],
)
def test_values_of_another_kind_or_content_are_not_equal(there: Any, tested: Any) -> None:
    assert refusal(patient(x=there), {"op": "test", "path": "/x", "value": tested}).status == 422


@pytest.mark.parametrize(
    ("there", "tested"), [(1, 1.0), (None, None), ({"a": 1, "b": [True]}, {"b": [True], "a": 1}), ("é", "\u00e9")]
)
def test_equal_values_pass_whatever_their_order(there: Any, tested: Any) -> None:
    assert patched(patient(x=there), {"op": "test", "path": "/x", "value": tested}) == patient(x=there)


def test_members_that_an_operation_does_not_know_are_ignored() -> None:
    """RFC 6902 section 4."""
    assert patched(patient(), {"op": "add", "path": "/a", "value": 1, "note": "x"}) == patient(a=1)


def test_an_empty_patch_changes_nothing() -> None:
    assert patched(patient()) == patient()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b'[{"op":"add","op":"add","path":"/a","value":1}]',
        b'[{"op":"add","path":"/a","value":NaN}]',
        b'[{"op":"add","path":"/a","value":"\\ud800"}]',
        b"[" * 65 + b"]" * 65,
        b"[" * 1_000_000,
        b"\xff[]",
    ],
)
def test_a_broken_document_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_json_patch(raw)


@pytest.mark.parametrize(
    "operation",
    [
        {},
        {"op": "add"},
        {"op": "Add", "path": "/a", "value": 1},
        {"op": ["add"], "path": "/a", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "test", "path": "/a"},
        {"op": "replace", "path": "/a"},
        {"op": "remove", "path": "a"},
        {"op": "remove", "path": 1},
        {"op": "remove", "path": "/a~2"},
        {"op": "remove", "path": "/a~"},
        {"op": "move", "path": "/a"},
        {"op": "copy", "path": "/a", "from": "b"},
        {"op": "move", "path": "/a/b", "from": "/a"},
        {"op": "move", "path": "/a", "from": ""},
    ],
)
def test_an_operation_that_is_none_is_malformed_and_named(operation: Any) -> None:
    fine = {"op": "test", "path": "", "value": patient()}
    found = refusal(patient(), fine, operation)
    assert found.status == 400
    assert found.issues[0].diagnostics.startswith("Operation 1: ")


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nothing"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "test", "path": "/nothing", "value": None},
        {"op": "add", "path": "/nothing/a", "value": 1},
        {"op": "add", "path": "/name/2", "value": 1},
        {"op": "add", "path": "/name/01", "value": 1},
        {"op": "add", "path": "/name/+1", "value": 1},
        {"op": "add", "path": "/name/-1", "value": 1},
        {"op": "add", "path": "/name/a", "value": 1},
        {"op": "add", "path": "/name/\u0661", "value": 1},
        {"op": "add", "path": "/name/" + "9" * 5000, "value": 1},
        {"op": "replace", "path": "/name/-", "value": 1},
        {"op": "remove", "path": "/name/1"},
        {"op": "remove", "path": "/name/-"},
        {"op": "add", "path": "/active/x", "value": 1},
        {"op": "add", "path": "/id/0", "value": 1},
        {"op": "copy", "from": "/nothing", "path": "/a"},
        {"op": "move", "from": "/nothing", "path": "/nothing"},
        {"op": "add", "path": "", "value": []},
        {"op": "replace", "path": "", "value": {}},
        {"op": "add", "path": "/id", "value": "q"},
        {"op": "remove", "path": "/id"},
        {"op": "move", "from": "/id", "path": "/x"},
        {"op": "replace", "path": "/resourceType", "value": "Person"},
    ],
)
def test_an_operation_that_does_not_apply_is_unprocessable_and_named(operation: Any) -> None:
    found = refusal(patient(active=True, name=[{"text": "a"}]), operation)
    assert found.status == 422
    assert found.issues[0].diagnostics.startswith(f"Operation 0 ({operation['op']}): ")


def test_a_refused_identity_names_the_element() -> None:
    found = refusal(patient(), {"op": "replace", "path": "/id", "value": "q"})
    assert found.issues[0].expression == "Patient.id"


def test_the_whole_resource_can_be_replaced_by_another_state_of_it() -> None:
    assert patched(patient(active=True), {"op": "replace", "path": "", "value": patient(x=1)}) == patient(x=1)


def test_a_thousand_operations_are_applied_and_no_more() -> None:
    one = {"op": "add", "path": "/name/-", "value": {"text": "a"}}
    assert len(patched(patient(name=[]), *[one] * 1000)["name"]) == 1000
    assert refusal(patient(name=[]), *[one] * 1001).status == 422


def test_copying_cannot_make_a_bomb() -> None:
    resource = patient(x=[["a" * 1000]])
    with counted_calls() as calls:
        found = refusal(resource, *[{"op": "copy", "from": "/x", "path": "/x/-"}] * 60)
    assert calls() < 1_000_000
    assert found.status == 422 and found.issues[0].code == "too-costly"
    wide = refusal(
        resource,
        *[{"op": "copy", "from": "/x/0", "path": "/x/0/-"}, {"op": "copy", "from": "/x/0", "path": "/x/-"}] * 200,
    )
    assert wide.status == 422


def test_sixty_four_levels_are_the_deepest_result() -> None:
    deep: Any = "x"
    for _ in range(62):
        deep = [deep]
    assert patched(patient(a={}), {"op": "add", "path": "/a/b", "value": deep})
    found = refusal(patient(a={}), {"op": "add", "path": "/a/b", "value": [deep]})
    assert found.status == 422 and "64" in found.issues[0].diagnostics
    found = refusal(patient(a=[[]]), *[{"op": "copy", "from": "/a", "path": "/a/0/0"}] * 40)
    assert isinstance(found, Unprocessable)


def test_an_array_is_read_as_strictly_as_an_object() -> None:
    assert read_json_array(b'\xef\xbb\xbf[1, 6.30, {"a": null}]') == [1, Decimal("6.30"), {"a": None}]
    with pytest.raises(Malformed):
        read_json_array(b'{"a":1}')
    with pytest.raises(Malformed):
        read_json(b"[1]")
