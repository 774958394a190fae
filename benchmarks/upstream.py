"""A stand-in for Electric as a process: `python -m benchmarks.upstream PORT LONG_BYTES`.

The table decides: `long` and `long_kept` are answered with a body of LONG_BYTES in chunks; `live` is held
until `/bench/release`, or is a stream that `/bench/event` writes to; all else is a tiny answer.
`/bench/state` tells the counts. It reads one request at a time per connection, and never a body.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import uvloop

from benchmarks.long_body import pieces, print_chunked
from benchmarks.running import HOST
from benchmarks.target import HANDLE, OFFSET, SCHEMA, UP_TO_DATE

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_KEPT: Final = "max-age=0, private, must-revalidate"
_KEPT: Final = "public, max-age=60, stale-while-revalidate=300"
_LIVE: Final = "public, max-age=5, stale-while-revalidate=5"
_WRITE_HIGH: Final = 256 * 1_024
_HEAD_BYTES_MAX: Final = 64 * 1_024


@dataclass(slots=True)
class State:
    """What the upstream has seen."""

    long_bytes: int
    requests: int = 0
    live_requests: int = 0
    sent_bytes: int = 0
    """Of long bodies."""
    held: set[Connection] = field(default_factory=set)
    streams: set[Connection] = field(default_factory=set)


def head(
    cached: str, *, up_to_date: bool = True, content_type: str = "application/json; charset=utf-8"
) -> bytes:
    """Print the head of a 200 as Electric does."""
    lines = [
        "HTTP/1.1 200 OK",
        "date: Fri, 20 Nov 2026 21:40:26 GMT",
        "transfer-encoding: chunked",
        "vary: accept-encoding",
        f"cache-control: {cached}",
        "x-request-id: GOnevGp09WZGW-YAAAGR",
        "electric-server: ElectricSQL/1.7.12",
        "access-control-allow-origin: *",
        "access-control-allow-methods: GET, POST, HEAD, DELETE, OPTIONS",
        f"content-type: {content_type}",
        f'etag: "{HANDLE}:0_0:{OFFSET}"',
        f"electric-handle: {HANDLE}",
        f"electric-schema: {SCHEMA}",
        f"electric-offset: {OFFSET}",
        "electric-has-data: true",
        "electric-cursor: 1674440",
        *(["electric-up-to-date: "] if up_to_date else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


_TINY: Final = head(_NOT_KEPT) + print_chunked(UP_TO_DATE) + b"0\r\n\r\n"
_TINY_KEPT: Final = head(_KEPT) + print_chunked(UP_TO_DATE) + b"0\r\n\r\n"
_RELEASED: Final = head(_LIVE) + print_chunked(UP_TO_DATE) + b"0\r\n\r\n"
_LONG: Final = head(_NOT_KEPT, up_to_date=False)
_LONG_KEPT: Final = head(_KEPT, up_to_date=False)
_STREAM: Final = head("public, max-age=59", content_type="text/event-stream")


class Connection(asyncio.Protocol):
    """One connection; a long body is written as fast as the other side takes it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._rest: Iterator[bytes] | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "set_write_buffer_limits")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget it."""
        self._transport = self._rest = None
        self._state.held.discard(self)
        self._state.streams.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer every request whose head is whole."""
        self._received += data
        while True:
            text, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                if len(text) > _HEAD_BYTES_MAX:
                    self._abort()
                return
            self._received = rest
            self._answer(text.partition(b"\r\n")[0].split(b" ")[1].decode("ascii"))

    def pause_writing(self) -> None:
        """Write no more of a long body."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with it."""
        self._paused = False
        self._go_on()

    def release(self) -> None:
        """Answer what is held."""
        self.write(_RELEASED)

    def write(self, data: bytes) -> None:
        """Write, unless the connection is lost."""
        if self._transport is not None:
            self._transport.write(data)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, target: str) -> None:
        parts = urlsplit(target)
        if parts.path.startswith("/bench/"):
            self._control(parts.path.removeprefix("/bench/"))
        elif parts.path == "/v1/health":
            self._reply({"status": "active"})
        else:
            self._state.requests += 1
            self._answer_shape(dict(parse_qsl(parts.query)))

    def _answer_shape(self, query: dict[str, str]) -> None:
        table = query.get("table", "").replace('"', "").rpartition(".")[2]
        if table in ("long", "long_kept"):
            self.write(_LONG_KEPT if table == "long_kept" else _LONG)
            self._rest = pieces(self._state.long_bytes)
            self._go_on()
        elif table == "live" and "live_sse" in query:
            self._state.streams.add(self)
            self.write(_STREAM)
        elif table == "live" and "live" in query:
            self._state.live_requests += 1
            self._state.held.add(self)
        else:
            self.write(_TINY_KEPT if table == "kept" else _TINY)

    def _go_on(self) -> None:
        while self._rest is not None and not self._paused:
            piece = next(self._rest, None)
            if piece is None:
                self._rest = None
                self.write(b"0\r\n\r\n")
            else:
                self._state.sent_bytes += len(piece)
                self.write(print_chunked(piece))

    def _control(self, asked: str) -> None:
        state = self._state
        if asked == "release":
            held, state.held = state.held, set()
            for connection in held:
                connection.release()
        elif asked == "event":
            event = b'data: {"at":%d}\n\n' % time.monotonic_ns()
            for connection in state.streams:
                connection.write(print_chunked(event))
        self._reply(
            {
                "requests": state.requests,
                "live_requests": state.live_requests,
                "sent_bytes": state.sent_bytes,
                "held": len(state.held),
                "streams": len(state.streams),
            }
        )

    def _reply(self, said: dict[str, object]) -> None:
        body = json.dumps(said).encode()
        self.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        self.write(body)


async def serve(port: int, long_bytes: int) -> None:
    """Answer until the process is ended."""
    state = State(long_bytes=long_bytes)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(state), HOST, port, backlog=20_000
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
