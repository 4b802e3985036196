"""What is refused when compiling, with place and advice; and that hostile input is bounded (S-277)."""

from __future__ import annotations

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Malformed, Unprocessable
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathError, FHIRPathEvaluationError, FHIRPathUnsupported, compile_expression
from tests.unit.effort import counted_calls

R4 = definitions(FhirVersion.R4)


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "in an empty expression"),
        ("name.", 5, "Write an element, a function or a value here"),
        ("name given", 5, "Join expressions with an operator"),
        ("(name", 5, r"Write '\)' here"),
        ("name..given", 5, "Write an element"),
        ("'open", 0, "Close the string with a single quote"),
        ('name.use = "usual"', 11, "Write strings in single quotes"),
        ("a == b", 3, "Write an element"),
        ("@2024-13-01 = birthDate", 0, "Write a date that exists"),
        ("@24", 0, "Write dates like @2024-01-31"),
        (r"'\q'", 0, "known escapes"),
        ("/* open", 0, "Write an element|Close the comment"),
        ("name.is(", 8, "Write an element"),
        ("%curent.active", 0, "Known are %current"),
        ("$that", 0, r"Write \$this"),
        ("name.select($total)", 12, r"inside of aggregate\(\)"),
        ("name.exist()", 4, r"Did you mean exists\(\)"),
        ("name.any(use = 'x')", 4, "Functions: "),
        ("name.where()", 4, "Give it 1"),
        ("name.where(true, false)", 4, "Give it 1"),
        ("name.familly", 5, "Did you mean family"),
        ("Pateint.name", 0, "Did you mean Patient"),
        ("deceasedBoolean", 0, r"Write deceased.ofType\(boolean\)"),
        ("%current.stauts", 9, "Patient has no element stauts"),
        ("name.ofType(HumanNames)", 12, "Unknown type HumanNames"),
        ("name.ofType('HumanName')", 4, "without quotes"),
        ("1 > -'a'", 4, "Only numbers and quantities have a sign"),
        ("name is nothing", 0, "Unknown type nothing"),
    ],
)
def test_mistake_is_told_with_place_and_advice(text: str, position: int, says: str) -> None:
    with pytest.raises(FHIRPathError, match=says) as refusal:
        compile_expression(text, R4, root_type="Patient")
    assert refusal.value.position == position
    assert isinstance(refusal.value, Malformed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("conformsTo('http://example.org/profile')", "Nothing is validated here"),
        ("maritalStatus.memberOf('http://example.org/vs')", "Compare with the codes themselves"),
        ("generalPractitioner.resolve().name", "Nothing is fetched"),
        ("generalPractitioner.resolve().ofType(Practitioner)", "Nothing is fetched"),
        ("now() > @2024", r"now\(\) is not supported"),
    ],
)
def test_what_the_hub_cannot_do_exactly_is_refused(text: str, says: str) -> None:
    with pytest.raises(FHIRPathUnsupported, match=says) as refusal:
        compile_expression(text, R4, root_type="Patient")
    assert isinstance(refusal.value, Unprocessable)


@pytest.mark.parametrize(
    "hostile",
    [
        "(" * 8000,
        "-" * 8000 + "1",
        "a" + ".a" * 8000,
        "a" + "[0]" * 5000,
        "not(" * 4000,
        "a = " * 4000 + "a",
        "1 + " * 4000 + "1",
        "a is " * 3000 + "string",
        "a" * 20_000,
        "'" + "\\" * 8001,
        "`" * 8001,
        "/*" * 8000,
        "@" * 8000,
        "{" * 8000,
        "1 xor " * 2500 + "1",
        "iif(a, " * 2000,
    ],
)
def test_hostile_text_is_refused_at_once(hostile: str) -> None:
    with counted_calls() as calls, pytest.raises(FHIRPathError):
        compile_expression(hostile, R4)
    assert calls() < 300_000


@pytest.mark.parametrize("operator", [" and ", " or ", " | "])
def test_long_chains_are_no_deep_nesting(operator: str) -> None:
    expression = compile_expression(operator.join(["active"] * 1000), R4)
    assert expression.is_true({"resourceType": "Patient", "active": True})


