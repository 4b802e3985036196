"""A dictionary in pieces, made for a million entries.

One dictionary of a million stands still for a tenth of a second when it grows, and holds between once and twice the
room that it needs. Pieces grow one at a time, and as no two have the same share, each at another moment: so there is
always room to spare for about the same part of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

Key = TypeVar("Key", str, int)
Value = TypeVar("Value")

MOST_IN_ONE = 8192
"""Until then there is one piece, for most indexes are small. Dividing this many takes about two milliseconds."""
_PIECES = 16
_SHARES = 251
"""A prime, so that neither bits of a hash that all of one piece have in common nor steps between places leave some of
the pieces empty."""


def _owners() -> tuple[int, ...]:
    """Share -> the piece that has it: the last piece has twice the shares of the first, those between grow evenly."""
    sizes = [2 ** (number / _PIECES) for number in range(_PIECES)]
    ends = [sum(sizes[: number + 1]) / sum(sizes) * _SHARES for number in range(_PIECES)]
    return tuple(next(number for number, end in enumerate(ends) if share + 0.5 <= end) for share in range(_SHARES))


_OWNERS = _owners()


class Pieces(Generic[Key, Value]):
    """``of`` says in which piece a key lies or would lie. Whose entry is the ``MOST_IN_ONE``-th there calls ``divide``.

    ``put`` does all that. Where every tenth of a microsecond counts the piece is asked for once and used twice, and
    what ``of`` does is written out.
    """

    def __init__(self, whole: dict[Key, Value] | None = None) -> None:
        """``whole`` becomes the first piece, and is divided when it is time."""
        self._pieces: list[dict[Key, Value]] = [{} if whole is None else whole]
        self.shares: list[dict[Key, Value]] = self._pieces
        """Share -> piece."""
        if len(self._pieces[0]) >= MOST_IN_ONE:
            self.divide()

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def __bool__(self) -> bool:
        return any(self._pieces)

    def __iter__(self) -> Iterator[Key]:
        return chain.from_iterable(self._pieces)

    def __contains__(self, key: object) -> bool:
        return key in self.of(key)

    def values(self) -> Iterator[Value]:
        return chain.from_iterable(piece.values() for piece in self._pieces)

    def get(self, key: Key) -> Value | None:
        return self.of(key).get(key)

    def of(self, key: object) -> dict[Key, Value]:
        shares = self.shares
        return shares[hash(key) % len(shares)]

    def put(self, key: Key, value: Value) -> None:
        piece = self.of(key)
        piece[key] = value
        if len(piece) == MOST_IN_ONE:
            self.divide()

    def divide(self) -> None:
        """Into all the pieces that there will ever be; nothing when that was done before."""
        if len(self._pieces) > 1:
            return
        whole = self._pieces[0]
        self._pieces = [{} for _ in range(_PIECES)]
        self.shares = [self._pieces[owner] for owner in _OWNERS]
        for key, value in whole.items():
            self.of(key)[key] = value
