"""A gate between plain sockets, whose requests go to Electric at once, and how they are looked at."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import struct
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import uvloop
from yarl import URL

from shapegate_proxy import app
from shapegate_proxy.answer_cache import AnswerCache
from shapegate_proxy.collapsing import Collapsing
from shapegate_proxy.config import SharingSettings
from shapegate_proxy.electric import ElectricTimeouts
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.errors import InvalidToken
from shapegate_proxy.flights import Flight
from shapegate_proxy.front import Front
from shapegate_proxy.issuers import open_issuers
from shapegate_proxy.observe import Decision
from shapegate_proxy.revocation import UncheckedSessions
from tests.proxy.builders import (
    ACME,
    NOW,
    Clock,
    Recorder,
    bearer,
    gate_before,
)
from tests.proxy.raw import EMPTY_LOG, HEAD, SECONDS, TARGET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from shapegate_proxy.principal import Principal
    from shapegate_proxy.services import Services

    Event = Callable[["Scene", "Wire", "Wire"], Awaitable[None]]

T = TypeVar("T")
SESSION = "22222222-2222-4222-8222-222222222222"
OTHER_USER = "33333333-3333-4333-8333-333333333333"
CONDITION = 'if-none-match: "h-1:-1:0_0"'
ORG_TARGET = f"/api/electric/orgs/{ACME}/sync?table=items&offset=-1"
PART = HEAD + b"content-length: 4\r\n\r\n[1"
KEPT = EMPTY_LOG.replace(b"content-length", b"cache-control: public, max-age=60\r\ncontent-length")
LARGE = 8_000_000
"""More than all sockets hold."""


@dataclass(frozen=True)
class World:
    """How a gate under test runs."""

    loop: Callable[[], asyncio.AbstractEventLoop]
    collapse: bool
    cache_bytes: int


ON, OFF = 1_000_000, 0
WORLDS = [
    pytest.param(World(asyncio.new_event_loop, True, ON), id="shared-cached"),
    pytest.param(World(uvloop.new_event_loop, False, OFF), id="uvloop-bare"),
]


def head(*fields: str, target: str = TARGET, **claims: object) -> bytes:
    """Print a request with a good token."""
    lines = (f"GET {target} HTTP/1.1", "host: gate", f"authorization: {bearer(**claims)['authorization']}")
    return "\r\n".join((*lines, *fields, "", "")).encode()


class Wire:
    """One connection, from either end; what is sent is with the system before anything else happens."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._received = b""
        self.closed = False
        self.port: int = sock.getpeername()[1]
        self.ended = asyncio.Event()
        """Set by who reads all of it, at its end."""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            if not self.closed:
                assert self._sock.send(data) == len(data)

    async def send_all(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._sock, data)

    def hang_up(self) -> None:
        """End it while somebody reads it."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End it with RST."""
        self.closed = True
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        self.closed = True
        self._sock.close()

    async def _more(self, seconds: float = SECONDS) -> bool:
        try:
            async with asyncio.timeout(seconds):
                data = await asyncio.get_running_loop().sock_recv(self._sock, 65_536)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)

    async def came(self, part: bytes) -> None:
        """Wait for some bytes, and take nothing."""
        while part not in self._received:
            assert await self._more()

    async def until(self, end: bytes, *, seconds: float = SECONDS) -> bytes:
        """Read up to some bytes. Raises EOFError if they do not come."""
        while end not in self._received:
            if not await self._more(seconds):
                raise EOFError
        found, _, self._received = self._received.partition(end)
        return found

    def finish_sending(self) -> None:
        """Let the other side see an end, and go on to read."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    async def exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            if not await self._more():
                raise EOFError
        found, self._received = self._received[:size], self._received[size:]
        return found

    async def answered(self) -> tuple[int, bytes, str]:
        """Read one answer and its id. Raises EOFError if it is broken off."""
        lines = (await self.until(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        status, body = int(lines[0].split(" ")[1]), b""
        if fields.get("transfer-encoding") == "chunked":
            while size := int(await self.until(b"\r\n"), 16):
                body += (await self.exactly(size + 2))[:-2]
            await self.exactly(2)
        elif status != 304:
            body = await self.exactly(int(fields["content-length"]))
        return status, body, fields["x-request-id"]

    async def outcome(self) -> tuple[int, str]:
        """Read one answer: its status, and its body or its code; 0 if it is broken off."""
        try:
            status, body, _ = await self.answered()
        except EOFError:
            return 0, ""
        return status, json.loads(body)["code"] if status >= 400 and status != 409 else body.decode()


class Electric:
    """Takes connections, and says what came on which; the test answers."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.url = URL(f"http://127.0.0.1:{self._listening.getsockname()[1]}")
        self._tasks = {asyncio.create_task(self._accept())}
        self._asked: asyncio.Queue[tuple[Wire, bytes]] = asyncio.Queue()
        self.wires: list[Wire] = []
        self.obliging = False
        """Whether it answers whatever comes."""

    async def _accept(self) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listening)
            wire = Wire(sock)
            self.wires.append(wire)
            self._tasks.add(asyncio.create_task(self._read(wire)))

    async def _read(self, wire: Wire) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                asked = await wire.until(b"\r\n\r\n", seconds=10 * SECONDS)
                if self.obliging:
                    wire.send(EMPTY_LOG)
                else:
                    self._asked.put_nowait((wire, asked))
        wire.ended.set()

    async def asked(self) -> tuple[Wire, bytes]:
        """Wait for the next request."""
        async with asyncio.timeout(SECONDS):
            return await self._asked.get()

    @property
    def waiting(self) -> int:
        """How many requests came that nobody looked at."""
        return self._asked.qsize()

    def oblige(self, *unanswered: Wire) -> None:
        """Answer what is open, and whatever comes."""
        self.obliging = True
        for wire in unanswered:
            wire.send(EMPTY_LOG)
        while self._asked.qsize():
            self._asked.get_nowait()[0].send(EMPTY_LOG)

    async def rest(self, left: int) -> None:
        """Answer nothing from now on, when only so many connections are left."""
        before = len(self.wires)
        async with asyncio.timeout(SECONDS):
            with socket.socket() as last:  # Whoever dialled before it is taken before it.
                last.setblocking(False)
                await asyncio.get_running_loop().sock_connect(last, (self.url.host, self.url.port))
                port: int = last.getsockname()[1]
                while all(wire.port != port for wire in self.wires[before:]):  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
            while sum(not wire.ended.is_set() for wire in self.wires) > left:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        self.obliging = False
        while self._asked.qsize():
            self._asked.get_nowait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._listening.close()
        for wire in self.wires:
            wire.close()


