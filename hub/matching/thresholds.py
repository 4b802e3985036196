"""Comparisons (gt, ge, lt, le, sa, eb, and the windows of eq and ap) kept in order, so that a resource finds its own.

A comparison asks that one end of what a resource says lies beyond a place, so those that can match are the first or the
last ones of a sorted list. A window (from a place to a place) is kept by its beginning, among windows about as wide: so
those that a resource can meet lie next to each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hub.matching.postings import Postings, SortedPlaces
from hub.matching.search.threshold import FARTHEST, Hull, Side, Threshold


class SortedPostings:
    """The Subscriptions whose comparisons look at the same side; windows are narrower than 2 to the power of ``width``.

    ``number`` is its keeper's name for it.
    """

    def __init__(self, side: Side, width: int) -> None:
        self.number = 0
        self._side = side
        self._width = width
        self._places = SortedPlaces()
        self._postings = Postings()

    @property
    def places(self) -> int:
        """How many have names."""
        return self._postings.places

    def add(self, place: int, name: str) -> None:
        if self._postings.add(place, name):
            self._places.add(place)

    def discard(self, place: int, name: str) -> bool:
        """True when the last of the place went."""
        was_last = self._postings.discard(place, name)
        if was_last:
            self._places.remove(place)
        return was_last

    def met_by(self, hull: Hull) -> Iterator[Collection[str]]:
        """Everybody whose threshold the extents meet, those of one place at a time."""
        for place in self._places.between(*self._met_places(hull)):
            yield self._postings.at(place)

    def _met_places(self, hull: Hull) -> tuple[int, int]:
        match self._side:
            case Side.HIGHEST_FROM:
                return -FARTHEST, hull.highest
            case Side.LOWEST_UNTIL:
                return hull.lowest, FARTHEST
            case Side.LATEST_START_FROM:
                return -FARTHEST, hull.latest_start
            case Side.EARLIEST_END_UNTIL:
                return hull.earliest_end, FARTHEST
            case Side.MEETS:
                return max(hull.lowest - 2**self._width, -FARTHEST), hull.highest


class Axis:
    """The comparisons of one parameter in one unit."""

    def __init__(self) -> None:
        self.lists: dict[tuple[Side, int], SortedPostings] = {}

    def list_for(self, threshold: Threshold) -> SortedPostings:
        """Where a threshold belongs; its place there is ``threshold.at``."""
        width = (threshold.until - threshold.at).bit_length() if threshold.side is Side.MEETS else 0
        kept = self.lists.get((threshold.side, width))
        if kept is None:
            kept = self.lists[threshold.side, width] = SortedPostings(threshold.side, width)
        return kept

    def met_by(self, hull: Hull) -> Iterator[Collection[str]]:
        for kept in self.lists.values():
            yield from kept.met_by(hull)


def joined(first: Threshold, second: Threshold) -> Threshold | None:
    """A lower and an upper limit that must both hold, as one window; None when they are not that.

    Limits the wrong way round can be met by two elements of one resource, but not by a window.
    """
    low, high = (first, second) if first.side is Side.HIGHEST_FROM else (second, first)
    if (low.side, high.side) != (Side.HIGHEST_FROM, Side.LOWEST_UNTIL) or low.unit != high.unit or low.at > high.at:
        return None
    return Threshold(Side.MEETS, low.at, high.at, low.unit)
