"""FHIRPath Patch on resources of R4, R4B and R5 (http://hl7.org/fhir/R5/fhirpatch.html)."""

import copy
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.definitions import definitions
from hub.fhir.json import read_json, write_json
from hub.fhir.patch import apply_fhirpath_patch
from tests.unit.effort import counted_calls

EVERY = pytest.mark.parametrize("version", list(FhirVersion))
Json = dict[str, Any]


def patient(**members: Any) -> Json:
    return {"resourceType": "Patient", "id": "p"} | members


def part(name: str, **held: Any) -> Json:
    return {"name": name} | held


def operation(type_: str, path: str, *parts: Json, name: str = "", **numbers: int) -> Json:
    found = [part("type", valueCode=type_), part("path", valueString=path)]
    found += [part("name", valueString=name)] if name else []
    found += [part(number, valueInteger=value) for number, value in numbers.items()]
    return part("operation", part=[*found, *parts])


def add(path: str, name: str, **value: Any) -> Json:
    return operation("add", path, part("value", **value), name=name)


def insert(path: str, index: int, **value: Any) -> Json:
    return operation("insert", path, part("value", **value), index=index)


def replace(path: str, **value: Any) -> Json:
    return operation("replace", path, part("value", **value))


def delete(path: str) -> Json:
    return operation("delete", path)


def move(path: str, source: int, destination: int) -> Json:
    return operation("move", path, source=source, destination=destination)


def patched(resource: Json, *operations: Json, version: FhirVersion = FhirVersion.R4) -> Json:
    """The result, with the check that nothing handed in was changed."""
    parameters = {"resourceType": "Parameters", "parameter": list(operations)}
    before = copy.deepcopy((resource, parameters))
    result = apply_fhirpath_patch(resource, parameters, definitions(version))
    assert (resource, parameters) == before
    return result


def refusal(resource: Json, *operations: Json, version: FhirVersion = FhirVersion.R4) -> Refused:
    with pytest.raises(Refused) as refused:
        patched(resource, *operations, version=version)
    for issue in refused.value.issues:
        assert issue.diagnostics and issue.expression
    return refused.value


@EVERY
def test_primitives_are_added_replaced_and_deleted(version: FhirVersion) -> None:
    born = patient(birthDate="1920-01-01")
    assert patched(patient(), add("Patient", "birthDate", valueDate="1920-01-01"), version=version) == born
    assert patched(born, replace("Patient.birthDate", valueDate="1930-01-01"), version=version) == patient(
        birthDate="1930-01-01"
    )
    assert patched(born, delete("Patient.birthDate"), version=version) == patient()


@EVERY
def test_nested_elements_are_reached_by_index(version: FhirVersion) -> None:
    resource = patient(contact=[{"name": {"text": "a"}, "gender": "male"}])
    result = patched(
        resource,
        replace("Patient.contact[0].gender", valueCode="female"),
        replace("Patient.contact[0].name.text", valueString="b"),
        add("Patient.contact[0].name", "family", valueString="c"),
        version=version,
    )
    assert result == patient(contact=[{"name": {"text": "b", "family": "c"}, "gender": "female"}])


def test_deleting_the_last_element_leaves_no_empty_object_or_list() -> None:
    resource = patient(contact=[{"name": {"text": "a"}, "gender": "male"}])
    assert patched(resource, delete("Patient.contact[0].name.text")) == patient(contact=[{"gender": "male"}])
    both = [delete("Patient.contact[0].name.text"), delete("Patient.contact[0].gender")]
    assert patched(resource, *both) == patient()
    assert patched(resource, delete("Patient.contact[0]")) == patient()


def test_a_delete_that_finds_nothing_has_nothing_to_do() -> None:
    assert patched(patient(), delete("Patient.birthDate"), delete("Patient.contact[3].name")) == patient()


def test_an_empty_patch_changes_nothing() -> None:
    assert patched(patient()) == patient()
    assert apply_fhirpath_patch(patient(), {"resourceType": "Parameters"}, definitions(FhirVersion.R5)) == patient()


