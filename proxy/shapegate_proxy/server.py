"""The edge of the HTTP server: what happens to a connection before there is a request, on aiohttp.

A head is bounded in time and in size, connections are bounded in number, and what cannot be read is answered
in JSON without quoting it, after which the connection ends (SECURITY I-08, I-10, I-19; REQUIREMENTS P-52).
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from yarl import URL

from shapegate_proxy import answers
from shapegate_proxy.errors import (
    HeadersTooLarge,
    InternalError,
    Refused,
    RequestTooLong,
    UnmetExpectation,
    UnreadableRequest,
)
from shapegate_proxy.logs import LogEvent

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator

    from aiohttp.web_request import BaseRequest

LINE_BYTES_MAX: Final = 32 * 1024
"""Above the gate's own bound on request targets, so that the gate answers most of them (DESIGN 13)."""
FIELD_BYTES_MAX: Final = 16 * 1024
"""One header; above the longest token, so that the gate says what is wrong with it."""
FIELDS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server listens and how much it bears."""

    host: str
    port: int
    origins: frozenset[str]
    """Exact origins of browsers that may read answers."""
    idle_seconds: float
    """How long a connection may take to send the head of its first or next request."""
    connections_max: int
    """One more is closed at once."""
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
        return _Server(
            self._settings,
            await super()._make_server(),
            access_log=None,
            logger=self._log,
            keepalive_timeout=self._settings.idle_seconds,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
            auto_decompress=False,
        )


class _Server(web.Server):
    """Makes connections of ours, and counts them."""

    def __init__(self, settings: ServerSettings, app: web.Server, **connection: Any) -> None:
        super().__init__(self._answer, request_factory=app.request_factory, handler_cancellation=True)
        self.origins = settings.origins
        self._handle = app.request_handler
        self._connections_max = settings.connections_max
        self._connection = connection
        self._count = 0

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, **self._connection)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        # Let the idle deadline hold for the first head too; aiohttp arms it after the first request only.
        handler.keep_alive(True)
        self._count += 1
        if self._count > self._connections_max:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._count -= 1
        super().connection_lost(handler, exc)

    async def _answer(self, request: BaseRequest) -> web.StreamResponse:
        try:
            response = await self._handle(request)
        except web.HTTPExpectationFailed:  # aiohttp's, before any middleware; it quotes the header
            response = _response(UnmetExpectation("This expectation cannot be met"), self.origins, request)
        if "transfer-encoding" in request.headers:
            # aiohttp's parser takes the last trailer of chunks for a header of the next request on the
            # connection, an Authorization too; so there is none.
            response.force_close()
        return response


class _Connection(web.RequestHandler):
    """One connection; what aiohttp would answer by itself is answered as the gate does."""

    def __init__(self, server: _Server, **settings: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._origins = server.origins

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,  # noqa: ARG002  # the exception says more
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # quotes what was sent
    ) -> web.StreamResponse:
        """Answer what the parser could not read, or what escaped every handler, and close."""
        refused = _unreadable(exc)
        if isinstance(refused, InternalError):
            self.log_exception("An error escaped the boundary", exc_info=exc)
        else:
            self.logger.info(LogEvent(name="request_unreadable", fields={"code": refused.code}))
        if request.writer.output_size > 0:
            raise ConnectionError("An answer is under way: it can only be broken off")
        response = _response(refused, self._origins, request)
        response.force_close()
        return response


def _unreadable(exc: BaseException | None) -> Refused:
    match exc:
        case LineTooLong(args=(_, limit, *_)) if limit == LINE_BYTES_MAX:
            return RequestTooLong(f"The request line is longer than {LINE_BYTES_MAX} bytes")
        case LineTooLong():
            return HeadersTooLarge(f"A header is longer than {FIELD_BYTES_MAX} bytes")
        case BadHttpMessage(message=message) if message.startswith("Too many headers"):
            return HeadersTooLarge(f"The request has more than {FIELDS_MAX} headers")
        case HttpProcessingError():
            return UnreadableRequest("This is no HTTP request that the gate reads")
        case _:
            return InternalError("Something went wrong inside of the gate")


def _response(refused: Refused, origins: frozenset[str], request: BaseRequest) -> web.Response:
    """Print a refusal; where the head was not read, the one page that may ask is taken for the asking one."""
    origin = request.headers.get("origin") or (next(iter(origins)) if len(origins) == 1 else None)
    request_id = uuid.uuid4().hex
    return web.Response(
        status=refused.status,
        body=answers.error_body(refused, request_id),
        content_type="application/json",
        headers={
            **answers.cors_headers(origin, origins),
            **answers.plain_headers(request_id),
            "cache-control": answers.NO_STORE,
        },
    )
