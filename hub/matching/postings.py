"""Which Subscriptions are filed at a place, and places kept in order. Made for a million of them.

Nothing here but whole numbers, strings and tuples of strings hangs on a place that few share: the garbage collector
then leaves the dictionaries alone, so that a full collection does not grow with the number of Subscriptions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator

MOST_IN_A_TUPLE = 8
"""A place that more Subscriptions share has a dictionary of its own: a tuple is copied whenever it changes."""
MOST_IN_A_BLOCK = 1024
"""An insertion moves at most this many numbers of 8 bytes."""


class Postings:
    """Place -> the names filed there, each once. Places are whole numbers. ``number`` is its keeper's name for it."""

    def __init__(self) -> None:
        self.number = 0
        self._few: dict[int, str | tuple[str, ...]] = {}
        self._many: dict[int, dict[str, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._few or self._many)

    def add(self, place: int, name: str) -> bool:
        """True when nothing was filed there before."""
        if place in self._many:
            self._many[place][name] = None
            return False
        few = self._few.get(place)
        if few is None:
            self._few[place] = name
            return True
        names = (few,) if isinstance(few, str) else few
        if name in names:
            return False
        if len(names) < MOST_IN_A_TUPLE:
            self._few[place] = (*names, name)
        else:
            self._many[place] = dict.fromkeys((*names, name))
            del self._few[place]
        return False

    def discard(self, place: int, name: str) -> bool:
        """True when the last of the place went. A name that is not there is no error."""
        many = self._many.get(place)
        if many is not None:
            many.pop(name, None)
            if not many:
                del self._many[place]
            return not many
        rest = tuple(other for other in self.at(place) if other != name)
        if rest:
            self._few[place] = rest[0] if len(rest) == 1 else rest
            return False
        return self._few.pop(place, None) is not None

    def at(self, place: int) -> Collection[str]:
        few = self._few.get(place)
        if few is None:
            return self._many.get(place, ())
        return (few,) if isinstance(few, str) else few


class SortedPlaces:
    """Places in order, in blocks: an insertion into one long list would move megabytes."""

    def __init__(self) -> None:
        self._blocks: list[array[int]] = []
        self._lasts = array("q")
        """The last place of each block."""

    def add(self, place: int) -> None:
        """``place`` is not there yet."""
        if not self._blocks:
            self._blocks, self._lasts = [array("q", (place,))], array("q", (place,))
            return
        number = min(bisect_left(self._lasts, place), len(self._blocks) - 1)
        block = self._blocks[number]
        insort(block, place)
        self._lasts[number] = block[-1]
        if len(block) > MOST_IN_A_BLOCK:
            half = len(block) // 2
            self._blocks[number : number + 1] = [block[:half], block[half:]]
            self._lasts.insert(number, block[half - 1])

    def remove(self, place: int) -> None:
        """``place`` is there."""
        number = bisect_left(self._lasts, place)
        block = self._blocks[number]
        del block[bisect_left(block, place)]
        if block:
            self._lasts[number] = block[-1]
        else:
            del self._blocks[number], self._lasts[number]

    def between(self, first: int, last: int) -> Iterator[int]:
        """Every place from ``first`` to ``last``, both included, in order."""
        for number in range(bisect_left(self._lasts, first), len(self._blocks)):
            block = self._blocks[number]
            if block[0] > last:
                return
            yield from block[bisect_left(block, first) : bisect_right(block, last)]
