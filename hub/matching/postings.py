"""Which Subscriptions are filed at a place, and places kept in order. Made for a million of them.

Nothing here but whole numbers, strings and tuples of strings hangs on a place that few share: the garbage collector
then leaves the dictionaries alone, so that a full collection does not grow with the number of Subscriptions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator

from hub.matching.pieces import MOST_IN_ONE, Pieces

MOST_IN_A_TUPLE = 8
"""A place that more Subscriptions share has a dictionary of its own: a tuple is copied whenever it changes."""
MOST_IN_A_BLOCK = 1024
"""An insertion moves at most this many numbers of 8 bytes."""


class Postings:
    """Place -> the names filed there, each once. Places are whole numbers. ``number`` is its keeper's name for it."""

    def __init__(self) -> None:
        self.number = 0
        self.places = 0
        """How many have names."""
        self._few: Pieces[int, str | tuple[str, ...]] = Pieces()
        self._many: dict[int, dict[str, None] | Pieces[str, None]] = {}
        """Where ``_few`` has an empty tuple: a dictionary in there would be of interest to the garbage collector."""

    def __bool__(self) -> bool:
        return self.places > 0

    def add(self, place: int, name: str) -> bool:
        """True when nothing was filed there before."""
        shares = self._few.shares
        piece = shares[hash(place) % len(shares)]
        before = len(piece)
        few = piece.setdefault(place, name)
        if len(piece) > before:
            self.places += 1
            if before + 1 == MOST_IN_ONE:
                self._few.divide()
            return True
        names = (few,) if isinstance(few, str) else few
        if not names:
            self._add_to_many(place, name)
        elif name in names:
            pass
        elif len(names) < MOST_IN_A_TUPLE:
            piece[place] = (*names, name)
        else:
            piece[place] = ()
            self._many[place] = dict.fromkeys((*names, name))
        return False

    def _add_to_many(self, place: int, name: str) -> None:
        many = self._many[place]
        if isinstance(many, Pieces):
            many.put(name, None)
            return
        many[name] = None
        if len(many) == MOST_IN_ONE:
            self._many[place] = Pieces(many)

    def discard(self, place: int, name: str) -> bool:
        """True when the last of the place went. A name that is not there is no error."""
        shares = self._few.shares
        piece = shares[hash(place) % len(shares)]
        few = piece.get(place)
        if few == name:
            del piece[place]
            self.places -= 1
            return True
        if few is None or isinstance(few, str):
            return False
        if few:
            rest = tuple(other for other in few if other != name)
            piece[place] = rest[0] if len(rest) == 1 else rest
            return False
        many = self._many[place]
        (many.of(name) if isinstance(many, Pieces) else many).pop(name, None)
        if many:
            return False
        del piece[place], self._many[place]
        self.places -= 1
        return True

    def at(self, place: int) -> Collection[str]:
        few = self._few.get(place)
        if few is None:
            return ()
        if isinstance(few, str):
            return (few,)
        return few or self._many[place]


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
