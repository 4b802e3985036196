"""Why did it, or did it not, fire: for a change that is still held, or for states that are handed in.

Reads only. Topic and filters are asked as they are now; of a change that was judged before, the event log tells what
became of it then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.domain.change import ChangeId, ChangeName, Interaction, ResourceChange
from hub.domain.explanation import Answer, DeliveryState, Explanation, Finding, Numbered, Verdict
from hub.domain.probe import tested
from hub.domain.subscription import Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import HubError
from hub.fhir.json import write_instant
from hub.intake.chain_targets import ChainTargets
from hub.intake.registry import Registry
from hub.matching.chains import ChainIndex
from hub.matching.explain import explain_filters, explain_topic
from hub.matching.filters import NO_FILTERS, CompiledFilters
from hub.matching.topics import CompiledTopic
from hub.reading.changes import find_change, judgeable
from hub.reading.definitions import living, read_definition
from hub.reading.events import EventReader
from hub.store.attempts import Attempts
from hub.store.changes import Changes, Entry
from hub.store.keys import Layout, Partition
from hub.store.life import Life
from hub.store.subscriptions import Definition, Record, Subscriptions

GIVEN = "the states that were given"
LOADED = "it was loaded: a state to start from, which is announced to nobody"
TEST = "it is a test event, made by $test for this Subscription alone"
TEST_OF_ANOTHER = "it is a test event, made by $test for another Subscription"
PREVIOUS_UNKNOWN = "the state before the change is not known here: what asks for it is left out"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A Subscription as it is stored now."""

    key: SubscriptionKey
    record: Record
    definition: Definition
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class ExplainService:
    """Asks what the evaluator asks, and what the log and the record know."""

    registry: Registry
    subscriptions: Subscriptions
    changes: Changes
    reader: EventReader
    attempts: Attempts
    life: Life
    layout: Layout

    async def of_states(self, key: SubscriptionKey, change: ResourceChange) -> Explanation:
        """Would ``change``, which is handed in, be an event for a stored Subscription? Raises NotFound, Gone."""
        asked = await self._asked(key)
        return await self.of_draft(key, asked.subscription, change)

    async def of_draft(
        self, key: SubscriptionKey, subscription: Subscription, change: ResourceChange, name: str = GIVEN
    ) -> Explanation:
        """The same for a Subscription that need not be stored; ``key.id`` may be "" then."""
        try:
            topic, filters = self.registry.compiled(key, subscription)
        except HubError as problem:
            return Explanation(Answer.TOPIC_UNUSABLE, name, change.interaction, notes=(str(problem),))
        return judged(topic, filters, await self._with_targets(topic, filters, change), name)

    async def of_topic(self, topic: CompiledTopic, change: ResourceChange, name: str = GIVEN) -> Explanation:
        """Does ``topic`` fire, whoever may be subscribed to it?"""
        return judged(topic, None, await self._with_targets(topic, NO_FILTERS, change), name)

    async def _with_targets(
        self, topic: CompiledTopic, filters: CompiledFilters, change: ResourceChange
    ) -> ResourceChange:
        """With the present states of what its chains lead to, as the evaluator looks them up (ruling 23)."""
        wanted = ChainIndex()
        wanted.add(str(SubscriptionKey(change.key.tenant, change.key.base, "")), topic, filters)
        (completed,) = await ChainTargets(self.changes, self.layout, wanted).completed([change])
        return completed

    async def change_named(self, tenant: str, base: FhirVersion, name: ChangeName) -> tuple[ResourceChange, str]:
        """A stored change, to be judged, and both of its names. Raises NotFound."""
        partition, entry = await find_change(self.changes, self.layout, tenant, base, name)
        (change,) = await judgeable(self.changes, partition, [entry])
        return change, reference_of(entry)

    async def of_change(self, key: SubscriptionKey, name: ChangeName) -> Explanation:
        """What became of an accepted change for a stored Subscription, and why. Raises NotFound, Gone."""
        asked = await self._asked(key)
        partition, entry = await find_change(self.changes, self.layout, key.tenant, key.base, name)
        if entry.interaction is Interaction.LOAD:
            return Explanation(Answer.NEVER_JUDGED, reference_of(entry), entry.interaction, notes=(LOADED,))
        (change,) = await judgeable(self.changes, partition, [entry])
        reached = entry.id <= await self.changes.evaluated_upto(partition)
        asked = await self._asked(key)  # only now: a record from before would lack the number that it got meanwhile
        if tested(change):
            notes = (TEST if tested(change) == key.id else TEST_OF_ANOTHER,)
            answer = Answer.EVENT if tested(change) == key.id else Answer.NO_TRIGGER
            now = Explanation(answer, reference_of(entry), change.interaction, notes=notes)
        else:
            now = await self.of_draft(key, asked.subscription, change, reference_of(entry))
        numbered = await self._numbered(asked, partition, entry.id)
        if numbered is not None:
            return _with_number(now, numbered, asked.record)
        return await self._without_number(asked, partition, entry, now, judged=reached)

    async def _asked(self, key: SubscriptionKey) -> _Asked:
        await self.registry.refresh()
        record, definition = await living(self.subscriptions, key)
        return _Asked(key, record, definition, read_definition(key.base, definition))

    async def _numbered(self, asked: _Asked, partition: Partition, change: ChangeId) -> Numbered | None:
        held = range(asked.record.first_kept, asked.record.number + 1)
        found = await self.reader.number_of(asked.key, held, partition.index, change)
        if found is None:
            return None
        number, reference = found
        name = str(asked.key)
        refused = {letter.number for letter in await self.reader.log.dead_letters(name)}
        state = DeliveryState.DELIVERED if number <= asked.record.cursor else DeliveryState.WAITING
        attempts = tuple(each for each in await self.attempts.of(name) if number in each.numbers)
        return Numbered(
            number, reference.definition_version, DeliveryState.DEAD_LETTER if number in refused else state, attempts
        )

    async def _without_number(
        self, asked: _Asked, partition: Partition, entry: Entry, now: Explanation, *, judged: bool
    ) -> Explanation:
        """It has no number: what stood in its way before topic and filters, then these, then what changed since."""
        if not asked.definition.counts(partition.index, entry.id):
            note = "it was accepted before the Subscription; events count from then on"
            return replace(now, answer=Answer.BEFORE_SUBSCRIPTION, notes=(*now.notes, note))
        if not judged:
            note = "it waits to be judged; as topic and filters are now, this is what will be said"
            return replace(now, answer=Answer.NOT_JUDGED_YET, notes=(*now.notes, note))
        if now.answer is not Answer.EVENT:
            return now
        if asked.record.status in (Status.OFF, Status.ENTERED_IN_ERROR):
            since = await self._since(asked)
            note = f"the Subscription is {asked.record.status}{since}: no event is numbered while it is"
            return replace(now, answer=Answer.SWITCHED_OFF, notes=(*now.notes, note))
        if asked.record.first_kept > 1:
            note = f"events below number {asked.record.first_kept} have gone with retention; it may have been one"
            return replace(now, answer=Answer.NO_LONGER_HELD, notes=(*now.notes, note))
        note = (
            f"as they are now, topic and filters let it through; when it was judged they did not. The Subscription was "
            f"last written at {asked.definition.written}, and it may have been off"
        )
        return replace(now, answer=Answer.CHANGED_SINCE, notes=(*now.notes, note))

    async def _since(self, asked: _Asked) -> str:
        """When it came to its status, and why, as far as that is remembered."""
        moves = [each for each in await self.life.transitions(str(asked.key)) if each.before is not each.after]
        if not moves or moves[-1].after is not asked.record.status:
            return ""
        return f" since {write_instant(moves[-1].at)} ({moves[-1].in_words})"


