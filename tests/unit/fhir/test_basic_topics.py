"""SubscriptionTopics as R4 Basic (S-060…S-065)."""

import copy
from pathlib import Path
from typing import Any

import pytest

from hub.domain.change import Interaction
from hub.domain.topic import CanFilterBy, EventTrigger, NotificationShape, QueryCriteria, ResourceTrigger
from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.basic_topics import basic_as_topic, is_topic, read_basic_topic, write_basic_topic
from hub.fhir.json import read_json
from hub.fhir.structure import structural_issues
from hub.fhir.topics import read_topic

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
PUBLISHED = [
    *sorted((DATA / "topics/fhir-candle/r4").glob("*.json")),
    *sorted((DATA / "backport-ig/1.2.0-ballot-ci/topics").glob("Basic-*.json")),
]
SHIPPED = sorted((Path(__file__).parents[3] / "topics").glob("*.json"))
Json = dict[str, Any]
R5, R4B = (f"http://hl7.org/fhir/{number}/StructureDefinition/extension-SubscriptionTopic" for number in ("5.0", "4.3"))
CODE = {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]}


def simple(name: str, stem: str = R5, **value: Any) -> Json:
    return {"url": f"{stem}.{name}" if stem else name} | value


def group(name: str, *inside: Json, stem: str = R5) -> Json:
    return {"url": f"{stem}.{name}" if stem else name, "extension": list(inside)}


def inner(name: str, **value: Any) -> Json:
    return simple(name, "", **value)


URL = simple("url", valueUri="http://hub.example.org/topics/a")
STATUS = simple("status", valueCode="active")
TRIGGER = group("resourceTrigger", inner("resource", valueUri="Encounter"))


def basic(*extensions: Json, **changes: Any) -> Json:
    resource = {
        "resourceType": "Basic",
        "modifierExtension": [STATUS],
        "extension": [URL, TRIGGER, *extensions],
        "code": CODE,
    } | changes
    return {name: value for name, value in resource.items() if value is not None}


def refused(resource: Json) -> dict[str, str]:
    with pytest.raises(Refused) as refusal:
        read_basic_topic(resource)
    assert all(issue.diagnostics for issue in refusal.value.issues)
    return {issue.expression: issue.code for issue in refusal.value.issues}


