"""The edge of the HTTP server: what happens to connections before there is a request, on aiohttp.

A head is bounded in time, connections are bounded in number: when all are taken, one that idles makes room
(SECURITY I-08, I-19).
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web
from yarl import URL

from shapegate_proxy.connection import Connection, refusal
from shapegate_proxy.descriptors import OpenFiles
from shapegate_proxy.errors import UnmetExpectation
from shapegate_proxy.front import Front, FrontSettings
from shapegate_proxy.places import Places
from shapegate_proxy.plain_head import HeadReader

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.web_request import BaseRequest

    from shapegate_proxy.admissions import Admission, Admissions
    from shapegate_proxy.incoming import Ground, Incoming, Responder, UnderWay
    from shapegate_proxy.places import Connected
    from shapegate_proxy.printed_head import HeadPrinter


@dataclass(frozen=True, slots=True, kw_only=True)
class ServePlain:
    """Who answers plain requests; see `FrontSettings`."""

    admissions: Admissions
    printer: HeadPrinter
    serve: Callable[[Incoming, Responder], Awaitable[None]]
    at_once: Callable[[Admission, Callable[[bytes], object]], bool] | None
    begin: Callable[[Admission, Ground], UnderWay | None]


BACKLOG: Final = 4_096
"""Connections that wait to be accepted: all clients come back at once when a gate was away. The system bounds
it too (net.core.somaxconn)."""

ACCEPTS_MAX: Final = 16
"""So many are accepted before everything else is looked at, by asyncio, which takes the backlog for this too:
more would be open files above those allowed, until who makes room for them is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server listens and how much it bears."""

    host: str
    port: int
    origins: frozenset[str]
    """Exact origins of browsers that may read answers."""
    idle_seconds: float
    """How long a connection may take to send the head of its first or next request."""
    stall_seconds: float
    """How long a client may take nothing of the answer that is being sent."""
    connections_max: int
    """For one more the connection that idled longest is closed, or itself if none idles."""
    drain_seconds: float
    """How long a stop waits for answers under way."""
    reuse_port: bool = False
    """Whether other processes may listen on the same address, each for a part of the connections."""


@asynccontextmanager
async def serve_app(
    app: web.Application,
    settings: ServerSettings,
    *,
    log: logging.Logger,
    plain: ServePlain | None = None,
    files: OpenFiles | None = None,
) -> AsyncIterator[URL]:
    """Serve inside of the block; yields the URL (a port of 0 picks a free one).

    `plain` answers plain requests for shapes, past aiohttp (see `front`). `files` are those that connections
    share with others; None is for a server that has its own.

    Raises OSError if the address cannot be bound.
    """
    runner = _Runner(app, settings, log, plain, files or OpenFiles(settings.connections_max))
    await runner.setup()
    try:
        site = web.TCPSite(
            runner,
            settings.host,
            settings.port,
            backlog=ACCEPTS_MAX,
            reuse_port=settings.reuse_port or None,
        )
        await site.start()
        _let_wait(site)
        host, port = runner.addresses[0][:2]
        yield URL.build(scheme="http", host=host, port=port)
    finally:
        await runner.cleanup()


def _let_wait(site: web.BaseSite) -> None:
    """Let as many connections wait to be accepted as the system allows."""
    server = site._server  # aiohttp has no other way to its sockets, and uvloop no class for them
    for listening in getattr(server, "sockets", ()):
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(BACKLOG)


class _Runner(web.AppRunner):
    def __init__(
        self,
        app: web.Application,
        settings: ServerSettings,
        log: logging.Logger,
        plain: ServePlain | None,
        files: OpenFiles,
    ) -> None:
        super().__init__(app, shutdown_timeout=settings.drain_seconds)
        self._settings = settings
        self._log = log
        self._plain = plain
        self._files = files

    async def _make_server(self) -> web.Server:
        return _Server(self._settings, await super()._make_server(), self._log, self._plain, self._files)


class _Server(web.Server):
    """Makes connections of ours, and counts them."""

    def __init__(
        self,
        settings: ServerSettings,
        app: web.Server,
        log: logging.Logger,
        plain: ServePlain | None,
        files: OpenFiles,
    ) -> None:
        super().__init__(self._answer, request_factory=app.request_factory, handler_cancellation=True)
        self._settings = settings
        self._handle = app.request_handler
        self._log = log
        self._places = Places(settings.connections_max, files, busy=_flying)
        self._fronts: set[Front] = set()
        self._front = None if plain is None else self._front_settings(plain)

    def _front_settings(self, plain: ServePlain) -> FrontSettings:
        return FrontSettings(
            places=self._places,
            reader=HeadReader(),
            recall=plain.admissions.recall,
            printer=plain.printer,
            serve=plain.serve,
            at_once=plain.at_once,
            begin=plain.begin,
            give=self._connection,
            idle_seconds=self._settings.idle_seconds,
            stall_seconds=self._settings.stall_seconds,
            log=self._log,
            fronts=self._fronts,
        )

    def __call__(self) -> web.RequestHandler:
        if self._front is None:
            return self._connection()
        return Front(self._front)  # type: ignore[return-value]  # asyncio asks for a protocol only

    def _connection(self) -> web.RequestHandler:
        return Connection(
            self,
            origins=self._settings.origins,
            stall_seconds=self._settings.stall_seconds,
            keepalive_timeout=self._settings.idle_seconds,
            access_log=None,
            logger=self._log,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        # Let the idle deadline hold for the first head too; aiohttp arms it after the first request only.
        handler.keep_alive(True)
        if not self._places.enter(handler):
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._places.leave(handler)
        super().connection_lost(handler, exc)

    def pre_shutdown(self) -> None:
        """Close what idles; what does not closes after its answer."""
        super().pre_shutdown()
        for front in tuple(self._fronts):
            front.stop()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait for answers under way, then end them."""
        seconds = 0.0 if timeout is None else timeout
        await asyncio.gather(
            super().shutdown(timeout), *(front.finish(seconds=seconds) for front in tuple(self._fronts))
        )

    async def _answer(self, request: BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._places.begin(connection)
        try:
            response = await self._handle(request)
        except web.HTTPExpectationFailed:  # aiohttp's, before any middleware; it quotes the header
            refused = UnmetExpectation("This expectation cannot be met")
            response = refusal(refused, self._settings.origins, request)
        finally:
            self._places.end(connection)
        if "transfer-encoding" in request.headers:
            # aiohttp's parser takes the last trailer of chunks for a header of the next request on the
            # connection, an Authorization too; so there is none.
            response.force_close()
        return response


def _flying(connected: Connected) -> bool:
    return isinstance(connected, Front) and connected.flying