def judged(topic: CompiledTopic, filters: CompiledFilters | None, change: ResourceChange, name: str) -> Explanation:
    """What topic and, when asked, filters say to ``change``."""
    by_topic = explain_topic(topic, change)
    by_filters = explain_filters(filters, change) if filters is not None else None
    notes = () if change.previous_known else (PREVIOUS_UNKNOWN,)
    answer = _answer(by_topic, by_filters)
    return Explanation(answer, name, change.interaction, by_topic, by_filters, notes=notes)


def reference_of(entry: Entry) -> str:
    """A stored change by both of its names."""
    version = f"/_history/{entry.version}" if entry.version else ""
    return f"{entry.type}/{entry.resource_id}{version} (change {entry.id})"


def _answer(topic: Finding, filters: Finding | None) -> Answer:
    for finding, no in ((topic, Answer.NO_TRIGGER), (filters, Answer.FILTER_SAID_NO)):
        match finding.verdict if finding else Verdict.YES:
            case Verdict.NO:
                return no
            case Verdict.UNDECIDED:
                return Answer.UNDECIDED
            case Verdict.FAILED:
                return Answer.EVALUATION_FAILED
    return Answer.EVENT


def _with_number(now: Explanation, numbered: Numbered, record: Record) -> Explanation:
    notes = now.notes
    if now.answer is not Answer.EVENT:
        notes = (*notes, "it was an event when it was judged; as topic and filters are now, they would say no")
    if numbered.delivery is DeliveryState.WAITING:
        error = f"; the last attempt: {record.error.text or record.error.code}" if record.error else ""
        shaken = "" if record.verified else " and its handshake has not succeeded yet"
        notes = (*notes, f"it waits for delivery: the Subscription is {record.status}{shaken}{error}")
        if record.paused:
            notes = (*notes, f"nothing is sent: {record.paused.in_words}; it is kept until it is delivered")
    if numbered.definition_version != record.definition_version:
        notes = (
            *notes,
            f"it was matched under version {numbered.definition_version} of the Subscription, now there is "
            f"{record.definition_version}",
        )
    return replace(now, answer=Answer.EVENT, numbered=numbered, notes=notes)