def test_a_basic_is_a_topic_by_its_code() -> None:
    assert is_topic(basic())
    other = {"system": "http://x.org", "code": "SubscriptionTopic"}
    assert is_topic(basic(code={"coding": [other, *CODE["coding"]]}))
    assert not is_topic(basic(code={"coding": [other]}))
    assert not is_topic(basic(code={"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "Consent"}]}))
    assert not is_topic(basic(resourceType="SubscriptionTopic"))
    for code in (None, "SubscriptionTopic", [], {"coding": {}}, {"coding": ["x", None]}, {"text": "SubscriptionTopic"}):
        assert not is_topic(basic(code=code))


def test_a_topic_is_read_in_full() -> None:
    found = read_basic_topic(
        {
            "resourceType": "Basic",
            "id": "a",
            "modifierExtension": [STATUS],
            "extension": [
                URL,
                simple("version", valueString="2"),
                simple("title", valueString="A"),
                simple("date", valueDateTime="2024-01-31"),
                simple("description", valueMarkdown="d"),
                simple("derivedFrom", valueCanonical="http://hub.example.org/topics/base"),
                simple("derivedFrom", valueUri="http://hub.example.org/topics/other"),
                group(
                    "resourceTrigger",
                    inner("description", valueMarkdown="done"),
                    inner("resource", valueUri="http://hl7.org/fhir/StructureDefinition/Encounter"),
                    inner("supportedInteraction", valueCode="create"),
                    inner("supportedInteraction", valueCode="update"),
                    group(
                        "queryCriteria",
                        inner("previous", valueString="status:not=finished"),
                        inner("resultForCreate", valueCode="test-passes"),
                        inner("current", valueString="status=finished"),
                        inner("resultForDelete", valueCode="test-fails"),
                        inner("requireBoth", valueBoolean=True),
                        stem="",
                    ),
                    inner("fhirPathCriteria", valueString="%current.status = 'finished'"),
                ),
                group("resourceTrigger", inner("resource", valueUri="Resource")),
                group(
                    "eventTrigger",
                    inner("event", valueCodeableConcept={"text": "A01"}),
                    inner("resource", valueUri="Encounter"),
                ),
                group(
                    "canFilterBy",
                    inner("resource", valueUri="Encounter"),
                    inner("filterParameter", valueString="length"),
                    inner("filterDefinition", valueUri="http://hl7.org/fhir/SearchParameter/Encounter-length"),
                    inner("comparator", valueCode="gt"),
                    inner("comparator", valueCode="lt"),
                    inner("modifier", valueCode="missing"),
                ),
                group(
                    "notificationShape",
                    inner("resource", valueUri="Encounter"),
                    inner("include", valueString="Encounter:patient&iterate=Patient.link"),
                    inner("include", valueString="Encounter:location"),
                    inner("revInclude", valueString="Observation:encounter"),
                ),
            ],
            "code": CODE,
        }
    )
    assert found.canonical == "http://hub.example.org/topics/a|2"
    assert (found.status, found.title) == ("active", "A")
    assert found.derived_from == ("http://hub.example.org/topics/base", "http://hub.example.org/topics/other")
    query = QueryCriteria("status:not=finished", "status=finished", True, False, True)
    interactions = frozenset({Interaction.CREATE, Interaction.UPDATE})
    assert found.resource_triggers == (
        ResourceTrigger("Encounter", interactions, query, "%current.status = 'finished'", "done"),
        ResourceTrigger("Resource"),
    )
    assert found.event_triggers == (EventTrigger("Encounter", ()),)
    definition = "http://hl7.org/fhir/SearchParameter/Encounter-length"
    assert found.can_filter_by == (
        CanFilterBy("length", "Encounter", definition, frozenset({"gt", "lt"}), frozenset({"missing"})),
    )
    includes = ("Encounter:patient", "Encounter:location")
    assert found.notification_shapes == (NotificationShape("Encounter", includes, ("Observation:encounter",)),)


def test_stems_of_any_version_may_mix() -> None:
    """The ballot examples of the IG do so (S-063)."""
    filter_ = [inner("filterParameter", valueString="patient")]
    found = read_basic_topic(basic(group("canFilterBy", *filter_, stem=R4B), group("canFilterBy", *filter_)))
    assert [item.parameter for item in found.can_filter_by] == ["patient", "patient"]


def test_the_stem_of_r4b_lists_comparators_among_modifiers() -> None:
    codes = [inner("modifier", valueCode=code) for code in ("=", "gt", "in")]
    filter_ = [inner("filterParameter", valueString="date"), *codes]
    found = read_basic_topic(basic(group("canFilterBy", *filter_, stem=R4B))).can_filter_by[0]
    assert (found.comparators, found.modifiers) == (frozenset({"gt"}), frozenset({"in"}))
    assert refused(basic(group("canFilterBy", *filter_))) == {
        "Basic.extension[2].extension[1].valueCode": "code-invalid"
    }


@pytest.mark.parametrize("stem", ["", R5])
def test_the_whole_topic_may_be_nested_under_one_extension(stem: str) -> None:
    inside = [
        simple("url", stem, valueUri="http://hub.example.org/topics/a"),
        simple("status", stem, valueCode="draft"),
        group(
            "resourceTrigger", simple("resource", stem and f"{stem}.resourceTrigger", valueUri="Encounter"), stem=stem
        ),
    ]
    nested = basic(modifierExtension=None, extension=[{"url": R5, "extension": inside}])
    found = read_basic_topic(nested)
    assert (found.url, found.status) == ("http://hub.example.org/topics/a", "draft")
    assert found.resource_triggers == (ResourceTrigger("Encounter"),)


def test_the_status_may_stand_among_the_plain_extensions() -> None:
    assert read_basic_topic(basic(STATUS, modifierExtension=None)).status == "active"


def test_extensions_of_others_are_not_looked_at() -> None:
    foreign = {"url": "http://x.org/related-query", "extension": [{"url": "query", "valueString": "x"}]}
    shape = group("notificationShape", inner("resource", valueUri="Encounter"), foreign)
    plain = group("notificationShape", inner("resource", valueUri="Encounter"))
    assert read_basic_topic(basic(shape, foreign)) == read_basic_topic(basic(plain))


def test_producers_need_not_agree_on_kinds_of_strings() -> None:
    found = read_basic_topic(basic(simple("title", valueMarkdown="A"), simple("description", valueString="d")))
    assert found.title == "A"


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (basic(modifierExtension=None), {"Basic": "required"}),
        (basic(extension=[TRIGGER]), {"Basic": "required"}),
        (
            basic(modifierExtension=[simple("status", valueCode="done")]),
            {"Basic.modifierExtension[0].valueCode": "code-invalid"},
        ),
        (basic(STATUS), {"Basic.extension[2].valueCode": "duplicate"}),
        (basic(URL), {"Basic.extension[2].valueUri": "duplicate"}),
        (basic(simple("urls", valueUri="x")), {"Basic.extension[2]": "structure"}),
        (basic(simple("id", valueString="x")), {"Basic.extension[2]": "structure"}),
        (basic(simple("resourceTrigger", valueString="x")), {"Basic.extension[2]": "structure"}),
        (basic(group("title", inner("x", valueString="x"))), {"Basic.extension[2]": "structure"}),
        (basic(simple("title", valueInteger=1)), {"Basic.extension[2].valueInteger": "value"}),
        (basic(simple("experimental", valueString="true")), {"Basic.extension[2].valueString": "value"}),
        (basic(simple("contact", valueString="x")), {"Basic.extension[2].valueString": "value"}),
        (
            basic(group("resourceTrigger", inner("resourse", valueUri="x"))),
            {"Basic.extension[2].extension[0]": "structure"},
        ),
        (basic(group("resourceTrigger", inner("description", valueString="x"))), {"Basic.extension[2]": "required"}),
        (
            basic(group("resourceTrigger", inner("resource", valueUri="http://x.org/profile"))),
            {"Basic.extension[2].extension[0].valueUri": "not-supported"},
        ),
        (
            basic(
                group(
                    "resourceTrigger",
                    inner("resource", valueUri="Encounter"),
                    group("queryCriteria", inner("resultForCreate", valueCode="passes"), stem=""),
                )
            ),
            {"Basic.extension[2].extension[1].extension[0].valueCode": "code-invalid"},
        ),
        (
            basic(group("resourceTrigger", simple("canFilterBy.resource", valueUri="Encounter"))),
            {"Basic.extension[2].extension[0]": "structure"},
        ),
        (
            basic(group("canFilterBy", inner("filterParameter", valueString="patient:exact"))),
            {"Basic.extension[2].extension[0].valueString": "value"},
        ),
        (
            basic(modifierExtension=[STATUS, {"url": "http://x.org/not", "valueBoolean": True}]),
            {"Basic.modifierExtension[1]": "extension"},
        ),
        (basic(implicitRules="http://x.org/rules"), {"Basic.implicitRules": "not-supported"}),
        (basic(code={"text": "SubscriptionTopic"}), {"Basic.code": "value"}),
    ],
)
def test_what_makes_no_usable_topic_is_told_by_its_place_in_the_basic(resource: Json, expected: dict[str, str]) -> None:
    assert refused(resource) == expected
    with pytest.raises(Unprocessable):
        read_basic_topic(resource)


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "SubscriptionTopic"},
        basic(code=None),
        basic(extension={}),
        basic(extension=["x"]),
        basic(unknown=1),
        basic({"valueString": "x"}),
        basic(simple("title", valueString="x", valueCode="x")),
        basic(simple("title", valueString={"x": 1})),
        basic(simple("title", valueNothing="x")),
        basic(group("resourceTrigger") | {"extension": "x"}),
    ],
)
def test_what_is_no_basic_of_r4_is_malformed(resource: Json) -> None:
    with pytest.raises(Malformed):
        read_basic_topic(resource)


