"""The door for websockets: ``{base}/websocket``. Whose it is, is said by a token in its first frame (S-159…S-169).

    4400  a frame of bytes                              4429  too many frames
    4401  a token that is not, or no longer, valid      1009  a frame that is too large
    4408  nothing was bound in time                     1011  pings were not answered; or a fault of the hub
    4409  bound by another socket now                   1012  the hub restarts
    4410  nothing is left: off or deleted               1013  the store is away: come again later

Each is told before in an OperationOutcome, save the last four. Too slow a reader is cut without a word: no word would
reach it. In every case the events wait, and the next socket goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from hub.api.origins import Origins
from hub.api.server import DEV_HEADER
from hub.api.wire import headers_of
from hub.channels.websocket_server import CUT
from hub.delivery.listening import Listening
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Malformed, Refused, Unauthorised, Unavailable
from hub.fhir.json import write_json
from hub.fhir.outcomes import operation_outcome
from hub.fhir.socket_frames import BindWithToken, ClassicBind, Ping, UnbindFromToken, read_client_frame
from hub.intake.binding import BindingService

log = logging.getLogger(__name__)

PATHS = {f"{version.path}/websocket": version for version in FhirVersion}
BYTES, TOKEN, NOT_BOUND, FLOOD, FAULT, LATER = 4400, 4401, 4408, 4429, 1011, 1013
TELL_SECONDS = 5.0
"""For an OperationOutcome or a close frame; a socket that does not take it by then is cut."""
MOST_FRAMES_AT_ONCE = 50
FRAMES_PER_SECOND = 5.0


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """``most`` sockets of one process; ``bind_seconds`` until one must be bound to something."""

    most: int = 10_000
    bind_seconds: float = 10.0


@dataclass(slots=True, eq=False)
class OpenSocket:
    """One accepted socket. Frames go out one after another, each when the one before has been taken by the system."""

    _send: Send
    _cut: Callable[[], None]
    closed: bool = False
    tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Tokens that were redeemed here, for unbind-from-token."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def write(self, text: str, seconds: float) -> bool:
        """False when it has ended, or did not take the frame in time and was cut."""
        if self.closed:
            return False
        deadline = asyncio.get_running_loop().call_later(seconds, self._give_up, seconds)
        try:
            async with self._turn:
                if self.closed:  # while it waited for its turn
                    return False
                await self._send({"type": "websocket.send", "text": text})
        except OSError:  # the client has gone, or was cut
            self.closed = True
            return False
        finally:
            deadline.cancel()
        return True

    def _give_up(self, seconds: float) -> None:
        log.info("a socket was too slow and was cut", extra={"seconds": round(seconds, 3)})
        self.cut()

    async def tell(self, *issues: Issue) -> None:
        """Send an OperationOutcome."""
        await self.write(write_json(operation_outcome(issues)).decode(), TELL_SECONDS)

    async def close(self, code: int, reason: str) -> None:
        if self.closed:
            return
        try:
            async with asyncio.timeout(TELL_SECONDS), self._turn:
                self.closed = True
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (TimeoutError, OSError):
            self.cut()

    def cut(self) -> None:
        self.closed = True
        self._cut()


class Allowance:
    """How many frames a client may send: ``MOST_FRAMES_AT_ONCE``, and then so many a second."""

    def __init__(self) -> None:
        self._left = float(MOST_FRAMES_AT_ONCE)
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(MOST_FRAMES_AT_ONCE, self._left + (now - self._at) * FRAMES_PER_SECOND) - 1
        self._at = now
        return self._left >= 0


class WebSocketDoor:
    """Accepts sockets and reads what clients write. ``tokenless``: classic ``bind ID`` is answered (ruling 29)."""

    def __init__(
        self,
        bindings: BindingService,
        listening: Listening,
        origins: Origins,
        limits: SocketLimits,
        tenant: str,
        *,
        tokenless: bool,
        open_to_all: bool,
    ) -> None:
        self._bindings = bindings
        self._listening = listening
        self._origins = origins
        self._limits = limits
        self._tenant = tenant
        self._tokenless = tokenless
        self._headers = [(DEV_HEADER.lower().encode(), b"1")] if open_to_all else []
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        base = PATHS.get(scope["path"].rstrip("/"))
        if base is None:
            await self._reject(send, 404, Issue("not-found", f"websockets are served at {', '.join(PATHS)}"))
        elif not self._origins.allows(origin, host):
            issue = Issue("security", "pages of this origin may not come in; HUB_ALLOWED_ORIGINS lists who may")
            await self._reject(send, 403, issue)
        elif self._open >= self._limits.most:
            await self._reject(send, 503, Issue("throttled", "there are too many sockets; come again later"))
        else:
            self._open += 1
            try:
                await self._serve(scope, receive, send, base)
            finally:
                self._open -= 1

    async def _reject(self, send: Send, status: int, issue: Issue) -> None:
        body = write_json(operation_outcome([issue]))
        headers = [*self._headers, (b"content-type", b"application/fhir+json;charset=utf-8")]
        if status == 503:
            headers.append((b"retry-after", b"2"))
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def _serve(self, scope: Scope, receive: Receive, send: Send, base: FhirVersion) -> None:
        await receive()
        try:
            await send({"type": "websocket.accept", "headers": self._headers})
        except OSError:  # it left while it was being let in
            return
        socket = OpenSocket(send, scope["extensions"][CUT])
        try:
            await self._converse(socket, receive, base)
        except TimeoutError:
            seconds = f"{self._limits.bind_seconds:g}"
            await self._refuse(socket, NOT_BOUND, Issue("timeout", f"nothing was bound for {seconds} seconds"))
        except Unauthorised as problem:
            await self._refuse(socket, TOKEN, *problem.issues)
        except Unavailable as problem:
            log.warning("a socket could not be served", extra={"reason": str(problem)})
            await socket.close(LATER, "the store is away")
        except Exception:  # a fault of ours: the client gets a code, the log gets the reason
            log.exception("a socket failed inside the hub")
            await socket.close(FAULT, "a fault of the hub")
        finally:
            socket.closed = True
            await self._release(socket)

    async def _refuse(self, socket: OpenSocket, code: int, *issues: Issue) -> None:
        await socket.tell(*issues)
        await socket.close(code, issues[0].code)

    async def _release(self, socket: OpenSocket) -> None:
        try:
            await self._listening.release(socket)
        except Unavailable as problem:  # the next attempt finds nobody, and that is written then
            log.warning("a closed socket stands in the store", extra={"reason": str(problem)})

    async def _converse(self, socket: OpenSocket, receive: Receive, base: FhirVersion) -> None:
        """Read frames until it is closed. Raises TimeoutError when nothing has been bound for too long."""
        allowance, loop = Allowance(), asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.bind_seconds) as patience:
            while not socket.closed:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                if not allowance.take():
                    await self._refuse(socket, FLOOD, Issue("throttled", "too many frames"))
                    return
                written = message.get("text")
                if written is None:
                    await self._refuse(socket, BYTES, Issue("structure", "write frames of text, not of bytes"))
                    return
                before = patience.when()
                patience.reschedule(None)  # handshakes and missed events have deadlines of their own
                await self._take(socket, base, written)
                if not self._listening.has_any(socket):
                    patience.reschedule(before or loop.time() + self._limits.bind_seconds)

    async def _take(self, socket: OpenSocket, base: FhirVersion, written: str) -> None:
        try:
            match read_client_frame(written):
                case BindWithToken(token, seen):
                    await self._bind(socket, token, seen)
                case UnbindFromToken(token):
                    await self._listening.release(socket, socket.tokens.pop(token, ()))
                case ClassicBind(identity):
                    await self._bind_classic(socket, base, identity)
                case Ping():
                    await socket.write('{"type":"pong"}', TELL_SECONDS)
        except Unauthorised:
            raise
        except Refused as problem:
            await socket.tell(*problem.issues)

    async def _bind(self, socket: OpenSocket, token: str, seen: dict[str, int]) -> None:
        permission = await self._bindings.redeem(token)
        ids = {name.rpartition("|")[2]: name for name in permission.subscriptions}
        unknown = sorted(seen.keys() - ids.keys())
        if unknown:
            raise Unauthorised(f"this token is not for Subscription/{unknown[0]}", code="security")
        socket.tokens[token] = permission.subscriptions
        await self._listening.bind(socket, [(name, seen.get(identity)) for identity, name in ids.items()])

    async def _bind_classic(self, socket: OpenSocket, base: FhirVersion, identity: str) -> None:
        if not self._tokenless:
            raise Malformed(
                "bind without a token is switched off here (HUB_CLASSIC_WEBSOCKET); use $get-ws-binding-token",
                code="security",
            )
        await self._listening.bind(socket, [(await self._bindings.classic(self._tenant, base, identity), None)])
