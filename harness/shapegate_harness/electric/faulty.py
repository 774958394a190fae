"""Faults at the edge: a control endpoint, and what happens to requests for shapes while an order lasts.

Nothing of this is in the way of a server that was not asked for it: `make_app` leaves it out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, assert_never

from aiohttp import hdrs, web

from shapegate_harness.electric import answer
from shapegate_harness.electric.faults import (
    SECONDS_MAX,
    Cut,
    Drip,
    Misordered,
    MissingHeader,
    MustRefetch,
    Plan,
    Reset,
    Stale,
    Stall,
    TooManyRequests,
    Unavailable,
    parse_order,
)
from shapegate_harness.electric.reply import METHODS, end_connection, reply, with_cors
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

PATH: Final = "/__faults"
_AFFECTED: Final = frozenset({hdrs.METH_GET, hdrs.METH_POST})


class Faulty:
    """Stands before the handlers of one server."""

    def __init__(self) -> None:
        self._plan = Plan()
        self._last: web.Response | None = None
        """The last answer with a log."""
        self._stale: web.Response | None = None
        """What an order of stale answers repeats."""

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer the control endpoint, and let a fault happen where one is ordered."""
        if request.path == PATH:
            return await self._control(request)
        fault = self._plan.take() if self._concerns(request) else None
        match fault:
            case None:
                response = await handler(request)
                if isinstance(response, web.Response) and _has_log(response):
                    self._last = response
                return response
            case MissingHeader() | Cut() | Drip():
                return await _spoil(request, await handler(request), fault)
            case _:
                return await self._instead(request, fault)

    def _concerns(self, request: web.Request) -> bool:
        """Tell whether an order may use this request up; an event stream has no body to spoil."""
        if request.path != "/v1/shape" or request.method not in _AFFECTED:
            return False
        streams = names.LIVE_SSE in request.query or names.EXPERIMENTAL_LIVE_SSE in request.query
        return not (streams and isinstance(self._plan.peek(), Cut | Drip | MissingHeader))

    async def _control(self, request: web.Request) -> web.Response:
        match request.method:
            case hdrs.METH_GET:
                pass
            case hdrs.METH_DELETE:
                self._plan.follow(None)
            case hdrs.METH_POST:
                try:
                    order = parse_order(await request.read())
                    if isinstance(order.fault, Stale) and self._last is None:
                        raise Misordered("there was no log answer yet that could be repeated")
                except Misordered as exc:
                    return web.json_response({"message": str(exc)}, status=400)
                self._stale = self._last
                self._plan.follow(order)
            case _:
                return web.json_response({"message": "expected GET, POST or DELETE"}, status=405)
        return web.json_response(self._plan.describe())

    async def _instead(
        self,
        request: web.Request,
        fault: MustRefetch | TooManyRequests | Unavailable | Stall | Stale | Reset,
    ) -> web.Response:
        """Do something else than to ask the handlers."""
        match fault:
            case MustRefetch(handle=handle):
                found = answer.must_refetch(handle)
            case TooManyRequests(retry_after_seconds=seconds):
                found = answer.failure(429, {"message": "Too many requests"}, retry_after_seconds=seconds)
            case Unavailable(retry_after_seconds=seconds):
                body = {"message": "Service unavailable, by order"}
                found = answer.failure(503, body, retry_after_seconds=seconds)
            case Stall(seconds=stalled):
                await asyncio.sleep(stalled)
                await end_connection(request, at_once=True)
            case Reset():
                await end_connection(request, at_once=True)
            case Stale():
                return self._repeat()
            case _:
                assert_never(fault)
        return reply(request, with_cors(request, METHODS, found))

    def _repeat(self) -> web.Response:
        assert self._stale is not None
        kept = {
            name: value for name, value in self._stale.headers.items() if name.lower() not in _OF_THE_WIRE
        }
        return web.Response(status=200, headers={**kept, "age": "60"}, body=self._stale.body)


_OF_THE_WIRE: Final = frozenset({"transfer-encoding", "content-length", "connection", "date"})


def _has_log(response: web.Response) -> bool:
    return (
        response.status == 200
        and names.ELECTRIC_HANDLE in response.headers
        and names.ELECTRIC_SNAPSHOT not in response.headers
    )


async def _spoil(
    request: web.Request, response: web.StreamResponse, fault: MissingHeader | Cut | Drip
) -> web.StreamResponse:
    """Send a good answer badly."""
    assert isinstance(response, web.Response)
    assert not response.prepared
    if isinstance(fault, MissingHeader):
        response.headers.popall(fault.header, None)
        return response
    body = response.body if isinstance(response.body, bytes) else b""
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    if response.chunked:
        sent.enable_chunked_encoding()
    else:
        sent.content_length = len(body)
    await sent.prepare(request)
    if isinstance(fault, Cut):
        await sent.write(body[: len(body) // 2 if fault.bytes is None else fault.bytes])
        await end_connection(request, at_once=False)
    for piece in pieces(body, fault):
        await sent.write(piece)
        await asyncio.sleep(fault.seconds)
    return sent


def pieces(body: bytes, fault: Drip) -> Iterator[bytes]:
    """Divide a body so that all pauses together stay within a minute."""
    most = max(1, int(SECONDS_MAX / fault.seconds))
    size = max(fault.bytes, -(-len(body) // most))
    for start in range(0, len(body), size):
        yield body[start : start + size]