@EVERY
def test_data_types_are_added_and_replaced_as_a_whole(version: FhirVersion) -> None:
    married = {"id": "1", "text": "married"}
    added = patched(patient(), add("Patient", "maritalStatus", valueCodeableConcept=married), version=version)
    assert added == patient(maritalStatus=married)
    other = {"text": "not married"}
    replaced = patched(added, replace("Patient.maritalStatus", valueCodeableConcept=other), version=version)
    assert replaced == patient(maritalStatus=other)


@EVERY
def test_a_backbone_element_is_given_as_parts(version: FhirVersion) -> None:
    value = [
        part("name", valueHumanName={"text": "a"}),
        part("relationship", valueCodeableConcept={"text": "friend"}),
        part("relationship", valueCodeableConcept={"text": "neighbour"}),
    ]
    result = patched(patient(), add("Patient", "contact", part=value), version=version)
    friend = {"name": {"text": "a"}, "relationship": [{"text": "friend"}, {"text": "neighbour"}]}
    assert result == patient(contact=[friend])


def test_parts_nest_and_choose_types() -> None:
    item = [
        part("linkId", valueString="1"),
        part("answer", part=[part("value", valueDecimal=Decimal("6.30"))]),
        part("item", part=[part("linkId", valueString="1.1")]),
    ]
    resource = {"resourceType": "QuestionnaireResponse", "id": "q", "status": "completed"}
    result = patched(resource, add("QuestionnaireResponse", "item", part=item))
    assert result["item"] == [
        {"linkId": "1", "answer": [{"valueDecimal": Decimal("6.30")}], "item": [{"linkId": "1.1"}]}
    ]
    assert b"6.30" in write_json(result)


def identifiers(*values: str) -> Json:
    return patient(identifier=[{"value": value} for value in values])


def values(resource: Json) -> list[str]:
    return [identifier["value"] for identifier in resource["identifier"]]


@pytest.mark.parametrize(("index", "expected"), [(0, "xab"), (1, "axb"), (2, "abx")])
def test_an_insert_goes_before_the_index(index: int, expected: str) -> None:
    result = patched(identifiers("a", "b"), insert("Patient.identifier", index, valueIdentifier={"value": "x"}))
    assert "".join(values(result)) == expected


def test_an_insert_can_begin_a_list() -> None:
    assert patched(patient(), insert("Patient.identifier", 0, valueIdentifier={"value": "a"})) == identifiers("a")


def test_an_add_appends_to_a_list() -> None:
    result = patched(identifiers("a"), add("Patient", "identifier", valueIdentifier={"value": "b"}))
    assert values(result) == ["a", "b"]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([(3, 1)], "1423"),
        ([(0, 3)], "2341"),
        ([(1, 0)], "2134"),
        ([(1, 0), (2, 1)], "2314"),
        ([(3, 0), (3, 1), (3, 2)], "4321"),
        ([(2, 2)], "1234"),
    ],
)
def test_a_move_takes_out_first_and_then_puts_in(moves: list[tuple[int, int]], expected: str) -> None:
    """The published test cases for reordering expect this reading of destination."""
    operations = [move("Patient.identifier", source, destination) for source, destination in moves]
    assert "".join(values(patched(identifiers(*"1234"), *operations))) == expected


def test_operations_apply_in_order() -> None:
    result = patched(
        identifiers("a", "b", "c"),
        delete("Patient.identifier[0]"),
        delete("Patient.identifier[0]"),
        replace("Patient.identifier[0].value", valueString="d"),
    )
    assert values(result) == ["d"]


@EVERY
def test_conditions_choose_elements(version: FhirVersion) -> None:
    resource = patient(
        name=[{"use": "official", "given": ["a", "b"]}, {"use": "usual", "given": ["c"]}],
        telecom=[{"system": "phone", "value": "1"}, {"system": "email", "value": "2", "rank": 1}],
    )
    result = patched(
        resource,
        replace("Patient.name.where(use = 'usual').given[0]", valueString="C"),
        replace("Patient.name.where(use='official' and given.count() = 2).given.where($this = 'b')", valueString="B"),
        delete("Patient.telecom.where(rank.exists())"),
        add("Patient.telecom.where(system = 'phone').first()", "use", valueCode="home"),
        version=version,
    )
    assert result["name"] == [{"use": "official", "given": ["a", "B"]}, {"use": "usual", "given": ["C"]}]
    assert result["telecom"] == [{"system": "phone", "value": "1", "use": "home"}]


