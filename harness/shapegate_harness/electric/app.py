"""The HTTP face: routes, the secret, CORS, and errors as Electric answers them (PROTOCOL 1.1, 1.5, 2.3)."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from aiohttp import hdrs, web

from shapegate_harness.electric import answer
from shapegate_harness.electric.answer import FRAMEWORK_CACHE, JSON_TYPE, Answer
from shapegate_harness.electric.errors import Failed, Rejected, Unavailable, rejected
from shapegate_harness.electric.query import decode_query, parse_query
from shapegate_wire import names

if TYPE_CHECKING:
    from shapegate_harness.electric.engine import Engine
    from shapegate_harness.electric.serving import Serving

logger = logging.getLogger(__name__)

REQUEST_LINE_BYTES_MAX: Final = 10_000
_SERVER: Final = f"shapegate-dev/{version('shapegate')}"
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{20,200}")
"""Electric echoes an id of such a length and makes its own otherwise."""
_METHODS: Final = "GET, POST, HEAD, DELETE, OPTIONS"
_READ_METHODS: Final = "GET, HEAD"
_SHAPE_METHODS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST, hdrs.METH_DELETE})
_EXPOSED: Final = ",".join(
    (
        names.ELECTRIC_CURSOR,
        names.ELECTRIC_HANDLE,
        names.ELECTRIC_HAS_DATA,
        names.ELECTRIC_OFFSET,
        names.ELECTRIC_SCHEMA,
        names.ELECTRIC_UP_TO_DATE,
        names.ELECTRIC_KNOWN_ERROR,
        names.RETRY_AFTER,
    )
)
_PREFLIGHT_HEADERS: Final = frozenset({"if-none-match", "traceparent"})


class Handlers:
    """Answers requests; made once per server."""

    def __init__(self, engine: Engine, serving: Serving, secret: str | None) -> None:
        self._engine = engine
        self._serving = serving
        self._secret = secret

    async def handle(self, request: web.Request) -> web.Response:
        """Answer any request; the one place where unexpected failures end."""
        try:
            return await self._route(request)
        except Exception:
            logger.exception("a request failed")
            return _respond(request, _with_cors(request, _METHODS, _internal_error()))

    async def _route(self, request: web.Request) -> web.Response:
        raw_path, _, query = request.raw_path.partition("?")
        line_bytes = len(f"{request.method} {request.raw_path} HTTP/1.1".encode("utf-8", "surrogateescape"))
        if line_bytes > REQUEST_LINE_BYTES_MAX:
            # Electric's 414 is a bare HTTP/1.0 status line and a reset, which aiohttp cannot send.
            long = answer.failure(
                414, {"message": f"The request line has more than {REQUEST_LINE_BYTES_MAX} bytes"}
            )
            return _respond(request, _with_cors(request, _METHODS, long))
        path = [part for part in unquote(raw_path).split("/") if part]
        if path == ["v1", "shape"] and request.method == hdrs.METH_OPTIONS:
            return _preflight(request)
        if path == ["v1", "shape"] and request.method in _SHAPE_METHODS:
            return await self._shape(request, query)
        found = self._health() if path == ["v1", "health"] else _root() if not path else _not_found()
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            found = _not_found()
        return _respond(request, _with_cors(request, _READ_METHODS, found))

    async def _shape(self, request: web.Request, query: str) -> web.Response:
        try:
            values = decode_query(query)
            if not self._authorised(values):
                return _respond(request, _unauthorised())
            found = await self._answer(request, values)
        except Rejected as exc:
            found = answer.invalid(exc.problems)
        except Unavailable as exc:
            found = answer.failure(503, {"message": str(exc)}, retry_after_seconds=exc.retry_after_seconds)
        except Failed as exc:
            found = answer.failure(500, {"message": str(exc)})
        if request.method in (hdrs.METH_POST, hdrs.METH_DELETE):
            kept = {name: value for name, value in found.headers.items() if name != "surrogate-control"}
            found = Answer(
                status=found.status, headers={**kept, names.CACHE_CONTROL: "no-cache"}, body=found.body
            )
        return _respond(request, _with_cors(request, _METHODS, found))

    async def _answer(self, request: web.Request, values: dict[str, str]) -> Answer:
        if request.method == hdrs.METH_DELETE:
            return answer.failure(405, {"message": "DELETE not allowed"})
        if request.method == hdrs.METH_POST:
            raise rejected("method", "POST is not supported by this development server yet")
        asked = parse_query(values)
        return await self._serving.serve(asked, if_none_match=request.headers.get(hdrs.IF_NONE_MATCH))

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
    found = _with_cors(request, _METHODS, Answer(status=204))
    headers = {**found.headers, "access-control-max-age": "86400", "connection": "keep-alive"}
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    if asked.lower() in _PREFLIGHT_HEADERS:  # Electric compares the whole value, it does not split it.
        headers["access-control-allow-headers"] = asked
    response = _respond(request, Answer(status=204, headers=headers))
    del response.headers[hdrs.VARY]
    return response


def _with_cors(request: web.Request, methods: str, found: Answer) -> Answer:
    headers = {
        "access-control-allow-origin": request.headers.get(hdrs.ORIGIN, "*"),
        "access-control-expose-headers": _EXPOSED,
        "access-control-allow-methods": methods,
        **found.headers,
    }
    return Answer(status=found.status, headers=headers, body=found.body, chunked=found.chunked)


def _respond(request: web.Request, found: Answer) -> web.Response:
    asked_id = request.headers.get("x-request-id", "")
    request_id = asked_id if _REQUEST_ID.fullmatch(asked_id) else secrets.token_urlsafe(15)
    headers = {
        "vary": "accept-encoding",
        names.ELECTRIC_SERVER: _SERVER,
        "x-request-id": request_id,
        **found.headers,
    }
    response = web.Response(status=found.status, headers=headers, body=found.body or None)
    if found.chunked and request.method != hdrs.METH_HEAD:
        response.enable_chunked_encoding()
    return response


async def _drop_defaults(_: web.Request, response: web.StreamResponse) -> None:
    """Take off what aiohttp adds and Electric does not send."""
    response.headers.popall(hdrs.SERVER, None)
    if response.content_type == "application/octet-stream":
        response.headers.popall(hdrs.CONTENT_TYPE, None)


def make_app(engine: Engine, serving: Serving, *, secret: str | None) -> web.Application:
    """Make the application; one route, since Electric matches decoded and normalised paths."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Handlers(engine, serving, secret).handle)
    app.on_response_prepare.append(_drop_defaults)
    return app
