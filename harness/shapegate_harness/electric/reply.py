"""An answer as a response of aiohttp: CORS, ids, compression, and connections that end without a word.

Recorded: Electric reflects the origin, echoes long request ids, compresses only what has no tag and a length,
and closes a connection after so many requests without announcing it (PROTOCOL 2.3).
"""

from __future__ import annotations

import asyncio
import gzip
import re
import secrets
import socket
import struct
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NoReturn
from weakref import WeakKeyDictionary

from aiohttp import hdrs, web

from shapegate_wire import names

if TYPE_CHECKING:
    from shapegate_harness.electric.answer import Answer

METHODS: Final = "GET, POST, HEAD, DELETE, OPTIONS"
READ_METHODS: Final = "GET, HEAD"
_SERVER: Final = f"shapegate-dev/{version('shapegate')}"
_NO_LENGTH: Final = web.ResponseKey("no_length", bool)
"""Of a HEAD for a streamed body, whose length nobody knows yet."""
_CLOSING_SECONDS: Final = 5.0
"""How long what was already written may take to leave."""
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{20,200}")
"""Electric echoes an id of such a length and makes its own otherwise."""
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


def with_cors(request: web.BaseRequest, methods: str, found: Answer) -> Answer:
    """Add what lets a page of any origin read the answer."""
    headers = {
        "access-control-allow-origin": request.headers.get(hdrs.ORIGIN, "*"),
        "access-control-expose-headers": _EXPOSED,
        "access-control-allow-methods": methods,
        **found.headers,
    }
    return replace(found, headers=headers)


def reply(request: web.BaseRequest, found: Answer) -> web.Response:
    """Make the response, not sent yet."""
    headers = response_headers(request, found)
    body = found.body
    if _may_compress(found) and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        body = gzip.compress(body, mtime=0)
        headers["content-encoding"] = "gzip"
    response = web.Response(status=found.status, headers=headers, body=body or None)
    if request.method == hdrs.METH_HEAD:
        response[_NO_LENGTH] = found.chunked or not found.body
    elif found.chunked:
        response.enable_chunked_encoding()
    return response


def response_headers(request: web.BaseRequest, found: Answer) -> dict[str, str]:
    """Complete an answer's headers with those that every response has."""
    asked_id = request.headers.get("x-request-id", "")
    return {
        "vary": "accept-encoding",
        names.ELECTRIC_SERVER: _SERVER,
        "x-request-id": asked_id if _REQUEST_ID.fullmatch(asked_id) else secrets.token_urlsafe(15),
        **found.headers,
    }


def _may_compress(found: Answer) -> bool:
    return bool(found.body) and not found.chunked and names.ETAG not in found.headers


async def reply_bare(request: web.Request, line: str) -> NoReturn:
    """Answer with a status line only and close, as Electric's HTTP server does what it cannot read."""
    if request.transport is not None:
        request.transport.write(f"{line}\r\nconnection: close\r\n\r\n".encode())
    await end_connection(request, at_once=False)


async def end_connection(request: web.Request, *, at_once: bool) -> NoReturn:
    """End the connection of a request that aiohttp is not to answer; aiohttp then cancels this task.

    What was written leaves first, unless `at_once`: then the connection is reset.
    """
    transport = request.transport
    if transport is not None and at_once:
        found = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        transport.abort()
    elif transport is not None:
        transport.close()
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await asyncio.Event().wait()
    except TimeoutError:
        if transport is not None:
            transport.abort()
    raise asyncio.CancelledError


async def drop_defaults(_: web.Request, response: web.StreamResponse) -> None:
    """Take off what aiohttp adds and Electric does not send."""
    response.headers.popall(hdrs.SERVER, None)
    if response.content_type == "application/octet-stream":
        response.headers.popall(hdrs.CONTENT_TYPE, None)
    if response.get(_NO_LENGTH):
        response.headers.popall(hdrs.CONTENT_LENGTH, None)


class Connections:
    """Ends each connection after so many answers, without a `connection: close`."""

    def __init__(self, requests_max: int | None) -> None:
        self._requests_max = requests_max
        self._answered: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()

    async def count(self, request: web.Request, response: web.StreamResponse) -> None:
        """Note one answer; a signal of aiohttp, sent after it made the headers."""
        if self._requests_max is None or request.transport is None:
            return
        answered = self._answered.get(request.transport, 0) + 1
        self._answered[request.transport] = answered
        if answered >= self._requests_max:
            response.force_close()
