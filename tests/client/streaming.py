"""Event streams for client tests: a gate that streams, and answers and peers that do it badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import web

from tests.client.servers import Gate, Log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.client.servers import Responder

KEEP_ALIVE = b": keep-alive\n\n"


def event(message: object) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def up_to_date(lsn: int) -> bytes:
    return event({"headers": {"control": "up-to-date", "global_last_seen_lsn": str(lsn)}})


MUST_REFETCH = event({"headers": {"control": "must-refetch"}})


def inserted(row: int, title: str, **headers: object) -> bytes:
    value = {"id": str(row), "title": title, "done": "f"}
    headers = {"operation": "insert", "relation": ["public", "items"], **headers}
    return event({"key": f'"public"."items"/"{row}"', "value": value, "headers": headers})


class StreamingGate(Gate):
    """A gate that gives its logs as streams to whoever wishes; `streams` come before real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: deque[Responder] = deque()
        self.streaming: Responder | None = None
        """Opens every stream while it is set."""
        self.closed = 0
        """Streams that their reader left or that ended."""

    def live_modes(self) -> list[str]:
        """How each live request was asked, in order."""
        lives = [request for request in self.requests if request.get("live") == "true"]
        return ["sse" if request.get("live_sse") == "true" else "long-poll" for request in lives]

    async def _continue(self, log: Log, request: web.Request) -> web.StreamResponse:
        if request.query.get("live_sse") != "true":
            return await super()._continue(log, request)
        if self.streams:
            return await self.streams.popleft()(request)
        if self.streaming is not None:
            return await self.streaming(request)
        return await self._stream(log, request)

    async def _stream(self, log: Log, request: web.Request) -> web.StreamResponse:
        done = int(request.query["offset"].split("_")[0])
        response = await opened(request, log.handle, request.query["offset"])
        try:
            while any(log is each for each in self.logs.values()):
                moved = self._moved
                for transaction in log.transactions[done:]:
                    done += 1
                    await response.write(b"".join(event(message) for message in transaction))
                    await response.write(up_to_date(done))
                await moved.wait()
            return response
        finally:
            self.closed += 1


async def opened(
    request: web.Request, handle: str, at: str, *, without: str | None = None
) -> web.StreamResponse:
    """Send the head of a stream."""
    headers = {
        "content-type": "text/event-stream",
        "electric-handle": handle,
        "electric-offset": at,
        "electric-cursor": "1",
        "electric-up-to-date": "",
    }
    response = web.StreamResponse(headers={name: each for name, each in headers.items() if name != without})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def streamed(*blocks: bytes, end: str = "close", at: str | None = None) -> Responder:
    """A stream of just these blocks, each an HTTP chunk; then it is closed, cut or stays silent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await opened(request, request.query["handle"], at or request.query["offset"])
        for block in blocks:
            await response.write(block)
        if end == "cut":
            assert request.transport is not None
            request.transport.close()
        if end == "silence":
            await asyncio.Event().wait()
        return response

    return answer


@contextlib.asynccontextmanager
async def raw_peer(*pieces: bytes, stay: bool = False) -> AsyncIterator[str]:
    """Something on a socket that sends these bytes to whoever connects, whatever is asked."""
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if stay:
                await left.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        left.set()
        server.close()
        await server.wait_closed()