def test_a_condition_sees_the_resource_and_the_extensions_beside_a_primitive() -> None:
    marked = {"extension": [{"url": "http://x.org/m", "valueBoolean": True}]}
    resource = patient(name=[{"given": ["a", "b", "p"], "_given": [None, marked, None]}])
    path = "Patient.name.given.where(extension('http://x.org/m').exists())"
    assert patched(resource, replace(path, valueString="x")) == patient(name=[{"given": ["a", "x", "p"]}])
    assert patched(resource, delete("Patient.name.given.where($this = %resource.id)")) == patient(
        name=[{"given": ["a", "b"], "_given": [None, marked]}]
    )


def test_first_last_and_indexes_count_over_all_owners() -> None:
    resource = patient(name=[{"given": ["a", "b"]}, {"given": ["c", "d"]}])
    result = patched(
        resource,
        replace("Patient.name.given.last()", valueString="D"),
        replace("Patient.name.given[2]", valueString="C"),
        replace("Patient.name.given.first()", valueString="A"),
    )
    assert result["name"] == [{"given": ["A", "b"]}, {"given": ["C", "D"]}]


@EVERY
def test_a_choice_element_takes_its_name_from_the_type_of_the_value(version: FhirVersion) -> None:
    quantity = {"value": Decimal("6.30"), "unit": "mg"}
    resource: Json = {"resourceType": "Observation", "id": "o", "status": "final"}
    measured = patched(resource, add("Observation", "value", valueQuantity=quantity), version=version)
    assert measured == resource | {"valueQuantity": quantity}
    told = patched(measured, replace("Observation.value", valueString="high"), version=version)
    assert told == resource | {"valueString": "high"}
    again = patched(measured, replace("Observation.value.ofType(Quantity).unit", valueString="g"), version=version)
    assert again["valueQuantity"] == {"value": Decimal("6.30"), "unit": "g"}
    assert patched(measured, delete("(Observation.value as Quantity)"), version=version) == resource
    assert patched(measured, delete("Observation.value.ofType(string)"), version=version) == measured


def test_a_boolean_choice_and_a_primitive_choice_with_an_extension() -> None:
    resource = patient(deceasedDateTime="2020", _deceasedDateTime={"id": "x"})
    assert patched(resource, replace("Patient.deceased", valueBoolean=False)) == patient(deceasedBoolean=False)
    assert patched(resource, replace("Patient.deceased", valueDateTime="2021")) == patient(deceasedDateTime="2021")


def test_lists_of_primitives_keep_what_stands_beside_them_in_step() -> None:
    beside = {"id": "x"}
    resource = patient(name=[{"given": ["a", "b"], "_given": [None, beside]}])
    inserted = patched(resource, insert("Patient.name[0].given", 0, valueString="z"))
    assert inserted["name"] == [{"given": ["z", "a", "b"], "_given": [None, None, beside]}]
    moved = patched(resource, move("Patient.name[0].given", 1, 0))
    assert moved["name"] == [{"given": ["b", "a"], "_given": [beside, None]}]
    assert patched(resource, delete("Patient.name[0].given[1]"))["name"] == [{"given": ["a"]}]
    only = patient(name=[{"given": [None, "b"], "_given": [beside, None]}])
    assert patched(only, replace("Patient.name.given[0]", valueString="a"))["name"] == [{"given": ["a", "b"]}]


def test_a_value_brings_its_own_extensions() -> None:
    absent = {"extension": [{"url": "http://x.org/absent", "valueCode": "unknown"}]}
    result = patched(patient(), add("Patient", "birthDate", _valueDate=absent))
    assert result == patient(_birthDate=absent)
    assert patched(result, replace("Patient.birthDate", valueDate="2000")) == patient(birthDate="2000")


