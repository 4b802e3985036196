"""Items: what collections hold, and when two of them are equal, equivalent, or one before the other.

An item is (type, value, sibling). The type is a FHIR type code, the path of a backbone element, or a System type
such as ``System.String``. The value is JSON as parsed, or a Python value of a literal. The sibling is the JSON object
beside a primitive (``_birthDate``) that holds its id and extensions; a primitive that only has extensions has the value
None. Plain tuples, because every step of every expression makes some.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hub.fhirpath import temporal
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.quantity import Quantity
from hub.fhirpath.temporal import Temporal

Item = tuple[str, Any, Any]
Items = list[Item]

STRINGS = frozenset(
    {
        "System.String",
        "string",
        "code",
        "id",
        "markdown",
        "uri",
        "url",
        "canonical",
        "oid",
        "uuid",
        "base64Binary",
        "xhtml",
    }
)
NUMBERS = frozenset(
    {"System.Integer", "System.Decimal", "integer", "decimal", "positiveInt", "unsignedInt", "integer64"}
)
TEMPORALS = frozenset({"date", "dateTime", "instant", "time"})
QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"})

MEASURES = QUANTITIES | {"System.Quantity"}
TEMPORAL_TYPES = TEMPORALS | {"System.Date", "System.DateTime", "System.Time"}

_LONGEST_TEMPORAL = 40
"""Characters. What is longer is no date, and shall not be remembered as one that is none."""

TRUE: Item = ("System.Boolean", True, None)
FALSE: Item = ("System.Boolean", False, None)


def boolean_items(value: bool | None) -> Items:
    """A three-valued answer as a collection."""
    return [] if value is None else [TRUE if value else FALSE]


def value_of(item: Item) -> Any:
    """What the item is to operators: str, bool, int, Decimal, Temporal, Quantity, or JSON; None when it has no value.

    Raises FHIRPathEvaluationError when the JSON is no value of its type.
    """
    type_, value, _ = item
    read = _READ.get(type_)
    return value if read is None or value is None else read(type_, value)


def _boolean(type_: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise FHIRPathEvaluationError(f"{type(value).__name__} is no {type_}")
    return value


def _string(type_: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FHIRPathEvaluationError(f"{type(value).__name__} is no {type_}")
    return value


def _number(type_: str, value: Any) -> int | Decimal:
    if isinstance(value, float):
        return Decimal(str(value))
    if type_ == "integer64" and isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)  # R5 writes integer64 as a JSON string
    not_a_number = value != value
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not_a_number:
        raise FHIRPathEvaluationError(f"{type(value).__name__} is no {type_}")
    return value


def _temporal(type_: str, value: Any) -> Temporal:
    parsed = None
    if isinstance(value, str) and len(value) <= _LONGEST_TEMPORAL:
        parsed = temporal.parse_time(value) if type_ == "time" else temporal.parse(value)
    if parsed is None:
        raise FHIRPathEvaluationError(f"{type(value).__name__} is no {type_}")
    return parsed


_READ: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(STRINGS, _string),
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(TEMPORALS, _temporal),
    "boolean": _boolean,
}


def quantity_of(item: Item) -> Quantity | None:
    """The item as a quantity: a literal, a FHIR Quantity, or a number (unit "1"); None when it is none."""
    type_, value, _ = item
    if type_ == "System.Quantity":
        return value  # type: ignore[no-any-return]
    if type_ in QUANTITIES and isinstance(value, Mapping):
        return Quantity.of_element(value)
    if type_ in NUMBERS:
        return Quantity(Decimal(_number(type_, value)), "1")
    return None


def identity(value: Any) -> Hashable:
    """A key that two values share exactly when they are equal. Elements compare with all that is below them."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return frozenset((name, identity(child)) for name, child in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(identity(child) for child in value)
    if isinstance(value, Temporal):
        return (value.kind == "time", value.instant_fields, value.offset is None)
    if isinstance(value, Quantity):
        return value.identity
    assert isinstance(value, Hashable)
    return value


def item_identity(item: Item) -> Hashable:
    """A key for sets of items; an item without a value is only itself."""
    value = value_of(item)
    return ("nothing", identity(item[2])) if value is None else identity(value)


