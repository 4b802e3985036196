"""What is to be sent again: stretches of event numbers, one after the other, each with the numbers it had."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

MOST_STRETCHES = 100
"""Of one Subscription at a time: they stand in its record, which is read with every attempt."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive numbers. ``letters``: all of them are dead letters; ``singly``: one event in a notification, because
    a batch with them was refused. ``asked_at``: milliseconds; two requests for the same numbers are two deliveries.
    """

    numbers: range
    asked_at: int
    letters: bool = False
    singly: bool = False


def stretches(
    numbers: Iterable[range], letters: Collection[int], waiting: Iterable[range], asked_at: int
) -> list[Stretch]:
    """``numbers`` without those that are ``waiting`` already, cut where dead letters begin and end; lowest first."""
    found: list[Stretch] = []
    ordered = sorted(set(letters))  # once: both may be thousands
    for part in without(numbers, waiting):
        ranges = consecutive(ordered[bisect_left(ordered, part.start) : bisect_left(ordered, part.stop)])
        found += [Stretch(each, asked_at, letters=True) for each in ranges]
        found += [Stretch(each, asked_at) for each in without([part], ranges)]
    return sorted(found, key=lambda stretch: stretch.numbers.start)


def without(numbers: Iterable[range], taken: Iterable[range]) -> list[range]:
    """What is left of ``numbers`` when every range of ``taken`` has been cut out."""
    left = [each for each in numbers if each]
    for cut in taken:
        pieces = []
        for each in left:
            pieces += [range(each.start, min(each.stop, cut.start)), range(max(each.start, cut.stop), each.stop)]
        left = [each for each in pieces if each]
    return left


def dropped(waiting: Sequence[Stretch], numbers: Collection[int]) -> list[Stretch]:
    """``waiting`` without dead letters of these numbers; what is sent again without being one stays."""
    cuts = consecutive(numbers)
    found: list[Stretch] = []
    for stretch in waiting:
        kept = without([stretch.numbers], cuts) if stretch.letters else [stretch.numbers]
        found += [replace(stretch, numbers=each) for each in kept]
    return found


def consecutive(numbers: Iterable[int]) -> list[range]:
    """The numbers as ranges without gaps, lowest first."""
    found: list[range] = []
    for number in sorted(set(numbers)):
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def joined(ranges: Iterable[range]) -> list[range]:
    """Ranges that touch or overlap as one, lowest first."""
    found: list[range] = []
    for each in sorted(ranges, key=lambda one: one.start):
        if found and each.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, each.stop))
        else:
            found.append(each)
    return found
