"""Every key of the hub in Redis, and how work is spread over partitions and shards.

A *partition* holds changes: one per (tenant, base) by default, so that the events of a Subscription come in the order
in which changes were accepted (HOUSE ruling 32). A *shard* holds Subscriptions. All keys of one carry its tag, so every
script stays in one slot of a Redis Cluster. Both counts are fixed at the first start (``hub:layout``).

| key | type | holds |
|---|---|---|
| ``{P}:own`` | hash | owner, incarnation, epoch, until, cur (evaluated upto), last, in, out |
| ``{P}:chg`` | stream | k Type/id, v version, o interaction, p previous, h hint, x trail, w who, e event, b |
| ``{P}:r:Type/id`` | string | head: ``version id interaction`` |
| ``{P}:b:Type/id`` | hash | an entry that is still the head but has left the stream (ruling 14) |
| ``{P}:i:…`` | string PX | idempotency record |
| ``{P}:ids`` | zset | ``token id`` of each living resource that carries an identifier |
| ``{P}:rid`` | hash | Type/id -> its identifier tokens |
| ``{dK}:m`` | hash | Subscription -> packed record (``lua/record.lua``); '' -> how many events wait |
| ``{dK}:live`` | hash | process -> its newest sign of life (``lives.py``) |
| ``{dK}:begun`` | hash | process -> ``fence Subscription`` of each attempt that it had begun by then, a line each |
| ``{dK}:due`` | zset | Subscription -> ms of its next duty: the agenda |
| ``{dK}:e:…`` | list | event log: ``partition index:change id:definition version`` |
| ``{dK}:x:…`` | hash | dead letters: event number -> JSON |
| ``{dK}:a:…`` | list | the last attempts (``attempts.py``); a first handshake alone is in the record |
| ``{dK}:s:…`` | hash | definition version -> JSON |
| ``{dK}:k:…`` | hash | signing secrets: secret -> ms until which it signs, 0 for the newest |
| ``{dK}:hw`` | hash | partition -> high-water mark of COMMIT, and its epoch |
| ``{dK}:t`` | hash | Subscription -> transitions that its record has no room for, packed (``life.py``) |
| ``{dK}:why`` | hash | Subscription -> JSON of its last error |
| ``{reg}:log`` | stream | what changed in the registry: subscription, topic, search-parameter or value-set, name |
| ``{reg}:topics`` | hash | SubscriptionTopics and their versions |
| ``{reg}:stops`` | hash | ``tenant|base|topic`` or ``tenant||host`` -> since when the operator has stopped it |
| ``{reg}:params`` | hash | SearchParameters and their versions |
| ``{reg}:valuesets`` | set | names of the living ValueSets, which are ordinary resources |
| ``{reg}:valuesets:filled`` | string | there once that set was filled from what an earlier release held |
| ``hub:guard:…`` | string PX | who decides something that only one may decide at a time |
| ``hub:binding:…`` | string PX | digest of a binding token -> JSON of who asked for it and for which Subscriptions |
| ``hub:hosts`` | zset | hosts whose last attempt went well -> ms at which they began to be |
| ``hub:confirmed`` | string | nothing; written before each WAIT (``confirmation.py``) |
| ``hub:backwards`` | hash | partition -> JSON: a store that went backwards, noticed by a process (``witness.py``) |
| ``hub:identity`` | string | the name of this store |
| ``hub:layout`` | string | partitions, shards and layout version of this data |
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from hub.domain.change import ResourceKey
from hub.domain.subscription import SubscriptionKey
from hub.domain.versions import FhirVersion

LAYOUT_KEY = "hub:layout"
LAYOUT_VERSION = 2
"""1 had records with other places, transitions as JSON and attempts as text."""
_LAYOUT = re.compile(r"\d+ \d+ \d+")
BACKWARDS = "hub:backwards"
CONFIRMATION_KEY = "hub:confirmed"
IDENTITY_KEY = "hub:identity"
REGISTRY_LOG = "{reg}:log"
TOPICS = "{reg}:topics"
STOPS = "{reg}:stops"
SEARCH_PARAMETERS = "{reg}:params"
VALUE_SETS = "{reg}:valuesets"
VALUE_SETS_FILLED = "{reg}:valuesets:filled"
CHANGES_CHANNEL = "hub:changes"
"""Where every process hears of which partition another one accepted a change (nothing is kept)."""
SOCKETS_CHANNEL = "hub:sockets"
"""Where every process with sockets hears which Subscription was written (publish and subscribe; nothing is kept)."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One ordered stream of changes; ``index`` counts inside its (tenant, base)."""

    tenant: str
    base: FhirVersion
    index: int

    def __str__(self) -> str:
        return f"{self.tenant}|{self.base}|{self.index}"

    def key(self, *parts: str) -> str:
        return ":".join((f"{{{self}}}", *parts))


@dataclass(frozen=True, slots=True)
class Layout:
    """How many partitions a (tenant, base) has and how many shards there are."""

    partitions: int = 1
    shards: int = 4

    def __str__(self) -> str:
        return f"{LAYOUT_VERSION} {self.partitions} {self.shards}"

    def problem(self, found: str) -> str:
        """Why data whose ``hub:layout`` is ``found`` cannot be served, with what to do; "" when they can."""
        if found == str(self):
            return ""
        version, partitions, shards = found.split() if _LAYOUT.fullmatch(found) else ("", "", "")
        if not version:
            return f"{LAYOUT_KEY} in this Redis is {found!r}, which no hub has written; start with a Redis of its own"
        if version != str(LAYOUT_VERSION):
            return (
                f"the data in this Redis has layout {version}, and this release of the hub reads layout "
                f"{LAYOUT_VERSION}; start the release that wrote it, or start with an empty Redis"
            )
        return (
            f"the data in this Redis was laid out with HUB_PARTITIONS={partitions} and HUB_SHARDS={shards}; "
            "start with those, or with an empty Redis"
        )

    def partition_of(self, key: ResourceKey) -> Partition:
        return Partition(key.tenant, key.base, zlib.crc32(key.reference.encode()) % self.partitions)

    def partitions_of(self, tenant: str, base: FhirVersion) -> tuple[Partition, ...]:
        return tuple(Partition(tenant, base, index) for index in range(self.partitions))

    def shard_of(self, subscription: SubscriptionKey | str) -> int:
        return zlib.crc32(str(subscription).encode()) % self.shards


def shard_key(shard: int, *parts: str) -> str:
    return ":".join((f"{{d{shard}}}", *parts))


def binding_key(digest: str) -> str:
    return f"hub:binding:{digest}"


def process_channel(process: str) -> str:
    """Where a process hears what others hand to its sockets (publish and subscribe; nothing is kept)."""
    return f"hub:socket:{process}"


def guard_key(name: str) -> str:
    return f"hub:guard:{name}"
