"""What the index keeps of one Subscription, as one string of bytes.

    version, number of filings | (list, place) of each filing | form, length of each value | the values in UTF-8

Compiled filters would take more than a kilobyte each, in a dozen objects that every full garbage collection visits. The
values are kept as they were written and compiled again when the Subscription is a candidate. In long ones, which are
comma lists, each UUID takes the 17 bytes that ``uuids.py`` says instead of 36.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct

from hub.matching.uuids import lengthened, shortened

Filing = tuple[int, int]
"""(number of the list, place in it): where a Subscription is filed."""

_HEAD = Struct("<II")
_FILING_BYTES = 12
_FORM = Struct("<I")
_WITH_ONE_OF_EACH = Struct("<IIIqII")
"""One filing, one value: what most have."""
_LONG = 64
"""Bytes: more than one value of the usual length."""


def write_entry(version: int, filings: Sequence[Filing], form: int, values: Sequence[str]) -> bytes:
    """``form`` is the number of what the values belong to."""
    if len(filings) == 1 == len(values):
        ((number, place),), text = filings, values[0].encode("utf-8", "surrogatepass")
        return _WITH_ONE_OF_EACH.pack(version, 1, number, place, form, len(text)) + text
    texts = [_kept(value) for value in values]
    numbers = [version, len(filings), *chain.from_iterable(filings), form, *map(len, texts)]
    return _layout(len(filings), len(texts)).pack(*numbers) + b"".join(texts)


def version_of(entry: bytes) -> int:
    return int(_HEAD.unpack_from(entry)[0])


def filed(entry: bytes) -> tuple[int, list[Filing]]:
    """The form, and where the Subscription is filed."""
    _, count = _HEAD.unpack_from(entry)
    if count == 1:
        _, _, number, place, form, _ = _WITH_ONE_OF_EACH.unpack_from(entry)
        return form, [(number, place)]
    numbers = _layout(count, 0).unpack_from(entry)
    return numbers[-1], list(zip(numbers[2:-1:2], numbers[3:-1:2], strict=True))


def filters_in(entry: bytes) -> bytes:
    """Form and values: two Subscriptions whose filters are the same have the same."""
    return entry[_HEAD.size + _FILING_BYTES * _HEAD.unpack_from(entry)[1] :]


def form_in(filters: bytes) -> int:
    return int(_FORM.unpack_from(filters)[0])


def values_in(filters: bytes, count: int) -> tuple[str, ...]:
    """``count`` is how many values the form has."""
    lengths = _lengths(count).unpack_from(filters)[1:]
    values, start = [], _FORM.size * (1 + count)
    for length in lengths:
        values.append(lengthened(filters[start : start + length]).decode("utf-8", "surrogatepass"))
        start += length
    return tuple(values)


def _kept(value: str) -> bytes:
    """A JSON string can hold half a surrogate pair."""
    text = value.encode("utf-8", "surrogatepass")
    return shortened(text) if len(text) > _LONG else text


@lru_cache(maxsize=512)
def _layout(filings: int, values: int) -> Struct:
    return Struct("<II" + "Iq" * filings + "I" + "I" * values)


@lru_cache(maxsize=64)
def _lengths(count: int) -> Struct:
    return Struct("<I" + "I" * count)
