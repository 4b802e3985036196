"""date: every value is an interval as wide as its precision (S-262…S-265).

Times without a zone, and dates, are read as UTC. Instants are whole nanoseconds on one line of numbers, so that no
arithmetic rounds and the end of the year 9999 has a place; digits after the ninth of a second are dropped.
"""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed
from hub.matching.search.threshold import Extent, Side, Threshold, instant_place

_DATE_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_LOST_PLUS = re.compile(r" (?=\d\d:\d\d$)")
_SECOND = 10**9
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86400 * _SECOND
_BEFORE_ALL, _AFTER_ALL = -(10**30), 10**30


@dataclass(frozen=True, slots=True)
class Interval:
    """[start, end) in nanoseconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DateValue:
    """The strict reading of the table of S-262: ge and le ask for a part beyond the value, or containment (S-264)."""

    comparator: str
    asked: Interval

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return any(self._holds(found) for found in intervals_of(fhir_type, value))

    def _holds(self, found: Interval) -> bool:
        asked = self.asked
        equal = asked.start <= found.start and found.end <= asked.end
        match self.comparator:
            case "ne":
                return not equal
            case "gt":
                return found.end > asked.end
            case "lt":
                return found.start < asked.start
            case "ge":
                return found.end > asked.end or equal
            case "le":
                return found.start < asked.start or equal
            case "sa":
                return found.start >= asked.end
            case "eb":
                return found.end <= asked.start
            case _:
                return equal

    def threshold(self) -> Threshold | None:
        """What ``_holds`` asks at least; None for ``ne``, which nearly everything fulfils."""
        start, end = self.asked.start, self.asked.end
        match self.comparator:
            case "ne":
                return None
            case "gt":
                return Threshold(Side.HIGHEST_FROM, instant_place(end, 1))
            case "lt":
                return Threshold(Side.LOWEST_UNTIL, instant_place(start, -1))
            case "ge":
                return Threshold(Side.HIGHEST_FROM, instant_place(start, 1))
            case "le":
                return Threshold(Side.LOWEST_UNTIL, instant_place(end, -1))
            case "sa":
                return Threshold(Side.LATEST_START_FROM, instant_place(end))
            case "eb":
                return Threshold(Side.EARLIEST_END_UNTIL, instant_place(start))
            case _:
                return Threshold(Side.MEETS, instant_place(start, 1), instant_place(end, -1))


@dataclass(frozen=True, slots=True)
class ApproximateDate:
    """``ap``: about that time, seen from the moment of judging; ``at`` says what that means then (S-262)."""

    asked: Interval

    keys = None

    def at(self, moment: datetime.datetime) -> Overlap:
        """The interval, wider on both sides by a tenth of its distance from ``moment``, at least by its own width."""
        now, asked = _instant(moment), self.asked
        distance = max(asked.start - now, now - asked.end, 0)
        margin = max(distance // 10, asked.end - asked.start)
        return Overlap(Interval(asked.start - margin, asked.end + margin))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Accepts what shares a moment with the interval."""

    asked: Interval

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        return any(
            found.start < self.asked.end and self.asked.start < found.end for found in intervals_of(fhir_type, value)
        )


def compile_date(comparator: str, text: str) -> DateValue | ApproximateDate:
    asked = parse_interval(_LOST_PLUS.sub("+", text))
    if asked is None:
        raise Malformed(f"'{text}' is not a date; write 2013, 2013-01, 2013-01-14 or 2013-01-14T10:00:00+01:00.")
    return ApproximateDate(asked) if comparator == "ap" else DateValue(comparator, asked)


def parse_interval(text: str) -> Interval | None:
    """The interval that a date, dateTime or instant stands for; None when it is none."""
    found = _DATE_TIME.fullmatch(text)
    if not found:
        return None
    parts = {name: int(found[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")}
    offset = _offset(found["zone"])
    if offset is None or parts["hour"] > 23 or parts["minute"] > 59 or parts["second"] > 60:
        return None
    try:
        day = datetime.date(parts["year"], parts["month"] if found["month"] else 1, parts["day"] if found["day"] else 1)
    except ValueError:
        return None
    start = day.toordinal() * _DAY + parts["hour"] * _HOUR + parts["minute"] * _MINUTE + parts["second"] * _SECOND
    fraction = (found["fraction"] or "")[:9]
    start += int(fraction.ljust(9, "0")) - offset
    return Interval(start, start + _width(found, day, len(fraction)))


def _instant(moment: datetime.datetime) -> int:
    """``moment`` must be aware."""
    utc = moment.astimezone(datetime.UTC)
    since_midnight = (utc.hour * 60 + utc.minute) * _MINUTE + utc.second * _SECOND + utc.microsecond * 1000
    return utc.toordinal() * _DAY + since_midnight


def intervals_of(fhir_type: str, value: Any) -> Iterator[Interval]:
    if isinstance(value, str):
        found = parse_interval(value)
        if found is not None:
            yield found
    elif isinstance(value, dict) and fhir_type == "Period":
        yield from _period(value)
    elif isinstance(value, dict) and fhir_type == "Timing":
        yield from _timing(value)


def extents_of(fhir_type: str, value: Any) -> Iterator[Extent]:
    """Where an element lies; raises as ``accepts`` does.

    An interval that ends before it starts can lie within what was asked for and yet touch it at one point only, so its
    ends are moved that much further.
    """
    for found in intervals_of(fhir_type, value):
        beyond = 1 if found.end <= found.start else 0
        yield Extent(instant_place(found.start, beyond), instant_place(found.end, -beyond))


def _period(period: Any) -> Iterator[Interval]:
    """Open where an end is missing; an end that cannot be read makes the whole unreadable."""
    start, end = (
        parse_interval(period[name]) if name in period else Interval(_BEFORE_ALL, _AFTER_ALL)
        for name in ("start", "end")
    )
    if start and end:
        yield Interval(start.start, end.end)


def _timing(timing: Any) -> Iterator[Interval]:
    """Its outer limits; a Timing that gives no event and no bounds says nothing about when."""
    limits = [found for event in timing.get("event", ()) if event and (found := parse_interval(event))]
    limits += _period(timing["repeat"]["boundsPeriod"]) if "boundsPeriod" in timing.get("repeat", {}) else ()
    if limits:
        yield Interval(min(limit.start for limit in limits), max(limit.end for limit in limits))


def _offset(zone: str | None) -> int | None:
    """Nanoseconds east of UTC; None beyond the 14 hours that exist."""
    if zone in (None, "Z"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours * 60 + minutes > 14 * 60 or minutes > 59:
        return None
    size = hours * _HOUR + minutes * _MINUTE
    return -size if zone[0] == "-" else size


def _width(found: re.Match[str], day: datetime.date, fraction_digits: int) -> int:
    if fraction_digits:
        return int(10 ** (9 - fraction_digits))
    if found["second"]:
        return _SECOND
    if found["minute"]:
        return _MINUTE
    if found["day"]:
        return _DAY
    if found["month"]:
        return calendar.monthrange(day.year, day.month)[1] * _DAY
    return (366 if calendar.isleap(day.year) else 365) * _DAY
