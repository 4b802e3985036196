"""The hub's own HTTP/1.1 client for notifications (HOUSE decision 7; SECURITY B3–B5, C5).

One POST, one deadline over everything, one answer. It follows no redirect, keeps no cookie, decodes no content and
reads no proxy from the environment: each of these would carry a notification past the guard in ``egress``. It never
raises for what a receiver does: the answer, or why there is none, is a Response. A busy host holds up only its own
attempts; a slow one costs its slots until their deadlines.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from hub.channels.connection import Connection
from hub.channels.egress import EgressPolicy, Resolver, check_endpoint, permitted_addresses, system_resolver
from hub.channels.endpoint import Endpoint
from hub.channels.pool import Lane, Pool
from hub.channels.proxy import Proxy, tunnel
from hub.channels.request import HeaderText, encode_request
from hub.channels.response import AttemptFailed, Failure, Response
from hub.channels.tls import tls_context
from hub.errors import Unprocessable

CONNECTIONS_PER_HOST = 16
IDLE_LIMIT = 512
IDLE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers (uvicorn, Node.js) close: the hub should be the first to hang up."""
ADDRESSES_TRIED = 4
LEAST_SECONDS = 0.01
"""With less left nothing is sent: the receiver would have it, and the hub no answer."""


class Sender:
    """Posts notifications; safe to use from many tasks of one event loop.

    ``tls`` verifies receivers (``tls.tls_context()``), ``tls_by_host`` replaces it for single hosts (client
    certificates). ``resolve`` finds the addresses of a name; with a ``proxy`` nothing is resolved, it opens a tunnel.
    ``connections_per_host`` caps attempts and connections of one (scheme, host, port); more attempts wait, and waiting
    counts towards their deadline.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        tls: ssl.SSLContext | None = None,
        tls_by_host: Mapping[str, ssl.SSLContext] | None = None,
        resolve: Resolver = system_resolver,
        proxy: Proxy | None = None,
        connections_per_host: int = CONNECTIONS_PER_HOST,
        idle_limit: int = IDLE_LIMIT,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.policy = policy
        self._tls = tls or tls_context()
        self._tls_by_host = dict(tls_by_host or {})
        self._resolve = resolve
        self._proxy = proxy
        self.pool = Pool(per_host=connections_per_host, idle_limit=idle_limit, idle_seconds=idle_seconds)
        self._waits: set[asyncio.Timeout] = set()
        self._closed = False

    async def post(
        self, url: str, headers: Iterable[tuple[HeaderText, HeaderText]], body: bytes, deadline_seconds: float
    ) -> Response:
        """POST ``body`` to ``url`` within ``deadline_seconds``, from waiting for a slot to the end of the answer."""
        return await self.send("POST", url, headers, body, deadline_seconds)

    async def send(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[HeaderText, HeaderText]],
        body: bytes,
        deadline_seconds: float,
    ) -> Response:
        """As ``post``, with another ``method``."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            endpoint = check_endpoint(url, self.policy)
            request = encode_request(endpoint, headers, body, method)
            return await self._attempt(endpoint, request, started, started + deadline_seconds)
        except Unprocessable:
            failure = Failure.NOT_ALLOWED
        except ValueError:
            failure = Failure.NOT_SENDABLE
        except AttemptFailed as failed:
            failure = Failure.SENDER_CLOSED if self._closed else failed.failure
        return Response(failure=failure, duration_seconds=loop.time() - started)

    async def aclose(self) -> None:
        """Cut every attempt and connection and wait until they have ended; safe to call twice."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)
        await self.pool.aclose()

    async def _attempt(self, endpoint: Endpoint, request: bytes, began: float, deadline: float) -> Response:
        if self._closed:
            raise AttemptFailed(Failure.SENDER_CLOSED)
        lane = self.pool.enter((endpoint.scheme, endpoint.host, endpoint.port))
        try:
            if lane.slots.locked():  # else no timeout is needed: it would cost more than the rest of it
                await self._take_slot(lane, deadline)
            else:
                await lane.slots.acquire()
            try:
                connection = self.pool.take(lane) or await self._open(endpoint, deadline)
                response = await connection.exchange(request, began, deadline)
                self.pool.keep(lane, connection)
                return response
            finally:
                lane.slots.release()
        finally:
            self.pool.leave(lane)

    async def _take_slot(self, lane: Lane, deadline: float) -> None:
        async with self._within(deadline, Failure.TIMED_OUT):
            await lane.slots.acquire()
        if asyncio.get_running_loop().time() > deadline - LEAST_SECONDS:
            lane.slots.release()
            raise AttemptFailed(Failure.TIMED_OUT)

    async def _open(self, endpoint: Endpoint, deadline: float) -> Connection:
        if self._proxy:
            connection = await self._connect_to("", endpoint, deadline)
        else:
            async with self._within(deadline, Failure.NAME_NOT_RESOLVED):
                addresses = await permitted_addresses(endpoint, self.policy, self._resolve)
            connection = await self._connect(endpoint, addresses[:ADDRESSES_TRIED], deadline)
        if self._closed:
            connection.abort()
            raise AttemptFailed(Failure.SENDER_CLOSED)
        return connection

    async def _connect(self, endpoint: Endpoint, addresses: list[str], deadline: float) -> Connection:
        """The first address that answers; each has an equal share of the time left, so a dead one cannot use it up."""
        loop = asyncio.get_running_loop()
        failure = Failure.CONNECTION_FAILED
        for tried, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - tried)
            try:
                return await self._connect_to(address, endpoint, loop.time() + share)
            except AttemptFailed as failed:
                failure = failed.failure
                if failure is Failure.TLS_FAILED or self._closed:
                    break
        raise AttemptFailed(failure)

    async def _connect_to(self, address: str, endpoint: Endpoint, deadline: float) -> Connection:
        """Connect to this very address, or through the proxy; TLS is checked against the name in the URL."""
        tls = self._tls_by_host.get(endpoint.host, self._tls) if endpoint.scheme == "https" else None
        server_name = endpoint.host if tls else None
        async with self._within(deadline, Failure.TIMED_OUT):
            try:
                if self._proxy:
                    connection = self.pool.new_connection()
                    await tunnel(self._proxy, endpoint, connection, tls)
                else:
                    _, connection = await asyncio.get_running_loop().create_connection(
                        self.pool.new_connection, address, endpoint.port, ssl=tls, server_hostname=server_name
                    )
            except ssl.SSLError as error:
                raise AttemptFailed(Failure.TLS_FAILED) from error
            except OSError as error:
                raise AttemptFailed(Failure.CONNECTION_FAILED) from error
            self.pool.adopt(connection)
        return connection

    @asynccontextmanager
    async def _within(self, deadline: float, failure: Failure) -> AsyncIterator[None]:
        """A step that waits: ended by ``deadline`` or by ``aclose``, with ``failure``."""
        if self._closed:
            raise AttemptFailed(Failure.SENDER_CLOSED)
        try:
            async with asyncio.timeout_at(deadline) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError as error:
            raise AttemptFailed(failure) from error