@EVERY
def test_extensions_of_a_primitive_are_added_changed_and_deleted(version: FhirVersion) -> None:
    extension = {"url": "http://x.org/e", "valueCode": "a"}
    born = patient(birthDate="2000")
    given = [part("url", valueUri="http://x.org/e"), part("value", valueCode="a")]
    marked = patched(born, add("Patient.birthDate", "extension", part=given), version=version)
    assert marked == born | {"_birthDate": {"extension": [extension]}}
    path = "Patient.birthDate.extension('http://x.org/e')"
    changed = patched(marked, replace(f"{path}.value", valueCode="b"), version=version)
    assert changed == born | {"_birthDate": {"extension": [extension | {"valueCode": "b"}]}}
    assert patched(marked, delete(path), version=version) == born


def test_extensions_in_lists_of_primitives_find_their_place() -> None:
    given = [part("url", valueUri="http://x.org/e"), part("value", valueCode="a")]
    result = patched(patient(name=[{"given": ["a", "b"]}]), add("Patient.name.given[1]", "extension", part=given))
    beside = {"extension": [{"url": "http://x.org/e", "valueCode": "a"}]}
    assert result == patient(name=[{"given": ["a", "b"], "_given": [None, beside]}])
    without = patched(result, delete("Patient.name.given[1].extension[0]"))
    assert without == patient(name=[{"given": ["a", "b"]}])


def test_contained_resources_are_given_as_resource() -> None:
    device = {"resourceType": "Device", "id": "d", "status": "active"}
    result = patched(patient(), add("Patient", "contained", resource=device))
    assert result == patient(contained=[device])
    path = "Patient.contained.where(id = 'd')"
    assert patched(result, replace(f"{path}.ofType(Device).status", valueCode="inactive"))["contained"] == [
        device | {"status": "inactive"}
    ]
    assert patched(result, delete(path)) == patient()


def test_paths_may_begin_at_the_resource_or_an_abstract_type() -> None:
    born = patient(birthDate="2000")
    assert patched(born, delete("birthDate")) == patched(born, delete("DomainResource.birthDate")) == patient()


def test_narrative_is_replaced_by_a_string() -> None:
    resource = patient(text={"status": "generated", "div": "<div>a</div>"})
    for path in (
        "Patient.text.div",
        "Patient.text.`div`",
        "Patient.text.where($this.div.exists() and '.div' != '').div",
    ):
        assert patched(resource, replace(path, valueString="<div>b</div>"))["text"]["div"] == "<div>b</div>"


def test_numbers_keep_their_digits() -> None:
    raw = b'{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":6.30}}'
    result = patched(read_json(raw), replace("Observation.status", valueCode="amended"))
    assert write_json(result) == raw.replace(b"final", b"amended")


FULL = patient(
    active=True,
    name=[{"use": "official", "given": ["a", "b"]}, {"use": "usual"}],
    identifier=[{"value": "1"}],
    deceasedBoolean=False,
)