@dataclass
class Scene:
    """A gate, its insides, and who speaks with it."""

    url: URL
    electric: Electric
    services: Services
    lean: LeanClient
    recorder: Recorder
    clock: Clock
    revoked: set[str | None]
    close: Callable[[], Awaitable[None]]
    clients: list[Wire] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    """What the loop was told that nobody else wanted to know."""

    async def dial(self, *, receive_bytes: int | None = None) -> Wire:
        sock = socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (self.url.host, self.url.port))
        self.clients.append(Wire(sock))
        return self.clients[-1]

    def hang_up(self) -> None:
        """End the connections of all clients."""
        for client in self.clients:
            client.close()
        self.clients.clear()

    async def pool(self, count: int) -> None:
        """Let there be so many kept connections to Electric, by requests of strangers."""
        wires = [await self.dial() for _ in range(count)]
        for number, wire in enumerate(wires):
            wire.send(head(organization_id=f"{number:08x}-cccc-4ccc-8ccc-cccccccccccc"))
        upstreams = [(await self.electric.asked())[0] for _ in wires]
        for upstream in upstreams:
            upstream.send(EMPTY_LOG)
        for wire in wires:
            assert await wire.outcome() == LOG
            wire.close()
        await self.settled()

    async def known(self, *heads: bytes, receive_bytes: int | None = None) -> list[Wire]:
        """Let each head be known, and dial for it; there are as many kept connections to Electric."""
        await self.pool(len(heads))
        wires = [await self.dial(receive_bytes=receive_bytes) for _ in heads]
        for wire, sent in zip(wires, heads, strict=True):
            wire.send(sent)
            (await self.electric.asked())[0].send(EMPTY_LOG)
            assert await wire.outcome() == LOG
        await self.settled()
        self.recorder.events.clear()
        return wires

    async def sent(self, sent: bytes | None = None, **dialled: int) -> tuple[Wire, Wire]:
        """Bring a known request to Electric; returns both ends."""
        sent = sent or head()
        (client,) = await self.known(sent, **dialled)
        client.send(sent)
        upstream, _ = await self.electric.asked()
        assert self.flying == 1
        return client, upstream

    def flight(self) -> Flight:
        """Find the one request under way without a task."""
        (found,) = self.services.held._brief
        assert isinstance(found, Flight)
        return found

    def front(self) -> Front:
        """Find the connection of the one request under way without a task."""
        found = self.flight()._ground
        assert isinstance(found, Front)
        return found

    @property
    def flying(self) -> int:
        """How many requests are under way without a task."""
        return len(self.services.held._brief)

    async def looked_at(self) -> None:
        """Wait until what is under way has a task, since it was looked at, and the task waits."""
        async with asyncio.timeout(SECONDS):
            while not self.left().get("patience"):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)

    def revoke(self, session: str = SESSION) -> None:
        """End a session, as whoever looks up sessions does."""
        self.revoked.add(session)
        self.services.held.end_sessions(
            {session}, lambda: InvalidToken("The session of this token has ended")
        )

    def left(self) -> dict[str, object]:
        """Say what is left of requests; nothing of it may be when all are over."""
        limits, held, client = self.services.limits, self.services.held, self.services.electric
        left: dict[str, object] = {
            "counts": [*limits._requests, *limits._live, *limits._initial],
            "holds": held.count,
            "connections": self.lean._connections - self.lean._idle._until.keys(),
            "patience": sum(map(len, self.lean._patience.values())),
        }
        if isinstance(client, AnswerCache):
            left["fills"] = len(client._fills) + client._filling_bytes
            client = client._client
        if isinstance(client, Collapsing):
            left["exchanges"] = client.running + len(client._joinable)
        return {name: found for name, found in left.items() if found}

    async def settled(self) -> None:
        """Wait until nothing is under way; nothing may be left then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while self.left():  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
        assert self.left() == {}
        assert self.errors == []

    async def told(self, *expected: tuple[str, str]) -> None:
        """Look at what the observer heard: each request once."""
        await self.settled()
        events = self.recorder.events
        assert [(event.decision, event.code) for event in events] == list(expected)
        assert len({event.request_id for event in events}) == len(events)

    async def serves(self, *unanswered: Wire) -> None:
        """See that the same request is answered as if nothing had been, after what is open at Electric."""
        self.revoked.clear()
        self.clock.now = NOW
        self.electric.oblige(*unanswered)
        client = await self.dial()
        client.send(head())
        assert await client.outcome() == (200, "[]")
        await self.settled()


@asynccontextmanager
async def opened(world: World, folder: Path, **changes: Any) -> AsyncIterator[Scene]:
    """Run a gate; `changes` are settings of it, and `timeouts` of its client."""
    timeouts = ElectricTimeouts(**changes.pop("timeouts", {}))
    made: list[Any] = []
    revoked: set[str | None] = set()

    def connect(url: URL) -> LeanClient:
        client = LeanClient(url, timeouts)
        made.append(client)
        return client

    def remember(services: Services) -> Any:
        made.append(services)
        return create_app(services)

    async def confirm(_: UncheckedSessions, who: Principal) -> None:
        if who.session in revoked:
            raise InvalidToken("The session of this token has ended")

    create_app = app.create_app
    sharing = SharingSettings(collapse=world.collapse, cache_bytes=world.cache_bytes)
    electric = Electric()
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(app, "create_app", remember)
        patch.setattr(app, "open_issuers", lambda configs, **_: open_issuers(configs, sessions=True))
        patch.setattr(UncheckedSessions, "confirm", confirm)
        patch.setattr(UncheckedSessions, "believes", lambda _, who: who.session not in revoked)
        stack.push_async_callback(electric.close)
        inner = await stack.enter_async_context(AsyncExitStack())
        running = await inner.enter_async_context(
            gate_before(electric.url, folder, [], connect=connect, sharing=sharing, **changes)
        )
        lean, services = made
        scene = Scene(
            running.url, electric, services, lean, running.recorder, running.clock, revoked, inner.aclose
        )
        asyncio.get_running_loop().set_exception_handler(lambda _, told: scene.errors.append(told))
        stack.callback(scene.hang_up)
        yield scene
        scene.hang_up()
        await inner.aclose()
        await scene.settled()
        assert lean._connections == set()
        others = asyncio.all_tasks() - electric._tasks - {asyncio.current_task()}
        assert {task for task in others if "wait_for" not in repr(task)} == set()
        gc.collect()  # Who was never awaited says so.


def played(world: World, folder: Path, scenario: Callable[[Scene], Awaitable[None]], **changes: Any) -> None:
    """Play a scenario in a world."""

    async def play() -> None:
        async with asyncio.timeout(12 * SECONDS), opened(world, folder, **changes) as scene:
            await scenario(scene)

    with asyncio.Runner(loop_factory=world.loop) as runner:
        runner.run(play())


# A request that is sent, and is not answered: what may happen, what the client gets, what is told.


def error(status: bytes, told: bytes = b"{}") -> bytes:
    start = b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    return start + b"content-length: %d\r\n\r\n" % len(told) + told


def refused(status: int, code: str) -> tuple[tuple[int, str], tuple[str, str]]:
    return (status, code), (Decision.REFUSED, code)


LOG, BROKEN = (200, "[]"), (0, "")
SERVED, GONE = (Decision.SERVED, "served"), (Decision.GONE, "gone")
UNREACHABLE = refused(502, "electric_unreachable")


def lose_electric(scene: Scene) -> None:
    for connection in tuple(scene.lean._connections):
        connection.abort()