def equal(one: Item, other: Item) -> bool | None:
    """``=`` of two items; None when it cannot be known."""
    if one[0] in STRINGS and other[0] in STRINGS and isinstance(one[1], str) and isinstance(other[1], str):
        return one[1] == other[1]
    if one[0] in MEASURES or other[0] in MEASURES:
        return _equal_quantities(one, other)
    mine, theirs = value_of(one), value_of(other)
    if mine is None or theirs is None:
        return None
    if isinstance(mine, Temporal) and isinstance(theirs, Temporal):
        if not mine.comparable(theirs):
            return False
        order = mine.compare(theirs)
        return None if order is None else order == 0
    return identity(mine) == identity(theirs)


def _equal_quantities(one: Item, other: Item) -> bool | None:
    """A FHIR Quantity that is no measurement (``< 5``, a unit of no system) equals only its like, member by member."""
    if {one[0], other[0]} <= QUANTITIES and identity(one[1]) == identity(other[1]):
        return True
    mine, theirs = quantity_of(one), quantity_of(other)
    order = None if mine is None or theirs is None else mine.compare(theirs)
    if order is None:
        return False if {one[0], other[0]} <= QUANTITIES else None
    return order == 0


def equivalent(one: Item, other: Item) -> bool:
    """``~`` of two items: strings without case and spacing, decimals at the lesser precision, never unknown."""
    if one[0] in MEASURES or other[0] in MEASURES:
        return _equivalent_quantities(one, other)
    mine, theirs = value_of(one), value_of(other)
    if isinstance(mine, str) and isinstance(theirs, str):
        return " ".join(mine.casefold().split()) == " ".join(theirs.casefold().split())
    if isinstance(mine, Decimal | int) and isinstance(theirs, Decimal | int):
        if isinstance(mine, bool) or isinstance(theirs, bool):
            return mine is theirs
        return _rounded_alike(mine, theirs)
    return equal(one, other) is True


def _equivalent_quantities(one: Item, other: Item) -> bool:
    mine, theirs = quantity_of(one), quantity_of(other)
    if mine is None or theirs is None:
        return equal(one, other) is True
    exact, converted = mine.value, theirs.in_unit_of(mine)
    if converted is None:
        return False
    # The unit with the fewer digits decides how exactly the two are looked at: 4 'g' ~ 4040 'mg'.
    back = mine.in_unit_of(theirs)
    return _rounded_alike(exact, converted) or (back is not None and _rounded_alike(back, theirs.value))


def _rounded_alike(one: int | Decimal, other: int | Decimal) -> bool:
    places = min(_places(one), _places(other))
    try:
        return round(Decimal(one), places) == round(Decimal(other), places)
    except ArithmeticError:
        return one == other  # too large to have places


def _places(number: int | Decimal) -> int:
    exponent = Decimal(number).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def order(one: Item, other: Item) -> int | None:
    """Below, at or above zero as ``one`` is before, with or after ``other``; None when it cannot be known.

    Raises FHIRPathEvaluationError when the two have no order.
    """
    if one[0] in MEASURES or other[0] in MEASURES:
        return _order_quantities(one, other)
    mine, theirs = value_of(one), value_of(other)
    if mine is None or theirs is None:
        return None
    if mine.__class__ is theirs.__class__ is Temporal and mine.comparable(theirs):
        return mine.compare(theirs)
    both_strings = isinstance(mine, str) and isinstance(theirs, str)
    both_numbers = one[0] in NUMBERS and other[0] in NUMBERS
    if both_strings or both_numbers:
        return int(mine > theirs) - int(mine < theirs)
    raise FHIRPathEvaluationError(f"{one[0]} and {other[0]} have no order")


def _order_quantities(one: Item, other: Item) -> int | None:
    if not {one[0], other[0]} <= MEASURES | NUMBERS:
        raise FHIRPathEvaluationError(f"{one[0]} and {other[0]} have no order")
    mine, theirs = quantity_of(one), quantity_of(other)
    return None if mine is None or theirs is None else mine.compare(theirs)