@pytest.mark.parametrize(
    "found",
    [
        replace("Patient.birthDate", valueDate="2000"),
        add("Patient.identifier.where(use = 'official').period", "end", valueDate="2021-12-01"),
        add("Patient", "active", valueBoolean=False),
        add("Patient", "deceased", valueDateTime="2020"),
        add("Patient.name", "text", valueString="a"),
        add("Patient", "nothing", valueString="a"),
        add("Patient", "deceasedBoolean", valueBoolean=True),
        add("Patient", "value[x]", valueBoolean=True),
        add("Patient.active", "value", valueBoolean=True),
        insert("Patient.identifier", 2, valueIdentifier={"value": "x"}),
        insert("Patient.name.given", 0, valueString="x"),
        insert("Patient.maritalStatus", 0, valueCodeableConcept={"text": "x"}),
        insert("Patient", 0, valueString="x"),
        insert("Patient.name[0]", 0, valueHumanName={"text": "x"}),
        insert("Patient.name.where(use = 'usual')", 0, valueHumanName={"text": "x"}),
        insert("Patient.contact.telecom", 0, valueContactPoint={"value": "1"}),
        delete("Patient.name"),
        delete("Patient.name.given"),
        delete("Patient"),
        replace("Patient", valueString="x"),
        replace("Patient.name", valueHumanName={"text": "x"}),
        move("Patient.identifier", 0, 1),
        move("Patient.identifier", 1, 0),
        move("Patient.contact", 0, 0),
        move("Patient.active", 0, 0),
        delete("Observation.status"),
        delete("Patient.name | Patient.identifier"),
        delete("%resource.active"),
        delete("Patient.name.select(given)"),
        delete("Patient.name[0 + 1]"),
        delete("Patient.name.skip(1)"),
        delete("Patient.descendants()"),
        delete("Patient.children()"),
        delete("iif(true, Patient.active, Patient.name)"),
        delete("Patient.name.where(given = 'a' or $this.given > 1)"),
        delete("'Patient'"),
        delete("$this"),
        delete("Patient.generalPractitioner.resolve()"),
        delete("Patient.name.exists()"),
        replace("Patient.active", valueString="true"),
        replace("Patient.active", valueInteger=1),
        replace("Patient.name[0].given[0]", valueBoolean=True),
        replace("Patient.name[0].given[0]", valueInteger=1),
        replace("Patient.name[0]", valueAddress={"text": "x"}),
        replace("Patient.name[0]", valueString="x"),
        replace("Patient.deceased", valueString="x"),
        replace("Patient.active", part=[part("x", valueString="y")]),
        replace("Patient.name[0]", resource=patient()),
        replace("Patient.name[0]", part=[part("nothing", valueString="x")]),
        replace("Patient.name[0]", part=[part("use", valueCode="usual"), part("use", valueCode="old")]),
        add("Patient", "contact", valueHumanName={"text": "x"}),
        add("Patient", "contained", valueString="x"),
        replace("Patient.id", valueId="q"),
        delete("Patient.id"),
        add("Patient", "resourceType", valueString="Person"),
    ],
)
def test_what_does_not_apply_is_unprocessable_and_named(found: Json) -> None:
    refused = refusal(FULL, delete("Patient.birthDate"), found)
    type_ = found["part"][0]["valueCode"]
    assert isinstance(refused, Unprocessable)
    assert refused.issues[0].diagnostics.startswith(f"Operation 1 ({type_}): ")


@pytest.mark.parametrize(
    "found",
    [
        delete("Patient..name"),
        delete("Patient.name["),
        delete("Patient.nothing"),
        delete("Patient.valueString"),
        delete("Patient.name.where()"),
        delete("Patient.name.ofType('x')"),
        delete("Patient.name.unknown()"),
        delete("Patient.name.where(nothing = 1)"),
        delete("." * 20_000),
        delete("(" * 500 + "Patient" + ")" * 500),
        replace("Patient.active"),
        replace("Patient.active", valueBoolean="true"),
        replace("Patient.active", valueBoolean=None),
        replace("Patient.active", valueNothing=1),
        replace("Patient.active", valueBoolean=True, valueString="x"),
        replace("Patient.active", valueBoolean=True, part=[]),
        replace("Patient.active", valueBoolean=True, other=1),
        replace("Patient.active", valueBoolean=True, _valueBoolean=[]),
        replace("Patient.name[0]", valueHumanName="x"),
        replace("Patient.name[0]", valueHumanName={}),
        replace("Patient.name[0]", valueHumanName={"text": "x"}, _valueHumanName={"id": "x"}),
        replace("Patient.name[0]", part=[]),
        replace("Patient.name[0]", part=["x"]),
        replace("Patient.name[0].given[0]", valueString=""),
        add("Patient", "contained", resource={}),
        add("Patient", "contained", resource={"resourceType": "Nothing"}),
        {"name": "operation"},
        {"name": "operation", "part": []},
        {"name": "operation", "part": {}},
        {"name": "operation", "part": [None]},
        {"name": "operation", "part": [part("type", valueCode="add")]},
        {"name": "operation", "part": [part("type", valueCode="merge"), part("path", valueString="Patient")]},
        {"name": "operation", "modifierExtension": [{"url": "x"}], "part": delete("Patient.active")["part"]},
        {"name": "other", "part": delete("Patient.active")["part"]},
        operation("delete", "Patient.active", part("value", valueBoolean=True)),
        operation("delete", "Patient.active", part("path", valueString="Patient.name")),
        operation("delete", "Patient.active", part("comment", valueString="x")),
        operation("insert", "Patient.name", part("value", valueHumanName={"text": "x"}), index=-1),
        operation(
            "insert", "Patient.name", part("value", valueHumanName={"text": "x"}), part("index", valueString="0")
        ),
        operation("move", "Patient.name", source=0),
        operation("delete", ""),
        None,
        [],
        "x",
    ],
)
def test_what_is_no_patch_is_malformed_and_named(found: Any) -> None:
    refused = refusal(FULL, delete("Patient.birthDate"), found)
    assert isinstance(refused, Malformed)
    assert refused.issues[0].diagnostics.startswith("Operation 1")
    assert refused.issues[0].expression.startswith("Parameters.parameter[1]")


