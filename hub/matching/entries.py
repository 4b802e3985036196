"""What the index keeps of one Subscription, as one string of bytes.

    version, number of filings | (list, place) of each filing | form, length of each value | the values in UTF-8

Compiled filters would take more than a kilobyte each, in a dozen objects that every full garbage collection visits. The
values are kept as they were written and compiled again when the Subscription is a candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct

Filing = tuple[int, int]
"""(number of the list, place in it): where a Subscription is filed."""

_HEAD = Struct("<II")
_FORM = Struct("<I")
_ENCODING = ("utf-8", "surrogatepass")
"""A JSON string can hold half a surrogate pair."""


def write_entry(version: int, filings: Sequence[Filing], form: int, values: Sequence[str]) -> bytes:
    """``form`` is the number of what the values belong to."""
    texts = [value.encode(*_ENCODING) for value in values]
    numbers = (number for filing in filings for number in filing)
    head = _HEAD.pack(version, len(filings)) + _filings(len(filings)).pack(*numbers)
    return head + _lengths(len(texts)).pack(form, *map(len, texts)) + b"".join(texts)


def version_of(entry: bytes) -> int:
    return int(_HEAD.unpack_from(entry)[0])


def filings_of(entry: bytes) -> list[Filing]:
    numbers = _filings(_HEAD.unpack_from(entry)[1]).unpack_from(entry, _HEAD.size)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def filters_in(entry: bytes) -> bytes:
    """Form and values: two Subscriptions whose filters are the same have the same."""
    return entry[_HEAD.size + _filings(_HEAD.unpack_from(entry)[1]).size :]


def form_in(filters: bytes) -> int:
    return int(_FORM.unpack_from(filters)[0])


def values_in(filters: bytes, count: int) -> tuple[str, ...]:
    """``count`` is how many values the form has."""
    layout = _lengths(count)
    values, start = [], layout.size
    for length in layout.unpack_from(filters)[1:]:
        values.append(filters[start : start + length].decode(*_ENCODING))
        start += length
    return tuple(values)


@lru_cache(maxsize=512)
def _filings(count: int) -> Struct:
    return Struct("<" + "Iq" * count)


@lru_cache(maxsize=64)
def _lengths(count: int) -> Struct:
    return Struct("<I" + "I" * count)
