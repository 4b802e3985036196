"""The life of a Subscription as its client sees it: register, replace, remove, read.

Whatever the hub cannot do exactly is refused here, before anything is written (S-081, S-082, HOUSE decision 9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hub.domain.delivery import status_after_update
from hub.domain.subscription import Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.errors import Conflict, Gone, Issue, NotFound, PreconditionFailed, Unprocessable
from hub.fhir.dialects import dialect
from hub.fhir.json import read_json, write_json
from hub.fhir.nearest import nearest_canonical
from hub.fhir.subscriptions import Limits
from hub.intake.offers import new_id
from hub.intake.registry import Registry
from hub.intake.stopping import StopService
from hub.intake.subscription_rules import (
    has_ended,
    reaches_elsewhere,
    refuse,
    refuse_another_kind,
    refuse_ended,
    started,
    submitted,
)
from hub.intake.topic_life import check_takes_new
from hub.intake.written import check_same_id
from hub.matching.filters import compile_filters
from hub.reading.definitions import read_definition
from hub.store.changes import Changes
from hub.store.conditional_write import WriteCode
from hub.store.keys import Layout
from hub.store.pressure import Pressure
from hub.store.subscriptions import Definition, Record, Subscriptions

MOST_TRIES = 20


@dataclass(frozen=True, slots=True)
class ShownSubscription:
    """A Subscription as it goes out: ``resource`` complete with id, meta and live status."""

    key: SubscriptionKey
    version: int
    last_updated: datetime
    resource: dict[str, Any]
    created: bool = False
    warnings: tuple[Issue, ...] = ()


class SubscriptionService:
    """Registers, replaces and removes. ``check_endpoint`` raises Unprocessable for an endpoint that may not be called;
    ``written`` is called after every write, so that a handshake goes out at once."""

    def __init__(
        self,
        registry: Registry,
        subscriptions: Subscriptions,
        changes: Changes,
        layout: Layout,
        limits: Limits,
        check_endpoint: Callable[[Subscription], None],
        written: Callable[[], None],
        stops: StopService,
        pressure: Pressure,
        *,
        draft_topics: bool,
    ) -> None:
        self._registry = registry
        self._subscriptions = subscriptions
        self._changes = changes
        self._layout = layout
        self._limits = limits
        self._check_endpoint = check_endpoint
        self._written = written
        self._stops = stops
        self._pressure = pressure
        self._draft_topics = draft_topics

    async def register(
        self, key: SubscriptionKey, owner: str, resource: Mapping[str, Any], fingerprint: str = ""
    ) -> ShownSubscription:
        """Create it; ``key.id`` "" lets the hub name it. Answered before the handshake begins (S-155).

        ``fingerprint`` is that of a request whose repeat can be recognised (ruling 25).
        """
        subscription = dialect(key.base).read_subscription(resource, self._limits)
        self._pressure.refuse_subscription()
        warnings = await self._check(key, subscription)
        named = key if key.id else SubscriptionKey(key.tenant, key.base, new_id())
        status = Status.OFF if subscription.status is Status.OFF else started(subscription)
        refuse_ended(subscription, status)
        since = await self._newest_changes(named)
        definition = self._definition(named, owner, resource, subscription, status, since, fingerprint)
        stopped = await self._stops.standing(named, subscription)
        put = await self._subscriptions.put(
            named, subscription, definition,
            expected_version=0, status=status, verify_anew=True, stopped=stopped,
            by=owner,
        )  # fmt: skip
        refuse(put, named)
        await self._stops.reconcile(named, subscription, stopped)
        self._written()
        return replace(self._fresh(named, put.version, definition, status, warnings), created=True)

    async def first_answer(self, key: SubscriptionKey, fingerprint: str) -> ShownSubscription | None:
        """What the request was answered that created ``key``; None when nothing did (ruling 25).

        Raises Unprocessable when another request did, Gone when what it created was deleted since.
        """
        (record,) = await self._subscriptions.records([str(key)])
        if record is None:
            return None
        await self._subscriptions.confirm()
        if record.status is None:
            raise Gone(f"this request created Subscription/{key.id}, which was deleted since")
        (first,) = await self._subscriptions.definitions([(str(key), 1)])
        if first is None:  # so many versions later the first is no longer kept
            return replace(await self.read(key), created=True)
        if first.request != fingerprint:
            raise Unprocessable("this Idempotency-Key was used for another request; take a new one")
        status = Status(read_json(first.resource.encode())["status"])
        return replace(self._fresh(key, 1, first, status, ()), created=True)

    async def was_deleted(self, key: SubscriptionKey) -> bool:
        """Whether this id belonged to a Subscription that is gone: made again, its numbers would go on."""
        (record,) = await self._subscriptions.records([str(key)])
        return record is not None and record.status is None

    async def replace(
        self, key: SubscriptionKey, principal: str, resource: Mapping[str, Any], if_match: int | None
    ) -> ShownSubscription:
        """Update it, or create it with the id the client chose. What waits goes out in the new shape (ruling 17).

        It goes on to belong to who created it; ``principal`` writes it.
        """
        check_same_id(resource, key.id, "Subscription")
        for _ in range(MOST_TRIES):
            found = await self._find(key)
            if found is None:
                if if_match is not None:
                    raise PreconditionFailed(f"If-Match names a version, but Subscription/{key.id} does not exist")
                try:
                    return await self.register(key, principal, resource)
                except PreconditionFailed:  # somebody else created it meanwhile: this is an update then
                    continue
            shown = await self._replace(key, principal, resource, if_match, *found)
            if shown is not None:
                return shown
        raise Conflict(f"Subscription/{key.id} is being written by others; send it again")

    async def _replace(
        self,
        key: SubscriptionKey,
        principal: str,
        resource: Mapping[str, Any],
        if_match: int | None,
        record: Record,
        stored: Definition,
    ) -> ShownSubscription | None:
        """None when somebody else wrote it since it was read, and the client did not say which version it means."""
        kept = dialect(key.base).unmask_headers(resource, read_json(stored.resource.encode()))
        subscription = dialect(key.base).read_subscription(kept, self._limits)
        before = read_definition(key.base, stored)
        refuse_another_kind(subscription, before)
        warnings = await self._check(key, subscription, before.topic)
        present = record.status or Status.OFF
        anew = reaches_elsewhere(subscription, before) and subscription.needs_handshake
        status = status_after_update(present, submitted(kept), verify_anew=anew)
        if status is Status.REQUESTED or (status is None and present is Status.REQUESTED):
            status = started(subscription)  # it may have had another channel, whose handshake is due no more
        refuse_ended(subscription, status)
        restarts = present in (Status.OFF, Status.ENTERED_IN_ERROR) and status is started(subscription)
        since = await self._newest_changes(key) if restarts or has_ended(before) else stored.since
        definition = self._definition(key, stored.owner, kept, subscription, status or present, since)
        expected = record.definition_version if if_match is None else if_match
        stopped = await self._stops.standing(key, subscription)
        put = await self._subscriptions.put(
            key, subscription, definition,
            expected_version=expected, status=status, verify_anew=anew, stopped=stopped, by=principal,
        )  # fmt: skip
        if put.code is WriteCode.CONFLICT and if_match is None:
            return None
        refuse(put, key)
        await self._stops.reconcile(key, subscription, stopped)
        self._written()
        shown = self._fresh(key, put.version, definition, status or present, warnings)
        if kept == resource:
            return shown
        # the client sent the mask, so it need not know the value: it gets the mask back (ruling 24)
        return replace(shown, resource=dialect(key.base).mask_headers(shown.resource))

    async def remove(self, key: SubscriptionKey, principal: str, if_match: int | None) -> None:
        """Delete it; deleting it again is no error, deleting what never was is NotFound."""
        put = await self._subscriptions.remove(key, if_match, by=principal)
        if put.code is not WriteCode.GONE:
            refuse(put, key)

    async def read(self, key: SubscriptionKey, version: int | None = None) -> ShownSubscription:
        """The present version with its live status, or an older one as it was written; secrets masked (ruling 24)."""
        (record,) = await self._subscriptions.records([str(key)])
        if record is None:
            raise NotFound(f"Subscription/{key.id} is not known here")
        if record.status is None and version in (None, record.definition_version):
            raise Gone(f"Subscription/{key.id} was deleted")
        wanted = record.definition_version if version is None else version
        (definition,) = await self._subscriptions.definitions([(str(key), wanted)])
        if definition is None:
            raise NotFound(f"Subscription/{key.id} has no version {wanted}")
        live = record if wanted == record.definition_version else None
        return self.show(key, wanted, definition, live)

    def show(
        self, key: SubscriptionKey, version: int, definition: Definition, record: Record | None
    ) -> ShownSubscription:
        """A stored definition as it is read: header values masked; with ``record`` in its live status."""
        resource = dialect(key.base).mask_headers(read_json(definition.resource.encode()))
        if record is not None and record.status is not None:
            error = self._registry.broken.get(str(key)) or (record.error.text if record.error else "")
            subscription = read_definition(key.base, definition)
            resource = dialect(key.base).accepted_subscription(resource, subscription, record.status, error)
        return _shown(key, version, definition, resource)

    async def _check(
        self, key: SubscriptionKey, subscription: Subscription, present_topic: str = ""
    ) -> tuple[Issue, ...]:
        """Warnings; raises Unprocessable. One who keeps its topic is let stay when the topic takes no new ones."""
        self._check_reachable(key.base, subscription)
        await self._registry.refresh()
        if subscription.is_classic:
            return self._registry.compile_criteria(key.tenant, key.base, subscription.criteria)[1].warnings
        listed = self._registry.catalogue.find(key.tenant, key.base, subscription.topic)
        element = "Subscription.topic" if key.base is FhirVersion.R5 else "Subscription.criteria"
        if why := self._registry.catalogue.why_not(key.tenant, key.base, subscription.topic):
            raise Unprocessable(f"the topic {subscription.topic} cannot be used now: {why}", expression=element)
        if listed is None:
            known = (each.topic.canonical for each in self._registry.catalogue.listed(key.tenant, key.base))
            raise Unprocessable(
                f"the topic {subscription.topic} is not known here; {key.base.path}/metadata lists those that are."
                + nearest_canonical(subscription.topic, known),
                expression=element,
                code="not-found",
            )
        told: tuple[Issue, ...] = ()
        if subscription.topic != present_topic:
            now = datetime.now(UTC)
            told = check_takes_new(listed.topic, now, draft_topics=self._draft_topics, expression=element)
        try:
            return (*told, *compile_filters(subscription.filters, listed.compiled).warnings)
        except Unprocessable as problem:
            raise Unprocessable(*(_placed(issue, key.base) for issue in problem.issues)) from problem

    def _check_reachable(self, base: FhirVersion, subscription: Subscription) -> None:
        element = "Subscription.endpoint" if base is FhirVersion.R5 else "Subscription.channel.endpoint"
        try:
            self._check_endpoint(subscription)
        except Unprocessable as problem:
            raise Unprocessable(*(replace(issue, expression=element) for issue in problem.issues)) from problem

    async def _find(self, key: SubscriptionKey) -> tuple[Record, Definition] | None:
        (record,) = await self._subscriptions.records([str(key)])
        if record is None or record.status is None:
            return None
        (definition,) = await self._subscriptions.definitions([(str(key), record.definition_version)])
        if definition is None:
            raise Conflict(f"Subscription/{key.id} is being written; send it again")
        return record, definition

    async def _newest_changes(self, key: SubscriptionKey) -> dict[str, str]:
        """Events count from here: what was accepted before does not concern this Subscription (ruling 16)."""
        partitions = self._layout.partitions_of(key.tenant, key.base)
        return {str(partition.index): str(await self._changes.last(partition)) for partition in partitions}

    @staticmethod
    def _definition(
        key: SubscriptionKey,
        owner: str,
        resource: Mapping[str, Any],
        subscription: Subscription,
        status: Status,
        since: dict[str, str],
        fingerprint: str = "",
    ) -> Definition:
        accepted = dialect(key.base).accepted_subscription(resource, subscription, status)
        bare = {name: value for name, value in accepted.items() if name != "id"}
        written = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Definition(write_json(bare).decode(), since, owner, written, fingerprint)

    @staticmethod
    def _fresh(
        key: SubscriptionKey, version: int, definition: Definition, status: Status, warnings: tuple[Issue, ...]
    ) -> ShownSubscription:
        """The answer to the write itself: header values as they were sent (ruling 24, S-210)."""
        resource = read_json(definition.resource.encode()) | {"status": status.value}
        return replace(_shown(key, version, definition, resource), warnings=warnings)


def completed(
    key: SubscriptionKey, version: int, definition: Definition, resource: Mapping[str, Any]
) -> dict[str, Any]:
    """A resource as stored, with the id and meta that it is shown with."""
    own_meta = resource.get("meta")
    meta = {**(own_meta if isinstance(own_meta, dict) else {}), "versionId": str(version)}
    meta["lastUpdated"] = definition.written.replace("+00:00", "Z")
    rest = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    return {"resourceType": "Subscription", "id": key.id, "meta": meta, **rest}


def _shown(key: SubscriptionKey, version: int, definition: Definition, resource: dict[str, Any]) -> ShownSubscription:
    return ShownSubscription(key, version, definition.written_at, completed(key, version, definition, resource))


def _placed(issue: Issue, base: FhirVersion) -> Issue:
    """Matching speaks of ``filterBy[n]``, as R5 does; R4 and R4B write filters in extensions of criteria (S-092)."""
    if base is FhirVersion.R5:
        return replace(issue, expression=f"Subscription.{issue.expression}")
    said = f"{issue.expression}: {issue.diagnostics}"
    return replace(issue, expression="Subscription.criteria.extension", diagnostics=said)