@pytest.mark.parametrize("parameters", [{}, patient(), {"resourceType": "Parameters", "parameter": {}}])
def test_what_is_no_parameters_is_malformed(parameters: Json) -> None:
    with pytest.raises(Malformed):
        apply_fhirpath_patch(patient(), parameters, definitions(FhirVersion.R4))


def test_a_resource_of_another_version_is_refused() -> None:
    topic = {"resourceType": "SubscriptionTopic", "id": "t"}
    with pytest.raises(Unprocessable):
        apply_fhirpath_patch(topic, {"resourceType": "Parameters"}, definitions(FhirVersion.R4))


def test_elements_are_those_of_the_version() -> None:
    encounter = {"resourceType": "Encounter", "id": "e", "status": "planned"}
    found = add("Encounter", "plannedStartDate", valueDateTime="2030-01-01")
    assert patched(encounter, found, version=FhirVersion.R5)["plannedStartDate"] == "2030-01-01"
    assert refusal(encounter, found, version=FhirVersion.R4).status == 422


def test_integer64_is_a_string_in_r5_and_unknown_before() -> None:
    resource = {"resourceType": "DocumentReference", "id": "d", "content": [{"attachment": {}}]}
    resource["content"] = [{"attachment": {"title": "a"}}]
    found = add("DocumentReference.content[0].attachment", "size", valueInteger64="12")
    result = patched(resource, found, version=FhirVersion.R5)
    assert result["content"] == [{"attachment": {"title": "a", "size": "12"}}]
    assert refusal(resource, found, version=FhirVersion.R4).status == 400


def test_more_than_a_thousand_operations_are_refused() -> None:
    assert patched(patient(), *[delete("Patient.active")] * 1000) == patient()
    assert refusal_without_place(*[delete("Patient.active")] * 1001).status == 422


def refusal_without_place(*operations: Json) -> Refused:
    with pytest.raises(Refused) as refused:
        patched(patient(), *operations)
    return refused.value


def test_a_costly_patch_is_refused_in_time() -> None:
    resource = patient(identifier=[{"value": str(number)} for number in range(5000)])
    condition = " or ".join(["value = 'x'"] * 400)
    with counted_calls() as calls:
        found = refusal(resource, *[delete(f"Patient.identifier.where({condition})")] * 1000)
    assert calls() < 8_000_000
    assert found.status == 422 and "split the patch" in found.issues[0].diagnostics
    assert refusal(resource, *[delete("Patient.identifier.where(value = 'x')")] * 1000).status == 422


def test_nesting_cannot_grow_beyond_sixty_four_levels() -> None:
    deep: Json = {"url": "http://x.org/e", "valueCode": "a"}
    for _ in range(29):
        deep = {"url": "http://x.org/e", "extension": [deep]}
    given = [part("url", valueUri="http://x.org/e"), part("extension", part=[part("url", valueUri="http://x.org/e")])]
    resource = patient(extension=[deep])
    path = "Patient" + ".extension" * 30
    assert patched(resource, add(path, "extension", part=given[:1]))
    assert refusal(resource, add(path, "extension", part=given)).status == 422
