"""What is to be sent again, as it stands in the record of a Subscription; dead letters dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hub.domain.again import Stretch
from hub.domain.subscription import Status, SubscriptionKey
from hub.domain.transition import Cause
from hub.store.client import Store
from hub.store.event_log import dead_letters_key
from hub.store.keys import shard_key
from hub.store.scripts import script
from hub.store.status_codes import STATUS_CODES, STATUSES, write_cause

_STRETCH = re.compile(r"(\d+)-(\d+)@(\d+)(r?)(s?)")


class AgainCode(StrEnum):
    OK = "OK"
    MOVED = "MOVED"
    """Something changed since it was read: read it again."""
    ABSENT = "ABSENT"
    STATUS = "STATUS"
    """Not in this status."""


@dataclass(frozen=True, slots=True)
class AgainReply:
    code: AgainCode
    status: Status | None = None
    count: int = 0
    """Dead letters that were dropped."""


def read_stretches(text: bytes) -> tuple[Stretch, ...]:
    """From the record; b"" for none."""
    found = (_STRETCH.fullmatch(part) for part in text.decode().split())
    return tuple(
        Stretch(range(int(first), int(last) + 1), int(asked), bool(letters), bool(singly))
        for first, last, asked, letters, singly in (match.groups() for match in found if match)
    )


def write_stretches(stretches: Iterable[Stretch]) -> str:
    return " ".join(
        f"{each.numbers[0]}-{each.numbers[-1]}@{each.asked_at}{'r' * each.letters}{'s' * each.singly}"
        for each in stretches
    )


class Again:
    """Changes what is to be sent again. Each call names what was read before; MOVED when that is no longer so."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(
        self,
        key: SubscriptionKey,
        waiting: Sequence[Stretch],
        letters: int,
        more: Sequence[Stretch],
        statuses: Iterable[Status],
    ) -> AgainReply:
        """Put ``more`` behind what is ``waiting``. ``letters``: how many dead letters there were."""
        shard, name = self._store.layout.shard_of(key), str(key)
        keys = [shard_key(shard, "due"), shard_key(shard, "m"), dead_letters_key(shard, name)]
        lowest = min((each.numbers.start for each in more if not each.letters), default=0)
        codes = "".join(str(STATUS_CODES[status]) for status in statuses)
        both = write_stretches((*waiting, *more))
        return await self._send(script("again", keys, [name, write_stretches(waiting), letters, both, lowest, codes]))

    async def drop(
        self,
        key: SubscriptionKey,
        waiting: Sequence[Stretch],
        left: Sequence[Stretch],
        numbers: Sequence[int],
        *,
        by: str = "",
    ) -> AgainReply:
        """Drop dead letters; of what is ``waiting`` these stretches are ``left``. ``by``: who asked for it."""
        shard, name = self._store.layout.shard_of(key), str(key)
        keys = [shard_key(shard, part) for part in ("due", "m", "why", "t")] + [dead_letters_key(shard, name)]
        read, left_over = write_stretches(waiting), write_stretches(left)
        return await self._send(
            script("drop", keys, [name, read, left_over, write_cause(Cause.NO_DEAD_LETTERS, by), *numbers])
        )

    async def _send(self, call: tuple[str | bytes | int | float, ...]) -> AgainReply:
        ((code, *more),) = await self._store.send(call)
        found = AgainCode(code.decode())
        if found is AgainCode.STATUS:
            return AgainReply(found, status=STATUSES[more[0]])
        return AgainReply(found, count=int(more[0]) if more else 0)