def test_a_topic_is_written_with_extensions_of_the_5_0_form() -> None:
    topic = {
        "resourceType": "SubscriptionTopic",
        "id": "a",
        "url": "http://hub.example.org/topics/a",
        "versionAlgorithmString": "semver",
        "title": "A",
        "_title": {"extension": [{"url": "http://x.org/t", "valueString": "B"}]},
        "status": "active",
        "derivedFrom": ["http://hub.example.org/topics/base"],
        "resourceTrigger": [
            {
                "resource": "Encounter",
                "supportedInteraction": ["create", "update"],
                "queryCriteria": {"current": "status=finished", "requireBoth": True},
            }
        ],
        "eventTrigger": [{"event": {"text": "A01"}, "resource": "Encounter"}],
    }
    before = copy.deepcopy(topic)
    assert write_basic_topic(topic) == {
        "resourceType": "Basic",
        "id": "a",
        "modifierExtension": [{"url": f"{R5}.status", "valueCode": "active"}],
        "extension": [
            {"url": f"{R5}.url", "valueUri": "http://hub.example.org/topics/a"},
            {"url": f"{R5}.versionAlgorithm", "valueString": "semver"},
            {"url": f"{R5}.title", "valueString": "A", "_valueString": topic["_title"]},
            {"url": f"{R5}.derivedFrom", "valueCanonical": "http://hub.example.org/topics/base"},
            {
                "url": f"{R5}.resourceTrigger",
                "extension": [
                    {"url": "resource", "valueUri": "Encounter"},
                    {"url": "supportedInteraction", "valueCode": "create"},
                    {"url": "supportedInteraction", "valueCode": "update"},
                    {
                        "url": "queryCriteria",
                        "extension": [
                            {"url": "current", "valueString": "status=finished"},
                            {"url": "requireBoth", "valueBoolean": True},
                        ],
                    },
                ],
            },
            {
                "url": f"{R5}.eventTrigger",
                "extension": [
                    {"url": "event", "valueCodeableConcept": {"text": "A01"}},
                    {"url": "resource", "valueUri": "Encounter"},
                ],
            },
        ],
        "code": CODE,
    }
    assert topic == before


