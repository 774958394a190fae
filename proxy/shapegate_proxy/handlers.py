"""The gate's routes, on aiohttp.

A plain GET of a shape does not come here but by `front`, on the same road; what is left is everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web

from shapegate_proxy.body import read_json
from shapegate_proxy.boundary import REQUEST_ID, SERVICES, refusal_of
from shapegate_proxy.errors import InvalidRequest
from shapegate_proxy.incoming import Incoming
from shapegate_proxy.serving import serve
from shapegate_wire.subset import BODY_BYTES_MAX

if TYPE_CHECKING:
    from shapegate_proxy.electric import Chunk
    from shapegate_proxy.errors import Refused
    from shapegate_proxy.printed_head import ClientHead


async def get_shape(request: web.Request) -> web.StreamResponse:
    """Answer one shape request of a caller who proves who they are."""

    async def read_body() -> bytes | None:
        if request.method == "POST":
            return await read_json(request, bytes_max=BODY_BYTES_MAX)
        if request.can_read_body:
            raise InvalidRequest("The request has a body: expected none")
        return None

    incoming = Incoming(
        method=request.method,
        target=request.raw_path,
        org=request.match_info.get("org"),
        values=lambda name: request.headers.getall(name, []),
        query=lambda: request.rel_url.query.items(),
        read_body=read_body,
        peer=lambda: request.remote,
        http_1_1=request.version == HttpVersion11,
    )
    responder = _Responder(request)
    await serve(request.app[SERVICES], incoming, responder)
    return responder.response


class _Responder:
    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse = web.Response(status=500)
        """What aiohttp is told to have been the answer."""

    def known(self) -> None:
        """Nothing: aiohttp's connections count as busy from their first request on."""

    async def begin(self, status: int, head: ClientHead, *, request_id: str) -> None:
        self._request[REQUEST_ID] = request_id
        self.response = web.StreamResponse(status=status, headers=head.headers)
        await self.response.prepare(self._request)

    async def answer(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        await self.begin(status, head, request_id=request_id)
        if body:
            await self.response.write(body)
        await self.response.write_eof()

    def at_once(self) -> bool:
        return False

    def answer_now(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        raise NotImplementedError  # aiohttp waits to send

    def write_now(self, chunk: Chunk) -> None:
        raise NotImplementedError  # aiohttp waits to send

    async def flush(self) -> None:
        """Nothing is kept here: aiohttp sends a head with what comes first, or at once."""

    async def write(self, chunk: Chunk, *, more: bool) -> None:  # noqa: ARG002  # aiohttp keeps nothing back
        await self.response.write(chunk)

    async def end(self) -> None:
        await self.response.write_eof()

    def break_off(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def refuse(self, refused: Refused, *, request_id: str) -> int:
        self._request[REQUEST_ID] = request_id
        self.response = refusal_of(refused, request_id)
        return len(self.response.body) if isinstance(self.response.body, bytes) else 0


async def preflight(_request: web.Request) -> web.Response:
    """Answer a browser's preflight here, without authentication (REQUIREMENTS P-35, P-53)."""
    return web.Response(status=204)


async def health(_request: web.Request) -> web.Response:
    """Say that the process lives."""
    return web.json_response({"status": "ok"}, headers={"cache-control": "no-store"})


async def health_detailed(request: web.Request) -> web.Response:
    """Say whether the gate can serve, and how each part that it needs is, in a word (REQUIREMENTS P-47)."""
    report = await request.app[SERVICES].readiness.report()
    return web.json_response(
        {"status": "ready" if report.ready else "not_ready", "checks": dict(report.parts)},
        status=200 if report.ready else 503,
        headers={"cache-control": "no-store"},
    )
