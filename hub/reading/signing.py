"""Signing secrets, read back: from the store once for each generation of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from hub.store.signing import SigningSecret, SigningStore

MOST_REMEMBERED = 10_000


def system_clock() -> datetime:
    return datetime.now(UTC)


class SigningSecrets:
    """What deliveries are signed with. ``clock`` decides when an older secret has ended."""

    def __init__(self, store: SigningStore, clock: Callable[[], datetime] = system_clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[tuple[str, int], Sequence[SigningSecret]] = OrderedDict()

    async def get(self, subscription: str, generation: int) -> tuple[str, ...]:
        """The secrets that sign now, the newest first."""
        found = self._known.get((subscription, generation))
        if found is None:
            found = self._known[subscription, generation] = await self._store.secrets(subscription)
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        now = self._clock()
        return tuple(each.secret for each in found if each.until is None or each.until > now)
