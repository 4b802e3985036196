"""The one page of wiring: settings → store, channels, dialects, topics → journeys → routes and workers."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.types import ASGIApp

import hub
from hub.api.admission import Admission
from hub.api.basic import BasicRoutes
from hub.api.bundles import BundleRoutes
from hub.api.explaining import ExplainRoutes
from hub.api.metadata import metadata_answer
from hub.api.operation_definitions import OperationDefinitionRoutes
from hub.api.origins import Origins
from hub.api.pages import application, health
from hub.api.repairing import RepairRoutes
from hub.api.resources import ResourceRoutes
from hub.api.server import FhirServer, Routes
from hub.api.signing import SigningRoutes
from hub.api.stopping import StopRoutes
from hub.api.subscriptions import SubscriptionRoutes
from hub.api.topics import DefinitionRoutes
from hub.api.versions import SystemRoutes
from hub.api.websocket import SocketLimits, WebSocketDoor
from hub.channels.egress import check_endpoint
from hub.channels.email import Email
from hub.channels.message import Message, process_message_url
from hub.channels.rest_hook import RestHook
from hub.channels.sender import CONNECTIONS_PER_HOST
from hub.channels.websocket import WebSocketChannel
from hub.delivery.host_memory import HostMemory
from hub.delivery.listening import Listening
from hub.delivery.round import DeliveryChannel, Round
from hub.delivery.standing_in import StandingIn
from hub.delivery.turns import Turns
from hub.delivery.worker import DeliveryWorker
from hub.domain.subscription import Subscription
from hub.domain.versions import FhirVersion
from hub.durability import confirmation, durability_in_words, embedded_redis
from hub.fhir.messages import DEFAULT_EVENT
from hub.fhir.operations import websocket_url_of
from hub.instance import Instance
from hub.intake.binding import BindingService
from hub.intake.bundles import BundleIntake
from hub.intake.chain_targets import ChainTargets
from hub.intake.changes import Intake
from hub.intake.conditions import Conditions
from hub.intake.evaluator import Evaluator, Owner
from hub.intake.explaining import ExplainService
from hub.intake.held_value_sets import ValueSetReader
from hub.intake.inclusion import Inclusion
from hub.intake.judging import Judge
from hub.intake.probing import ProbeService
from hub.intake.progress import ProgressService
from hub.intake.publishing import TopicService
from hub.intake.registry import Registry
from hub.intake.repair import RepairService
from hub.intake.retention import Janitor
from hub.intake.reverse_includes import ReverseIncludes
from hub.intake.search_parameters import SearchParameterService
from hub.intake.signing import SigningService
from hub.intake.stopping import StopService
from hub.intake.subscriptions import SubscriptionService
from hub.intake.topics import Catalogue, TopicCompiler
from hub.intake.value_set_book import ValueSetBook
from hub.intake.value_sets import load_value_sets
from hub.offer import limits, mail_server, sender
from hub.opening import Opening, begin
from hub.readiness import readiness
from hub.reading.definitions import DefinitionCache
from hub.reading.events import EventReader
from hub.reading.signing import SigningSecrets
from hub.security.tokens import Guard, digest, fresh_token
from hub.settings import Settings
from hub.store.again import Again
from hub.store.agenda import Agenda
from hub.store.attempts import Attempts
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.event_log import EventLog
from hub.store.guards import Guards
from hub.store.hints import Hints
from hub.store.hosts import Hosts
from hub.store.keys import Layout, Partition
from hub.store.life import Life
from hub.store.lives import Lives
from hub.store.pressure import Pressure
from hub.store.registry import Registry as RegistryLog
from hub.store.relay import Relay
from hub.store.secrets import Secrets
from hub.store.signing import SigningStore
from hub.store.sockets import Sockets
from hub.store.stops import Stops
from hub.store.subscriptions import Subscriptions
from hub.store.watch import Watch
from hub.supervision import Supervisor

log = logging.getLogger(__name__)

TENANT = "default"


class Hub:
    """One process of the hub: made from settings, started, served, stopped. Making it may raise CannotStart."""

    def __init__(self, settings: Settings, *, dev: bool = False) -> None:
        self.settings = settings
        self.dev = dev
        self.source_base_urls = {version: settings.source_base_url_of(version) for version in FhirVersion}
        self.compiler = TopicCompiler(self.source_base_urls, ValueSetBook(load_value_sets(settings.valuesets_dir)))
        self.instance = Instance(settings.data_dir)
        self.embedded = embedded_redis(settings)
        url = self.embedded.url if self.embedded else settings.redis_url
        self.store = Store(url, Layout(settings.partitions, settings.shards), confirmation(settings))
        self.watch = Watch(self.store, self.instance.notes, settings.durability, settings.accept_unverified_redis)
        self.sender = sender(settings)
        self._wire_store()
        self._wire_delivery()
        self._wire_intake()
        self.supervisor = Supervisor()
        self.started = datetime.now(UTC)

    def _wire_store(self) -> None:
        settings = self.settings
        waiting, copied = settings.max_waiting_changes, settings.max_event_copy_bytes
        self.changes = Changes(self.store, most_waiting=waiting, most_copied=copied)
        self.subscriptions = Subscriptions(self.store)
        self.registry_log = RegistryLog(self.store)
        self.event_log = EventLog(self.store)
        self.signing_store = SigningStore(self.store)
        self.agenda = Agenda(self.store, self.instance.name, batch_wait=timedelta(milliseconds=settings.batch_wait_ms))
        self.catalogue = Catalogue()
        value_sets = ValueSetReader(self.store, self.changes, self.compiler.value_sets)
        self.registry = Registry(self.catalogue, self.subscriptions, self.registry_log, self.compiler, value_sets)
        self.opening = Opening(self.registry)
        self.reader = EventReader(self.changes, self.event_log)
        self.pressure = Pressure(
            self.store, self.agenda,
            memory_percent=settings.redis_memory_percent, most_events=settings.max_waiting_events,
        )  # fmt: skip

    def _wire_delivery(self) -> None:
        settings = self.settings
        base_urls = {
            version: (settings.base_url_of(version), self.source_base_urls[version]) for version in FhirVersion
        }
        definitions = self.definitions = DefinitionCache(self.subscriptions)
        self.sockets = Sockets(self.store)
        self.listening = Listening(
            secrets.token_hex(8), self.sockets, self.subscriptions, definitions, self.reader, base_urls, self._ring
        )
        self.relay = Relay(
            self.store, self.listening.board.process, self._handed_over, self.listening.noticed, self._heard
        )
        self.hints = Hints(self.store)
        self.websocket = WebSocketChannel(self.listening.board, self.relay.ask)
        self.email = Email(mail_server(settings), base_urls, full_resource=settings.email_full_resource)
        channels: dict[str, DeliveryChannel] = {
            "rest-hook": RestHook(self.sender),
            "email": self.email,
            "message": Message(self.sender, base_urls, settings.message_event or DEFAULT_EVENT),
            "websocket": self.websocket,
        }
        turns = Turns(CONNECTIONS_PER_HOST, settings.max_attempts_in_flight // 2)
        self.host_memory = HostMemory(turns, Hosts(self.store))
        lives = Lives(self.store, self.instance.name)
        standing_in = StandingIn(lives, self.agenda, self.store.layout.shard_of, self._ring)
        secrets_, doubt = SigningSecrets(self.signing_store), self.store.witness.stops_sending
        round_ = Round(
            definitions, self.reader, channels, base_urls, settings.retry_policy, turns, secrets_, standing_in, doubt
        )  # fmt: skip
        self.worker = DeliveryWorker(self.store, self.agenda, round_, most_in_flight=settings.max_attempts_in_flight)

    def _ring(self) -> None:
        self.worker.bell.ring()

    async def _handed_over(self, message: bytes) -> bytes:
        return await self.websocket.answer(message)

    def _wire_intake(self) -> None:
        layout, owner = self.store.layout, Owner(self.instance.name, secrets.token_hex(8))
        self.reverse_includes = {
            version: ReverseIncludes(self.store, self.changes, self.registry, TENANT, version)
            for version in FhirVersion
        }
        inclusion = Inclusion(self.changes, layout, self.registry, self.reverse_includes)
        targets = ChainTargets(self.changes, layout, self.registry)
        self.evaluators = {
            partition: Evaluator(
                partition, owner, self.changes, self.agenda, self.registry,
                Judge(partition, layout, self.changes, self.registry, targets, inclusion, reverse), self.worker,
            )
            for version, reverse in self.reverse_includes.items()
            for partition in layout.partitions_of(TENANT, version)
        }  # fmt: skip
        self.intake = Intake(self.changes, Conditions(self.changes, layout), layout, self._accepted, self.pressure)
        self.bundle_intake = BundleIntake(self.intake)
        self.limits = limits(self.settings)
        self.admission = Admission(
            self.opening.ready, most_requests=self.settings.max_requests_in_flight,
            most_bytes=max(self.settings.max_bodies_bytes, self.settings.max_bundle_bytes),
        )  # fmt: skip
        self.stops = StopService(Stops(self.store), self.subscriptions, Life(self.store), self._ring)
        self.subscription_service = SubscriptionService(
            self.registry, self.subscriptions, self.changes, layout, self.limits, self._check_endpoint,
            self.worker.bell.ring, self.stops, self.pressure, draft_topics=self.settings.draft_topics,
        )  # fmt: skip
        self.bindings = BindingService(
            self.registry, self.subscriptions, self.sockets, seconds=self.settings.ws_token_ttl_seconds
        )
        self.topic_service = TopicService(self.registry, self.registry_log, self.compiler)
        self.explain_service = ExplainService(
            self.registry, self.subscriptions, self.changes, self.reader, Attempts(self.store), Life(self.store), layout
        )
        self.parameter_service = SearchParameterService(self.registry, self.registry_log, self.compiler.book)
        self.progress = ProgressService(self.registry, self.subscriptions, self.reader)
        self.repair = RepairService(
            self.subscriptions, self.event_log, Attempts(self.store), Again(self.store), Life(self.store), self._ring
        )
        self.janitor = Janitor(
            self.changes, self.subscriptions, self.event_log, layout, TENANT, self.registry.reconcile,
            retention=timedelta(seconds=self.settings.event_retention_seconds),
            most_kept=self.settings.event_retention_count,
        )  # fmt: skip

    def _accepted(self, partition: Partition) -> None:
        """Whoever evaluates this partition begins at once, here or in another process."""
        evaluator = self.evaluators[partition]
        evaluator.bell.ring()
        if not evaluator.owns:
            self.hints.tell(partition)

    def _heard(self, name: str) -> None:
        """Another process accepted a change of this partition."""
        for partition, evaluator in self.evaluators.items():
            if str(partition) == name:
                evaluator.bell.ring()

    def _check_endpoint(self, subscription: Subscription) -> None:
        """Whether the hub may call it. Mail goes to the operator's own server, whoever it is for."""
        channel = subscription.channel
        if channel.type == "message":
            check_endpoint(process_message_url(channel.endpoint), self.sender.policy)
        elif channel.type == "rest-hook":
            check_endpoint(channel.endpoint, self.sender.policy)

    async def start(self) -> None:
        """``begin``, and wait until everything works. Raises CannotStart."""
        await self.begin()
        await self.opening.done.wait()

    async def begin(self) -> None:
        """Open the store, deliver what is due; the rest begins when the Subscriptions are read. Raises CannotStart."""
        await begin(self, TENANT)

    async def stop(self) -> None:
        """Let attempts in flight finish, give the partitions back, close the store."""
        await self.worker.stop(self.settings.shutdown_seconds)
        await self.supervisor.stop()
        await self.sender.aclose()
        await self.email.aclose()
        await self.store.close()
        self.watch.save()
        if self.embedded:
            await self.embedded.stop()
        self.instance.release()

    async def guard(self) -> tuple[Guard, str]:
        """Who is let in, and a token to be shown once when this start made it (HOUSE decision 10)."""
        tokens = self.settings.tokens
        if tokens or self.dev:
            return Guard(map(digest, tokens), open_to_all=self.dev), ""
        made = fresh_token()
        kept, is_new = await Secrets(self.store).token_digest(digest(made))
        return Guard([kept]), made if is_new else ""

    async def readiness(self) -> dict[str, Any]:
        return await readiness(self)

    def socket_door(self, origins: Origins, *, open_to_all: bool) -> WebSocketDoor:
        limits = SocketLimits(self.settings.ws_max_sockets, self.settings.ws_bind_seconds)
        return WebSocketDoor(
            self.bindings, self.listening, origins, limits, TENANT,
            tokenless=self.settings.classic_websocket, open_to_all=open_to_all,
        )  # fmt: skip

    def routes(self, guard: Guard) -> FhirServer:
        explain = ExplainRoutes(self.explain_service, self.topic_service, self.registry, self.limits)
        subscription_routes = SubscriptionRoutes(
            self.subscription_service,
            self.progress,
            self.registry,
            self.subscriptions,
            Guards(self.store),
            self.bindings,
            self.settings.source_base_url_of,
            explain,
            RepairRoutes(self.repair, ProbeService(self.intake, self.repair)),
            SigningRoutes(SigningService(self.subscriptions, self.definitions, self.signing_store)),
        )
        resource_routes = ResourceRoutes(self.intake)
        bundle_routes = BundleRoutes(
            self.bundle_intake, self.intake, self.settings.source_base_url_of, self.settings.max_bundle_bytes
        )
        topic_routes = DefinitionRoutes(self.topic_service, "topics", explain)
        rooms: dict[str, Routes] = {
            "": SystemRoutes(StopRoutes(self.stops, bundle_routes)),
            "Basic": BasicRoutes(topic_routes, resource_routes, self.topic_service.knows),
            "OperationDefinition": OperationDefinitionRoutes(resource_routes),
            "SearchParameter": DefinitionRoutes(self.parameter_service, "SearchParameters"),
            "Subscription": subscription_routes,
            "SubscriptionTopic": topic_routes,
        }

        async def metadata(version: FhirVersion) -> Any:
            await self.registry.refresh()
            description = durability_in_words(self.settings)
            topics = [listed.topic.url for listed in self.catalogue.listed(TENANT, version)]
            base_url = self.settings.base_url_of(version)
            classic = self.settings.classic_websocket and version is not FhirVersion.R5
            websocket_url = websocket_url_of(base_url) if classic else ""
            return metadata_answer(version, base_url, hub.__version__, self.started, description, topics, websocket_url)

        return FhirServer(
            guard, resource_routes, rooms, metadata, self.settings.base_url_of, self.settings.max_body_bytes,
            self.admission,
        )  # fmt: skip


def create_app(hub_: Hub, guard: Guard) -> ASGIApp:
    """The ASGI application of a hub; starting and stopping the hub is its server's."""
    origins = Origins(hub_.settings.origins_allowed)
    door = hub_.socket_door(origins, open_to_all=guard.open_to_all)
    return application(hub_.routes(guard), door, origins, hub_.readiness)


def create_health(hub_: Hub) -> ASGIApp:
    """What a process without an API serves."""
    return health(hub_.readiness)
