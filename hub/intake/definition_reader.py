"""The definitions of Subscriptions, for those who search: read from the store, those read last are remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from hub.store.subscriptions import Definition, Subscriptions

MOST_REMEMBERED = 10_000
"""Of about a kilobyte each."""


class DefinitionReader:
    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._recent: OrderedDict[tuple[str, int], Definition] = OrderedDict()

    async def of(self, wanted: Sequence[tuple[str, int]]) -> list[Definition | None]:
        """The definitions of (Subscription, version), which never change."""
        recent = self._recent
        missing = [each for each in wanted if each not in recent]
        for start in range(0, len(missing), MOST_REMEMBERED):
            chunk = missing[start : start + MOST_REMEMBERED]
            read = zip(chunk, await self._subscriptions.definitions(chunk), strict=True)
            recent.update((each, definition) for each, definition in read if definition)
        found = [recent.get(each) for each in wanted]
        while len(recent) > MOST_REMEMBERED:
            recent.popitem(last=False)
        return found
