"""Topics, filters and resources at random, and what a match means said once more, without the hub's own code.

The values are chosen so that the rules stay short: days, decimals with one digit, lower-case codes. What they cannot
say (escapes, time zones, precision) has tests of its own.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.domain.change import Interaction, ResourceChange
from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic

OWN_BASE = "http://own.example/fhir/r4"
TYPES = ("Observation", "Encounter", "RiskAssessment")
COMPARATORS = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb")
STATUSES = ("final", "planned", "registered")
Test = Callable[[dict[str, Any]], bool]
State = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A filter, the types that know its parameter, and what it means."""

    filter_by: FilterBy
    types: tuple[str, ...]
    holds: Test

    def applies_to(self, resource_type: str) -> bool:
        return self.filter_by.resource_type in ("", resource_type)


Kind = Callable[[random.Random], Asked]


@dataclass(frozen=True)
class Announced:
    """A topic, and when it has an event: the type, the interactions, and the status that the new state must have."""

    topic: SubscriptionTopic
    types: tuple[str, ...]
    interactions: frozenset[Interaction]
    statuses: tuple[str, ...]

    def concerns(self, change: ResourceChange) -> bool:
        if change.key.type not in self.types or change.interaction not in self.interactions:
            return False
        if not self.statuses or change.interaction is Interaction.DELETE:
            return not self.statuses
        return change.current is not None and change.current.get("status") in self.statuses


def passes(asked: tuple[Asked, ...], state: State) -> bool:
    """S-092, S-094, S-096: all that apply hold; a type that is not named, or lacks a parameter, hears nothing."""
    resource_type = state["resourceType"]
    named = {each.filter_by.resource_type for each in asked} - {""}
    if named and resource_type not in named:
        return False
    return all(resource_type in each.types and each.holds(state) for each in asked if each.applies_to(resource_type))


def some_topic(chance: random.Random, number: int, further: Sequence[CanFilterBy] = ()) -> Announced:
    every = chance.random() < 0.1
    types = TYPES if every else tuple(chance.sample(TYPES, chance.randrange(1, 4)))
    interactions = frozenset(
        chance.sample([Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE], chance.randrange(2, 4))
    )
    statuses = tuple(chance.sample(STATUSES, 2)) if "RiskAssessment" not in types and chance.random() < 0.6 else ()
    query = QueryCriteria(current=f"status={','.join(statuses)}") if statuses else None
    triggers = tuple(ResourceTrigger(each, interactions, query) for each in (["Resource"] if every else types))
    everything = frozenset((*COMPARATORS, "ap"))
    allowed = (
        CanFilterBy("patient"),
        CanFilterBy("subject"),
        CanFilterBy("code", "Observation", modifiers=frozenset({"not", "missing", "in", "not-in"})),
        CanFilterBy("date", comparators=everything),
        CanFilterBy("value-quantity", "Observation", comparators=everything),
        CanFilterBy("probability", "RiskAssessment", comparators=everything),
        *further,
    )
    topic = SubscriptionTopic(f"http://topics.example/{number}", resource_triggers=triggers, can_filter_by=allowed)
    return Announced(topic, types, interactions, statuses)


def some_filters(chance: random.Random, kinds: Sequence[Kind]) -> tuple[Asked, ...]:
    return tuple(chance.choice(kinds)(chance) for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))))


def some_state(chance: random.Random) -> State:
    resource_type = chance.choice(TYPES)
    state: State = {"resourceType": resource_type, "id": "1", "status": chance.choice(STATUSES)}
    if chance.random() < 0.9:
        base = chance.choice(("", "", f"{OWN_BASE}/", "http://other.example/"))
        state["subject"] = {"reference": f"{base}{chance.choice(('Patient', 'Patient', 'Group'))}/{_number(chance)}"}
    if chance.random() < 0.8:
        state = _with_date(chance, state)
    if resource_type == "Observation":
        if chance.random() < 0.9:
            codings = [_some_coding(chance) for _ in range(chance.randrange(1, 3))]
            state["code"] = {"coding": codings}
        if chance.random() < 0.7:
            state["valueQuantity"] = {"value": some_decimal(chance)} | chance.choice(
                ({}, {"unit": "mg"}, {"unit": "mg", "code": "mg", "system": "http://unitsofmeasure.org"})
            )
    if resource_type == "RiskAssessment":
        state["prediction"] = [{"probabilityDecimal": some_decimal(chance)} for _ in range(chance.choice((0, 1, 1, 2)))]
    return state


def spoiled(chance: random.Random, state: State) -> State:
    """With an element that is not built as its type says."""
    name = chance.choice(sorted(set(state) - {"resourceType", "id", "status"}) or ["subject"])
    return state | {name: chance.choice((5, "x", {"coding": 3}, {"reference": {}, "start": 4, "value": []}, [7]))}


def _with_date(chance: random.Random, state: State) -> State:
    """R4's RiskAssessment:date looks at occurrenceDateTime only."""
    resource_type = state["resourceType"]
    first, last = sorted((some_day(chance), some_day(chance)))
    if resource_type == "Encounter" or (resource_type == "Observation" and chance.random() < 0.3):
        period = {"start": first.isoformat(), "end": last.isoformat()}
        for name in chance.choice(((), (), ("start",), ("end",))):
            del period[name]
        return state | {"period" if resource_type == "Encounter" else "effectivePeriod": period}
    return state | {f"{'effective' if resource_type == 'Observation' else 'occurrence'}DateTime": first.isoformat()}