@pytest.mark.parametrize(
    "hostile",
    [
        "name.where(%resource.name.where(%resource.name.exists($this = '1')).exists()).exists()",
        "name.select(%resource.name).count() > 0",
        "name.all(%resource = %resource)",
        "name.where(%resource.name | %resource.name | %resource.contact = name).empty()",
        "name.all(%resource.name ~ %resource.name)",
    ],
)
def test_costly_evaluation_ends_in_an_error(hostile: str) -> None:
    """S-277."""
    patient = {"resourceType": "Patient", "name": [{"family": str(number)} for number in range(3000)]}
    expression = compile_expression(hostile, R4)
    with counted_calls() as calls, pytest.raises(FHIRPathEvaluationError, match="visits more than"):
        expression.is_true(patient)
    assert calls() < 3_000_000


def test_syntax_tree_tells_where_each_part_stands() -> None:
    text = "(%previous.empty() or %previous.status != 'finished') and %current.status = 'finished'"
    tree = compile_expression(text, R4).tree
    assert text[tree.start : tree.end].endswith("%current.status = 'finished'")


@pytest.mark.parametrize(
    "hostile",
    [
        "name.repeatAll($this).exists()",
        "name.repeat(%resource.name.select($this | %resource.name)).exists()",
        "name.select(%resource.descendants()).exists()",
        "name.select(%resource.children()).exists()",
        "name.aggregate($total | %resource.name).exists()",
        "name.select(%resource.extension('x')).exists()",
        "name.where(" + " and ".join(["1 = 1"] * 1000) + ").exists()",
        "name.select(%resource.deceased | %resource.name.sort(family)).exists()",
        "name.where(%resource.generalPractitioner.where(resolve() is Patient).exists()).exists()",
        "name.select(2.log(3)).exists()",
        "name.where(4 'mg/dL' * 3 'dL' > 5 'g').exists()",
        "gender.matches('(.*a.*b.*){1,90}y$')",
        "gender.toChars().exists()",
        "gender.replace('', 'aaaaaaaaaaaaaaaa').exists()",
        "gender.replaceMatches('x|y.*z', 'z').exists()",
        "name.all(%resource.gender ~ %resource.gender)",
        "name.aggregate($total & 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' & $total, 'x').exists()",
    ],
)
def test_walks_texts_and_sums_are_paid_for(hostile: str) -> None:
    """SECURITY E3: what could run on, on data as large as an intake takes, ends in an error."""
    patient = {
        "resourceType": "Patient",
        "gender": "ab" * 500_000,
        "name": [{"family": "1"}] * 9000,
        "extension": [{"url": "y", "valueInteger": 1}] * 1000,
        "contained": [{"resourceType": "Patient", "id": str(number)} for number in range(1000)],
        "generalPractitioner": [{"reference": "#none"}] * 1000,
    }
    with pytest.raises(FHIRPathEvaluationError, match="visits more than"):
        compile_expression(hostile, R4).is_true(patient)


def test_members_that_mean_nothing_cost_nothing() -> None:
    """An object may have any number of them; looking for a choice element does not look at each."""
    patient = {"resourceType": "Patient", "deceasedBoolean": True} | {f"unknown{number}": 1 for number in range(50_000)}
    for text in ("deceased", "children()"):
        assert compile_expression(text, R4, root_type="Patient").items(patient) == [True]


def test_more_items_than_anyone_asked_for_are_no_answer() -> None:
    patient = {"resourceType": "Patient", "name": [{"given": ["a"] * 200}] * 100}
    for text in ("name.given", "name.select(given)"):
        with pytest.raises(FHIRPathEvaluationError, match="more than 10000 items"):
            compile_expression(text, R4, root_type="Patient").items(patient)
    assert compile_expression("name.given.count()", R4, root_type="Patient").items(patient) == [20_000]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("9" * 29 + " > 1", "Write at most 28 digits"),
        ("1 = " + "9" * 5000, "Write at most 28 digits"),
        ("0." + "9" * 5000 + " 'kg' = 1", "Write at most 28 digits"),
        ("repeat(" * 20 + "item" + ")" * 20, "too involved"),
        ("|".join(["a"] * 3000), "Write at most 5000 words"),
        ("iif('a', 1, 2)", "needs a condition"),
        ("iif(1 | 2, 1, 2)", "needs a condition"),
    ],
)
def test_what_no_topic_needs_is_refused(text: str, says: str) -> None:
    with pytest.raises(FHIRPathError, match=says):
        compile_expression(text, R4)