def test_a_topic_whose_meaning_basic_would_lose_is_not_written() -> None:
    topic = {"resourceType": "SubscriptionTopic", "url": "http://hub.example.org/topics/a", "status": "active"}
    with pytest.raises(Unprocessable):
        write_basic_topic(topic | {"modifierExtension": [{"url": "http://x.org/not", "valueBoolean": True}]})
    with pytest.raises(Unprocessable):
        write_basic_topic(topic | {"resourceTrigger": [{"resource": "A", "modifierExtension": [{"url": "x"}]}]})
    with pytest.raises(Malformed):
        write_basic_topic({"resourceType": "Basic"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_topic_comes_back_from_its_basic(path: Path) -> None:
    topic = read_json(path.read_bytes())
    written = write_basic_topic(topic)
    assert not structural_issues(written, FhirVersion.R4)
    assert read_basic_topic(written) == read_topic(topic, FhirVersion.R5)


@pytest.mark.skipif(not PUBLISHED, reason="../shared/data is absent")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_every_published_basic_is_read_and_comes_back(path: Path) -> None:
    resource = read_json(path.read_bytes())
    assert is_topic(resource)
    topic = read_basic_topic(resource)
    assert topic.url and topic.resource_triggers
    assert read_basic_topic(write_basic_topic(basic_as_topic(resource))) == topic
