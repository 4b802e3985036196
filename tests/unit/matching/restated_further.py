"""More of ``restated.py``: filters that look beyond one element of the focus, and what they mean said once more.

Chains look at Patients, ``ap`` at the present moment, ``:in`` at a ValueSet, composites at two elements together, and
one parameter is defined by a client. What cannot be decided is no match, whatever its modifier.
"""

from __future__ import annotations

import datetime
import random

from hub.domain.change import ChangeId
from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy
from hub.domain.versions import FhirVersion
from hub.fhir.definitions import SearchParameter, definitions
from hub.fhir.value_sets import hold, read_value_set
from tests.unit.matching.restated import (
    COMPARATORS,
    OWN_BASE,
    TYPES,
    Asked,
    State,
    compare,
    days,
    some_day,
    some_decimal,
    some_type,
)

NOW = datetime.datetime(2026, 1, 20, tzinfo=datetime.UTC)
MOMENT = ChangeId(int(NOW.timestamp() * 1000), 0)
GENDERS = {"0": "female", "1": "male", "2": "female", "3": None}
"""Of the Patients that are held; Patient/4 is not."""
HELD = {
    f"Patient/{number}": {"resourceType": "Patient", "id": number} | ({"gender": gender} if gender else {})
    for number, gender in GENDERS.items()
}
VALUE_SET = "http://vs.example/xy"
VALUE_SETS = hold(
    [
        read_value_set(
            {
                "resourceType": "ValueSet",
                "url": VALUE_SET,
                "status": "active",
                "compose": {"include": [{"system": "urn:a", "concept": [{"code": "x"}, {"code": "y"}]}]},
            }
        )
    ]
)
OWN_PARAMETER = SearchParameter(
    "own-state",
    ("Observation", "Encounter"),
    "token",
    "Observation.status | Encounter.status",
    (),
    "http://own.example/p",
)
FACTS = definitions(FhirVersion.R4).with_parameters([OWN_PARAMETER])
ALLOWED = (
    CanFilterBy("patient.gender", modifiers=frozenset({"not", "missing"})),
    CanFilterBy("subject.gender", modifiers=frozenset({"not", "missing"})),
    CanFilterBy("code-value-quantity", "Observation"),
    CanFilterBy("own-state"),
)


def asked_chain(chance: random.Random) -> Asked:
    name = chance.choice(("patient.gender", "subject.gender", "subject:Patient.gender"))
    modifier = chance.choice(("", "", "not", "missing"))
    value = (
        chance.choice(("female", "male", "male,other")) if modifier != "missing" else chance.choice(("true", "false"))
    )

    def holds(state: State) -> bool:
        reference = state.get("subject", {}).get("reference", "").removeprefix(f"{OWN_BASE}/")
        target = HELD.get(reference)
        if target is None:
            return False
        gender = target.get("gender")
        if modifier == "missing":
            return (gender is None) is (value == "true")
        return (gender in value.split(",")) is (modifier == "")

    return Asked(FilterBy(name, value, some_type(chance), modifier=modifier), TYPES, holds)


def asked_about_date(chance: random.Random) -> Asked:
    """S-262: about a tenth of the distance from now, at least a day, both of which are whole in tenths of a day."""
    day = some_day(chance)
    start = day.toordinal()
    margin = max(start - NOW.date().toordinal(), 10)

    def holds(state: State) -> bool:
        return any(
            first * 10 < (start + 1) * 10 + margin and start * 10 - margin < last * 10 for first, last in days(state)
        )

    return Asked(FilterBy("date", day.isoformat(), some_type(chance), "ap"), TYPES, holds)


def asked_membership(chance: random.Random) -> Asked:
    modifier = chance.choice(("in", "not-in"))

    def holds(state: State) -> bool:
        codings = state.get("code", {}).get("coding", ())
        found = any(each.get("system") == "urn:a" and each["code"] in "xy" for each in codings)
        return found is (modifier == "in")

    return Asked(FilterBy("code", VALUE_SET, "Observation", modifier=modifier), ("Observation",), holds)


def asked_composite(chance: random.Random) -> Asked:
    code, comparator, asked = chance.choice("xyz"), chance.choice(COMPARATORS), some_decimal(chance)

    def holds(state: State) -> bool:
        found = state.get("valueQuantity")
        has_code = any(each["code"] == code for each in state.get("code", {}).get("coding", ()))
        return has_code and found is not None and compare(comparator, found["value"], asked)

    value = f"{code}${comparator}{asked}"
    return Asked(FilterBy("code-value-quantity", value, "Observation"), ("Observation",), holds)


def asked_own_parameter(chance: random.Random) -> Asked:
    wanted = chance.choice(("final", "planned"))
    types = OWN_PARAMETER.base
    return Asked(FilterBy("own-state", wanted, some_type(chance)), types, lambda state: state["status"] == wanted)


FURTHER_KINDS = (asked_chain, asked_about_date, asked_membership, asked_composite, asked_own_parameter)
