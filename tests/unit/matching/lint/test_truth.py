"""Whether a criterion can be true without a previous, or a current, state."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from hub.fhir.definitions import definitions
from hub.fhirpath import FHIRPathEvaluationError, compile_expression
from hub.fhirpath.parser import parse
from hub.matching.lint.truth import truths_of

FACTS = definitions(FhirVersion.R4)

NEVER_ON_CREATE = [
    "%previous.status != 'finished'",
    "%previous.status != 'finished' and %current.status = 'finished'",
    "%previous.status != %current.status",
    "%previous.exists()",
    "%previous.empty().not()",
    "(%previous.status = 'a') or (%previous.status = 'b')",
    "%previous.status in ('a' | 'b')",
    "'a' in %previous.status",
    "%previous.location.where(status = 'active').exists()",
    "%previous.status = 'a' xor %current.status = 'b'",
    "%previous.location[0].status = 'a'",
    "%previous.length.value + 1 > 2",
    "%previous.status.startsWith('in')",
    "%previous.location.first().status is code",
    "%previous.exists() and %current.exists()",
    "{}",
    "false",
]
POSSIBLE_ON_CREATE = [
    "%previous.empty() and %current.status = 'finished'",
    "%previous.status != 'finished' or %current.status = 'finished'",
    "%previous.exists().not()",
    "%previous.exists() implies %current.exists()",
    "%previous.location.count() = 0",
    "%previous.location.all(status = 'x')",
    "status = 'finished'",
    "%resource.exists()",
    "(%previous.status | %current.status) = 'finished'",
    "%previous.status ~ {}",
    "iif(%previous.exists(), %previous.status = 'a', true)",
    "('a' in %previous.status) or true",
    "true",
]


@pytest.mark.parametrize("criteria", NEVER_ON_CREATE)
def test_what_cannot_be_true_without_a_previous_state_is_known(criteria: str) -> None:
    """S-276."""
    assert True not in truths_of(parse(criteria), frozenset({"previous"}))


@pytest.mark.parametrize("criteria", POSSIBLE_ON_CREATE)
def test_what_can_be_true_without_a_previous_state_is_left_alone(criteria: str) -> None:
    assert True in truths_of(parse(criteria), frozenset({"previous"}))


def test_a_side_that_is_absent_on_delete_is_current() -> None:
    assert True not in truths_of(parse("%current.status = 'finished'"), frozenset({"current"}))
    assert True in truths_of(parse("%previous.status = 'finished'"), frozenset({"current"}))


STATES: list[dict[str, Any]] = [
    {"resourceType": "Encounter"},
    {"resourceType": "Encounter", "status": "finished", "length": {"value": 3}},
    {"resourceType": "Encounter", "status": "a", "location": [{"status": "active"}, {"status": "x"}]},
]


@pytest.mark.parametrize("criteria", NEVER_ON_CREATE + POSSIBLE_ON_CREATE)
def test_evaluation_never_finds_a_truth_that_was_ruled_out(criteria: str) -> None:
    """The abstract answer contains every answer that the engine gives."""
    expression = compile_expression(criteria, FACTS, root_type="Encounter")
    for state, absent in itertools.product(STATES, ("previous", "current")):
        present = {"previous", "current"} - {absent}
        try:
            fired = expression.is_true(state, **dict.fromkeys(present, state))
        except FHIRPathEvaluationError:
            continue
        assert not fired or True in truths_of(parse(criteria), frozenset({absent}))


def test_a_deep_expression_is_looked_at_once() -> None:
    """Each level asks once: sixty levels are sixty steps, not two to the power of sixty."""
    deep = "(" * 60 + "%previous.status" + " = 'a')" * 60
    assert True not in truths_of(parse(deep), frozenset({"previous"}))
    nots = "%previous.exists()" + ".not()" * 60
    assert True not in truths_of(parse(nots), frozenset({"previous"}))
