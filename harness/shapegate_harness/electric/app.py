"""The HTTP face: routes, the secret, bodies, and errors as Electric answers them (PROTOCOL 1.1, 1.5, 2.3)."""

from __future__ import annotations

import asyncio
import hmac
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from aiohttp import hdrs, web

from shapegate_harness.electric import answer
from shapegate_harness.electric.admission import Admission
from shapegate_harness.electric.answer import FRAMEWORK_CACHE, JSON_TYPE, Answer
from shapegate_harness.electric.body import Body, Malformed, parse_body
from shapegate_harness.electric.errors import (
    Failed,
    Overloaded,
    Rejected,
    RejectedSubset,
    Unavailable,
    Undecodable,
)
from shapegate_harness.electric.faulty import Faulty
from shapegate_harness.electric.query import decode_query, parse_query
from shapegate_harness.electric.reply import (
    METHODS,
    READ_METHODS,
    Connections,
    drop_defaults,
    reply,
    reply_bare,
    with_cors,
)
from shapegate_harness.electric.sse import EventStream, send
from shapegate_wire import names

if TYPE_CHECKING:
    from shapegate_harness.electric.engine import Engine
    from shapegate_harness.electric.serving import Serving
    from shapegate_harness.electric.settings import ElectricSettings

logger = logging.getLogger(__name__)

REQUEST_LINE_BYTES_MAX: Final = 10_000
_SHAPE: Final = ["v1", "shape"]
_SHAPE_METHODS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST, hdrs.METH_DELETE})
_PREFLIGHT_HEADERS: Final = frozenset({"if-none-match", "traceparent"})


