"""Dates, date-times and times as precise as they were written (FHIRPath: "Date, DateTime, Time comparison").

Two of them compare field by field; when one ends before a difference was found, the answer is not known: None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal

Kind = Literal["date", "dateTime", "time"]
Field = int | Decimal

_TIME = r"(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d{1,9})?))?)?"
_ZONE = r"(?P<zone>Z|[+-]\d\d:\d\d)?"
_DATE_TIME = re.compile(
    rf"(?P<year>\d{{4}})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?(?:(?P<t>T)(?:{_TIME}{_ZONE})?)?", re.A
)
_TIME_ONLY = re.compile(_TIME, re.A)
_LOWEST_DAY_FIELDS = 3


@dataclass(frozen=True, slots=True)
class Temporal:
    """``fields`` are year, month, day, hour, minute, second (of a time: hour, minute, second), as many as were written.

    ``offset`` is the zone in minutes, None when none was written. Seconds and their fraction are one field.
    """

    kind: Kind
    fields: tuple[Field, ...]
    offset: int | None
    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def made(cls, kind: Kind, fields: tuple[Field, ...], offset: int | None) -> Temporal:
        """One that was calculated; its text is written from the fields."""
        return cls(kind, fields, offset, _written(kind, fields, offset))

    def with_fields(self, fields: tuple[Field, ...]) -> Temporal:
        """The same kind in the same zone."""
        return Temporal.made(self.kind, fields, self.offset)

    @property
    def instant_fields(self) -> tuple[Field, ...]:
        """The fields moved to UTC, when a zone is known."""
        if not self.offset:
            return self.fields
        year, month, day, hour, minute = (int(field) for field in (*self.fields, 0)[:5])
        moved = datetime(year, month, day, hour, minute) - timedelta(minutes=self.offset)
        utc = (moved.year, moved.month, moved.day, moved.hour, moved.minute, *self.fields[5:])
        return utc[: len(self.fields)]

    def comparable(self, other: Temporal) -> bool:
        """Times compare with times, dates and date-times with each other."""
        return (self.kind == "time") == (other.kind == "time")

    def compare(self, other: Temporal) -> int | None:
        """Below, at or above zero; None when the precision or the missing zone leaves it open."""
        if self.kind == "time" or min(len(self.fields), len(other.fields)) <= _LOWEST_DAY_FIELDS:
            mine, theirs = self.fields, other.fields
        elif (self.offset is None) != (other.offset is None):
            return None
        else:
            mine, theirs = self.instant_fields, other.instant_fields
        for one, another in zip(mine, theirs, strict=False):
            if one != another:
                return -1 if one < another else 1
        return 0 if len(mine) == len(theirs) else None


def _written(kind: Kind, fields: tuple[Field, ...], offset: int | None) -> str:
    if kind == "time":
        return ":".join(map(_two_digits, fields))
    day, time = fields[:_LOWEST_DAY_FIELDS], fields[_LOWEST_DAY_FIELDS:]
    text = "-".join((f"{int(day[0]):04d}", *map(_two_digits, day[1:])))
    if kind == "dateTime":
        text += "T" + ":".join(map(_two_digits, time)) + (_zone(offset) if time else "")
    return text


def _two_digits(field: Field) -> str:
    whole, dot, fraction = str(field).partition(".")
    return f"{int(whole):02d}{dot}{fraction}"


def _zone(offset: int | None) -> str:
    if not offset:
        return "" if offset is None else "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def of_instant(moment: datetime) -> Temporal:
    """An aware moment as a date-time with milliseconds, in its own zone."""
    zone = moment.utcoffset()
    assert zone is not None, "a moment without a zone is no moment"
    second = Decimal(moment.second) + Decimal(moment.microsecond // 1000).scaleb(-3)
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, second)
    return Temporal.made("dateTime", fields, int(zone.total_seconds()) // 60)


@lru_cache(maxsize=4096)
def parse(text: str) -> Temporal | None:
    """A FHIR or FHIRPath date, date-time, instant, or (starting with ``T``) time; None when it is none."""
    return parse_time(text[1:]) if text.startswith("T") else _parse_date_time(text)


@lru_cache(maxsize=4096)
def parse_time(text: str) -> Temporal | None:
    """A time of day, ``hh:mm:ss.fff``."""
    found = _TIME_ONLY.fullmatch(text)
    if found is None:
        return None
    fields = _fields(found, "hour", "minute", "second")
    return Temporal("time", fields, None, text) if _is_time_of_day(fields) else None


def _parse_date_time(text: str) -> Temporal | None:
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    fields = _fields(found, "year", "month", "day", "hour", "minute", "second")
    if found["hour"] and len(fields) <= _LOWEST_DAY_FIELDS:
        return None
    if not _is_date(fields[:_LOWEST_DAY_FIELDS]) or not _is_time_of_day(fields[_LOWEST_DAY_FIELDS:]):
        return None
    temporal = Temporal("dateTime" if found["t"] else "date", fields, _offset(found["zone"]), text)
    return temporal if _fits_utc(temporal) else None


def _fields(found: re.Match[str], *names: str) -> tuple[Field, ...]:
    written = (found[name] for name in names)
    return tuple(Decimal(part) if "." in part else int(part) for part in written if part is not None)


def _is_date(fields: tuple[Field, ...]) -> bool:
    year, month, day = (int(field) for field in (*fields, *(1,) * (_LOWEST_DAY_FIELDS - len(fields))))
    try:
        datetime(year, month, day)
    except ValueError:
        return False
    return True


def _is_time_of_day(fields: tuple[Field, ...]) -> bool:
    limits = (23, 59, 60)  # a leap second is written as 60
    return all(field < limit + 1 for field, limit in zip(fields, limits, strict=False))


def _fits_utc(temporal: Temporal) -> bool:
    try:
        return bool(temporal.instant_fields)
    except OverflowError:
        return False


def _offset(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes
