"""Whatever is written and whatever the data is: an answer, a refusal with a position, or an error of the evaluation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathError, FHIRPathEvaluationError, FHIRPathUnsupported, compile_expression
from hub.fhirpath.functions import FUNCTIONS
from tests.unit.fhirpath.suite.judging import NOW

R4 = definitions(FhirVersion.R4)

NAMES = "value code coding status category component subject effective issued referenceRange low text Observation id"
LITERALS = [
    *("1", "0", "2.50", "-3", "'a'", "''", "'mg'", "true", "false", "{}", "@2024", "@2024-02-29", "@2024-02-29T10:30Z"),
    *(
        "@T10:30",
        "4 'mg'",
        "2 'g'",
        "1 year",
        "3 days",
        "'2024-01'",
        "'1 day'",
        "'[a-z]+'",
        "9999999999999999999999999",
    ),
    *("(1 | 2 | 2)", "('a' | 1)", "$this", "$index", "%resource", "%previous", "%current", "%ucum"),
]
OPERATORS = [
    *("and", "or", "xor", "implies", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "in", "contains", "|", "&"),
    *("+", "-", "*", "/", "div", "mod"),
]
TYPES = ["Quantity", "CodeableConcept", "string", "System.String", "Patient", "dateTime", "nothing"]


def _call(name: str, inner: some.SearchStrategy[str]) -> some.SearchStrategy[str]:
    function = FUNCTIONS[name]
    arguments = some.lists(inner, min_size=function.fewest, max_size=min(function.most, 3)).map(", ".join)
    return arguments.map(lambda written: f"{name}({written})")


def _combined(inner: some.SearchStrategy[str]) -> some.SearchStrategy[str]:
    called = some.sampled_from(sorted(FUNCTIONS)).flatmap(lambda name: _call(name, inner))
    return some.one_of(
        some.builds("({}).{}".format, inner, some.sampled_from([*NAMES.split(" "), "resolve()", "unknown()"])),
        some.builds("({}).{}".format, inner, called),
        some.builds("({}).{}".format, inner, called),
        some.builds("({}) {} ({})".format, inner, some.sampled_from(OPERATORS), inner),
        some.builds("({}) {} {}".format, inner, some.sampled_from(["is", "as"]), some.sampled_from(TYPES)),
        some.builds("{}.ofType({})".format, inner, some.sampled_from(TYPES)),
        some.builds("({})[{}]".format, inner, inner),
        some.builds("-({})".format, inner),
    )


EXPRESSIONS = some.recursive(some.sampled_from([*LITERALS, *NAMES.split(" ")]), _combined, max_leaves=8)
NUMBERS = [0, -1, 7, 10**40, True, Decimal("6.20"), Decimal("1E+9999"), Decimal("1E-9999"), 1.5]
TEXTS = ["", "a", "final", "2024", "2024-02-30", "2024-01-01T10:00:00+14:00", "9" * 100, "%", "mg", "😀"]
MEMBERS = [
    *("value", "code", "coding", "status", "_status", "system", "unit", "category", "component", "extension", "url"),
    *("valueQuantity", "valueString", "valueDateTime", "valueInteger", "effectiveDateTime", "subject", "reference"),
    *("issued", "text", "id", "resourceType", "referenceRange", "low", "contained"),
]
JSON = some.recursive(
    some.one_of(some.none(), some.sampled_from(NUMBERS), some.sampled_from(TEXTS)),
    lambda inner: some.one_of(some.lists(inner, max_size=3), some.dictionaries(some.sampled_from(MEMBERS), inner)),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(text=EXPRESSIONS, elements=some.dictionaries(some.sampled_from(MEMBERS), JSON), typed=some.booleans())
def test_any_expression_on_any_data_is_answered_or_refused(text: str, elements: dict[str, Any], typed: bool) -> None:
    observation = {**elements, "resourceType": "Observation"}
    try:
        compiled = compile_expression(text, R4, root_type="Observation" if typed else None, now_allowed=True)
    except (FHIRPathError, FHIRPathUnsupported) as refusal:
        assert 0 <= refusal.position <= len(text)
        return
    compiled.explain(observation, previous=elements, current=observation, now=NOW)
    for evaluate in (compiled.items, compiled.is_true, compiled.typed_items):
        try:
            evaluate(observation, previous=elements, current=observation, now=NOW)
        except FHIRPathEvaluationError as error:
            assert str(error)


@settings(max_examples=300, deadline=None)
@given(some.text(alphabet="a1.'`%$@()[]{}=<>|&+-*/\\ ,TZ:\n", max_size=40))
def test_any_text_is_compiled_or_refused_with_its_position(text: str) -> None:
    try:
        compile_expression(text, R4)
    except (FHIRPathError, FHIRPathUnsupported) as refusal:
        assert 0 <= refusal.position <= len(text)
