"""Dates and times moved by a time-valued quantity (FHIRPath N1, "Date/Time Arithmetic")."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.quantity import UCUM_OF_CALENDAR, Quantity
from hub.fhirpath.temporal import Field, Temporal

_UNITS = {
    name: word for word, code in {"year": "", "month": "", **UCUM_OF_CALENDAR}.items() for name in (word, code) if name
}
_MILLISECONDS = {"week": 604_800_000, "day": 86_400_000, "hour": 3_600_000, "minute": 60_000, "second": 1_000}
_MONTHS = {"year": 12, "month": 1}
_LONGEST_MILLISECONDS = 10**18
_FIELD_MILLISECONDS = {4: 3_600_000, 5: 60_000}
_DAY = 86_400_000


def moved(start: Temporal, by: Quantity, sign: int) -> Temporal | None:
    """``start`` later (or with sign -1 earlier); None when it leaves the years 1 to 9999.

    As precise as ``start``: a quantity finer than that counts in whole steps of its last field. The fraction of a
    quantity counts only for seconds. Raises FHIRPathEvaluationError for a unit that moves no date: UCUM's ``a`` and
    ``mo`` have a length that no calendar has.
    """
    unit = _UNITS.get(by.unit)
    if unit is None or (start.kind == "time" and unit in _MONTHS):
        raise FHIRPathEvaluationError(f"a quantity in {by.unit!r:.20} cannot be added to a {start.kind}")
    if abs(by.value) > _LONGEST_MILLISECONDS:
        return None
    if unit in _MONTHS:
        return _by_months(start, sign * int(by.value) * _MONTHS[unit])
    amount = by.value * 1000 if unit == "second" else Decimal(int(by.value)) * _MILLISECONDS.get(unit, 1)
    milliseconds = sign * int(amount.to_integral_value(ROUND_DOWN))
    try:
        return _time_moved(start, milliseconds) if start.kind == "time" else _date_moved(start, milliseconds)
    except OverflowError:
        return None


def _by_months(start: Temporal, months: int) -> Temporal | None:
    """The same day of another month, or its last day when it is shorter."""
    fields = start.fields
    if len(fields) == 1:
        months = _whole_steps(months, 12) * 12
    year, month = divmod(int(fields[0]) * 12 + (int(fields[1]) if len(fields) > 1 else 1) - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    moved_fields: list[Field] = [year, month + 1, *fields[2:]][: len(fields)]
    if len(fields) > 2:
        moved_fields[2] = min(int(fields[2]), monthrange(year, month + 1)[1])
    return start.with_fields(tuple(moved_fields))


def _whole_steps(amount: int, size: int) -> int:
    """How many steps of ``size`` there are in the amount, towards zero."""
    return amount // size if amount >= 0 else -(-amount // size)


def _date_moved(start: Temporal, milliseconds: int) -> Temporal | None:
    fields = start.fields
    if len(fields) < 3:
        months = _whole_steps(_whole_steps(milliseconds, _DAY), 30 if len(fields) == 2 else 365)
        return _by_months(start, months if len(fields) == 2 else months * 12)
    if len(fields) == 3:
        day = date(*map(int, fields)) + timedelta(days=_whole_steps(milliseconds, _DAY))
        return start.with_fields((day.year, day.month, day.day))
    step = _FIELD_MILLISECONDS.get(len(fields), 1)
    whole = _whole_steps(milliseconds, step) * step
    year, month, day_, hour, minute = (int(field) for field in (*fields, 0)[:5])
    second = fields[5] if len(fields) > 5 else 0
    at = datetime(year, month, day_, hour, minute) + timedelta(milliseconds=_of_second(second) + whole)
    later = (at.year, at.month, at.day, at.hour, at.minute, _second(at.second, at.microsecond, second))
    return start.with_fields(later[: len(fields)])


def _time_moved(start: Temporal, milliseconds: int) -> Temporal:
    """A time of day goes round the clock."""
    fields = start.fields
    step = {1: 3_600_000, 2: 60_000}.get(len(fields), 1)
    hour, minute, second = (*fields, 0, 0)[:3]
    now = int(hour) * 3_600_000 + int(minute) * 60_000 + _of_second(second)
    at = (now + _whole_steps(milliseconds, step) * step) % _DAY
    seconds, rest = divmod(at, 1000)
    later = (at // 3_600_000, at // 60_000 % 60, _second(seconds % 60, rest * 1000, second))
    return start.with_fields(later[: len(fields)])


def _of_second(second: Field) -> int:
    return int(Decimal(second) * 1000)


def _second(whole: int, microseconds: int, before: Field) -> Field:
    """Seconds with the fraction that there was, or milliseconds when they have come in."""
    if not microseconds and not isinstance(before, Decimal):
        return whole
    return Decimal(whole) + (Decimal(microseconds) / 1_000_000).quantize(Decimal("0.001"))