class Handlers:
    """Answers requests; made once per server."""

    def __init__(
        self, engine: Engine, serving: Serving, *, secret: str | None, settings: ElectricSettings
    ) -> None:
        self._engine = engine
        self._serving = serving
        self._secret = secret
        self._settings = settings
        self._admission = Admission(settings)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request; the one place where unexpected failures end."""
        try:
            return await self._route(request)
        except Exception:
            if request.writer.output_size:
                raise  # An event stream is under way: all that is left is to end it.
            logger.exception("a request failed")
            return reply(request, with_cors(request, METHODS, _internal_error()))

    async def _route(self, request: web.Request) -> web.StreamResponse:
        raw_path, _, query = request.raw_path.partition("?")
        line_bytes = len(f"{request.method} {request.raw_path} HTTP/1.1".encode("utf-8", "surrogateescape"))
        if line_bytes > REQUEST_LINE_BYTES_MAX:
            await reply_bare(request, "HTTP/1.0 414 Request-URI Too Long")
        path = split_path(raw_path)
        if path == _SHAPE and request.method == hdrs.METH_OPTIONS:
            return _preflight(request)
        if path == _SHAPE and request.method in _SHAPE_METHODS:
            return await self._shape(request, query)
        found = self._health() if path == ["v1", "health"] else _root() if not path else _not_found()
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            found = _not_found()
        return reply(request, with_cors(request, READ_METHODS, found))

    async def _shape(self, request: web.Request, query: str) -> web.StreamResponse:
        try:
            values = decode_query(query)
        except Undecodable:
            await reply_bare(request, "HTTP/1.1 400 Bad Request")
        except Rejected as exc:
            return reply(request, with_cors(request, METHODS, answer.invalid(exc.problems)))
        if not self._authorised(values):
            return reply(request, _unauthorised())
        body = await self._body(request) if request.method == hdrs.METH_POST else None
        if isinstance(body, Answer):
            return reply(request, with_cors(request, METHODS, body))
        try:
            with self._admission.place(existing=self._engine.knows(values.get(names.HANDLE, ""))):
                found = await self._answer(request, values, body)
                if isinstance(found, EventStream):
                    head = _for_method(request, found.head)
                    return await send(
                        request,
                        head,
                        self._serving.events(found),
                        send_seconds=self._settings.send_seconds,
                    )
        except Overloaded as exc:
            found = answer.overloaded(exc)
        return reply(request, with_cors(request, METHODS, _for_method(request, found)))

    async def _answer(
        self, request: web.Request, values: dict[str, str], body: Body | None
    ) -> Answer | EventStream:
        if request.method == hdrs.METH_DELETE:
            return answer.failure(405, {"message": "DELETE not allowed"})
        may_revalidate = request.method != hdrs.METH_POST
        if_none_match = ", ".join(request.headers.getall(hdrs.IF_NONE_MATCH, ())) if may_revalidate else None
        try:
            return await self._serving.serve(parse_query(values, body), if_none_match=if_none_match)
        except Rejected as exc:
            return answer.invalid(exc.problems)
        except RejectedSubset as exc:
            return answer.invalid({"subset": exc.problems})
        except Unavailable as exc:
            return answer.failure(503, {"message": str(exc)}, retry_after_seconds=exc.retry_after_seconds)
        except Failed as exc:
            return answer.failure(500, {"message": str(exc)})

    async def _body(self, request: web.Request) -> Body | Answer:
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                parsed = parse_body(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return answer.malformed_body(413, {"error": "Request body too large"})
        except (TimeoutError, web.RequestPayloadError):
            return answer.malformed_body(400, {"error": "Failed to read request body"})
        except Rejected as exc:
            return _for_method(request, answer.invalid(exc.problems))
        return answer.malformed_body(400, parsed.problem) if isinstance(parsed, Malformed) else parsed

    def _authorised(self, values: dict[str, str]) -> bool:
        if self._secret is None:
            return True
        given = values.get(names.SECRET) or values.get(names.API_SECRET) or ""
        return hmac.compare_digest(given.encode(), self._secret.encode())

    def _health(self) -> Answer:
        active = self._engine.active
        return Answer(
            status=200 if active else 202,
            headers={
                names.CACHE_CONTROL: "no-cache, no-store, must-revalidate",
                "content-type": JSON_TYPE,
            },
            body=b'{"status":"active"}' if active else b'{"status":"starting"}',
        )


def split_path(raw_path: str) -> list[str]:
    """Decode and normalise a path, as Electric does before it routes."""
    return [part for part in unquote(raw_path).split("/") if part]


def _for_method(request: web.Request, found: Answer) -> Answer:
    """Keep what answers a POST or DELETE out of caches, whatever it is."""
    if request.method not in (hdrs.METH_POST, hdrs.METH_DELETE):
        return found
    kept = {name: value for name, value in found.headers.items() if name != "surrogate-control"}
    return replace(found, headers={**kept, names.CACHE_CONTROL: "no-cache"})


def _root() -> Answer:
    return Answer(status=200, headers={names.CACHE_CONTROL: FRAMEWORK_CACHE})


def _not_found() -> Answer:
    return Answer(status=404, headers={names.CACHE_CONTROL: FRAMEWORK_CACHE}, body=b"Not found")


def _unauthorised() -> Answer:
    """Electric refuses before it sets CORS headers or a type (recorded)."""
    return Answer(
        status=401,
        headers={names.CACHE_CONTROL: FRAMEWORK_CACHE},
        body=b'{"message":"Unauthorized - Invalid API secret"}',
    )


def _internal_error() -> Answer:
    return answer.failure(500, {"error": "Internal server error"})


def _preflight(request: web.Request) -> web.Response:
    found = with_cors(request, METHODS, Answer(status=204))
    headers = {**found.headers, "access-control-max-age": "86400", "connection": "keep-alive"}
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    if asked.lower() in _PREFLIGHT_HEADERS:  # Electric compares the whole value, it does not split it.
        headers["access-control-allow-headers"] = asked
    response = reply(request, Answer(status=204, headers=headers))
    del response.headers[hdrs.VARY]
    return response


def make_app(
    engine: Engine, serving: Serving, *, secret: str | None, settings: ElectricSettings
) -> web.Application:
    """Make the application; one route, since Electric matches decoded and normalised paths."""
    middlewares = [Faulty().middleware] if settings.faults else []
    app = web.Application(client_max_size=settings.body_bytes_max, middlewares=middlewares)
    handlers = Handlers(engine, serving, secret=secret, settings=settings)
    app.router.add_route("*", "/{path:.*}", handlers.handle)
    app.on_response_prepare.append(drop_defaults)
    app.on_response_prepare.append(Connections(settings.requests_per_connection_max).count)
    return app