def _asked_patient(chance: random.Random) -> Asked:
    numbers = [_number(chance) for _ in range(chance.choice((1, 1, 3)))]
    parameter, kinds = chance.choice((("patient", ("Patient",)), ("subject", ("Patient", "Group"))))
    form = chance.choice(("Patient/{}", OWN_BASE + "/Patient/{}", "{}"))
    wanted = {f"{kind}/{number}" for number in numbers for kind in (kinds if form == "{}" else ("Patient",))}

    def holds(state: State) -> bool:
        return state.get("subject", {}).get("reference", "").removeprefix(f"{OWN_BASE}/") in wanted

    value = ",".join(form.format(number) for number in numbers)
    return Asked(FilterBy(parameter, value, some_type(chance)), TYPES, holds)


def _asked_code(chance: random.Random) -> Asked:
    system, code = chance.choice((None, "", "urn:a")), chance.choice("xyz")
    modifier = chance.choice(("", "", "not"))

    def holds(state: State) -> bool:
        found = any(
            coding["code"] == code and system in (None, coding.get("system", ""))
            for coding in state.get("code", {}).get("coding", ())
        )
        return found is (modifier == "")

    value = code if system is None else f"{system}|{code}"
    return Asked(FilterBy("code", value, "Observation", modifier=modifier), ("Observation",), holds)


def _asked_absence(chance: random.Random) -> Asked:
    missing = chance.random() < 0.5
    filter_by = FilterBy("code", str(missing).lower(), "Observation", modifier="missing")
    return Asked(filter_by, ("Observation",), lambda state: ("code" not in state) is missing)


def _asked_date(chance: random.Random) -> Asked:
    day, comparator = some_day(chance), chance.choice(COMPARATORS)

    def holds(state: State) -> bool:
        return any(_stand(comparator, found, (day.toordinal(), day.toordinal() + 1)) for found in days(state))

    return Asked(FilterBy("date", day.isoformat(), some_type(chance), comparator), TYPES, holds)


def _stand(comparator: str, found: tuple[float, float], asked: tuple[float, float]) -> bool:
    """S-262, in days from the beginning of the first to the beginning of the one after the last."""
    equal = asked[0] <= found[0] and found[1] <= asked[1]
    return {
        "eq": equal,
        "ne": not equal,
        "gt": found[1] > asked[1],
        "ge": found[1] > asked[1] or equal,
        "lt": found[0] < asked[0],
        "le": found[0] < asked[0] or equal,
        "sa": found[0] >= asked[1],
        "eb": found[1] <= asked[0],
    }[comparator]


def days(state: State) -> Iterator[tuple[float, float]]:
    for name in ("effectiveDateTime", "occurrenceDateTime"):
        if name in state:
            day = datetime.date.fromisoformat(state[name]).toordinal()
            yield day, day + 1
    for name in ("period", "effectivePeriod"):
        if name in state:
            start, end = (state[name].get(end) for end in ("start", "end"))
            yield (
                datetime.date.fromisoformat(start).toordinal() if start else float("-inf"),
                datetime.date.fromisoformat(end).toordinal() + 1 if end else float("inf"),
            )


def _asked_quantity(chance: random.Random) -> Asked:
    asked, comparator = some_decimal(chance), chance.choice(COMPARATORS)
    unit = chance.choice(("", "||mg", "|http://unitsofmeasure.org|mg"))
    needed = {"": set(), "||mg": {"unit"}, "|http://unitsofmeasure.org|mg": {"unit", "code", "system"}}[unit]

    def holds(state: State) -> bool:
        found = state.get("valueQuantity")
        return found is not None and needed <= set(found) and compare(comparator, found["value"], asked)

    value = f"{asked}{unit}"
    if chance.random() < 0.8:
        return Asked(FilterBy("value-quantity", value, "Observation", comparator), ("Observation",), holds)
    other = some_decimal(chance)

    def holds_or_other(state: State) -> bool:
        found = state.get("valueQuantity")
        return holds(state) or (found is not None and compare(comparator, found["value"], other))

    filter_by = FilterBy("value-quantity", f"{value},{other}", "Observation", comparator)
    return Asked(filter_by, ("Observation",), holds_or_other)


def _asked_number(chance: random.Random) -> Asked:
    asked, comparator = some_decimal(chance), chance.choice(COMPARATORS)

    def holds(state: State) -> bool:
        return any(compare(comparator, each["probabilityDecimal"], asked) for each in state.get("prediction", ()))

    return Asked(FilterBy("probability", str(asked), "RiskAssessment", comparator), ("RiskAssessment",), holds)


def compare(comparator: str, found: Decimal, asked: Decimal) -> bool:
    """S-259, with one digit after the point: equal is what rounds to the same."""
    return {
        "eq": found == asked,
        "ne": found != asked,
        "gt": found > asked,
        "ge": found >= asked,
        "lt": found < asked,
        "le": found <= asked,
        "sa": found > asked,
        "eb": found < asked,
    }[comparator]


def _asked_type(chance: random.Random) -> Asked:
    chosen = chance.choice(TYPES)
    return Asked(FilterBy("", "", chosen), TYPES, lambda state: True)


KINDS: tuple[Kind, ...] = (
    _asked_patient, _asked_patient, _asked_code, _asked_absence, _asked_date, _asked_date, _asked_quantity,
    _asked_number, _asked_type,
)  # fmt: skip


def _number(chance: random.Random) -> int:
    return chance.randrange(5)


def some_type(chance: random.Random) -> str:
    return chance.choice(("", *TYPES))


def some_day(chance: random.Random) -> datetime.date:
    return datetime.date(2026, 3, 1) + datetime.timedelta(days=chance.randrange(8))


def some_decimal(chance: random.Random) -> Decimal:
    return Decimal(chance.randrange(-20, 20)).scaleb(-1)


def _some_coding(chance: random.Random) -> State:
    return {"code": chance.choice("xyz")} | chance.choice(({}, {"system": "urn:a"}))
