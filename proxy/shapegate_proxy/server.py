"""The edge of the HTTP server: what happens to connections before there is a request, on aiohttp.

A head is bounded in time, connections are bounded in number: when all are taken, one that idles makes room
(SECURITY I-08, I-19).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

from shapegate_proxy.connection import Connection, refusal
from shapegate_proxy.errors import UnmetExpectation

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import AsyncIterator

    from aiohttp.web_request import BaseRequest


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


@asynccontextmanager
async def serve_app(
    app: web.Application, settings: ServerSettings, *, log: logging.Logger
) -> AsyncIterator[URL]:
    """Serve inside of the block; yields the URL (a port of 0 picks a free one).

    Raises OSError if the address cannot be bound.
    """
    runner = _Runner(app, settings, log)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        yield URL.build(scheme="http", host=host, port=port)
    finally:
        await runner.cleanup()


class _Runner(web.AppRunner):
    def __init__(self, app: web.Application, settings: ServerSettings, log: logging.Logger) -> None:
        super().__init__(app, shutdown_timeout=settings.drain_seconds)
        self._settings = settings
        self._log = log

    async def _make_server(self) -> web.Server:
        return _Server(self._settings, await super()._make_server(), self._log)


class _Server(web.Server):
    """Makes connections of ours, and counts them."""

    def __init__(self, settings: ServerSettings, app: web.Server, log: logging.Logger) -> None:
        super().__init__(self._answer, request_factory=app.request_factory, handler_cancellation=True)
        self._settings = settings
        self._handle = app.request_handler
        self._log = log
        self._count = 0
        self._idle: dict[web.RequestHandler, None] = {}
        """Connections without a request under way; who idles longest is first."""

    def __call__(self) -> web.RequestHandler:
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
        self._count += 1
        if self._count > self._settings.connections_max and not self._made_room():
            transport.abort()
        else:
            self._idle[handler] = None

    def _made_room(self) -> bool:
        """Close a connection that nobody waits at; so idle ones keep nobody out, whoever opened them."""
        longest = next(iter(self._idle), None)
        if longest is None:
            return False
        del self._idle[longest]
        if longest.transport is not None:
            longest.transport.abort()
        return True

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._count -= 1
        self._idle.pop(handler, None)
        super().connection_lost(handler, exc)

    async def _answer(self, request: BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._idle.pop(connection, None)
        try:
            response = await self._handle(request)
        except web.HTTPExpectationFailed:  # aiohttp's, before any middleware; it quotes the header
            refused = UnmetExpectation("This expectation cannot be met")
            response = refusal(refused, self._settings.origins, request)
        finally:
            if connection.connected:
                self._idle[connection] = None
        if "transfer-encoding" in request.headers:
            # aiohttp's parser takes the last trailer of chunks for a header of the next request on the
            # connection, an Authorization too; so there is none.
            response.force_close()
        return response
