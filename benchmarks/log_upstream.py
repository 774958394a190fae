"""A stand-in for Electric whose logs move on by themselves, for simulated users.

Each shape that is asked for has a log of its own, to which changes come at random times of a seeded source.
Answers are as large, as fresh and as late as Electric's; rows are filler. It runs in the process that asks.
"""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from benchmarks.long_body import print_chunked
from benchmarks.running import HOST
from benchmarks.target import HANDLE, SCHEMA, UP_TO_DATE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_POSITION: Final = frozenset({"offset", "handle", "live", "cursor"})
"""What does not make a log another one."""
_LIVE_FRESH_SECONDS: Final = 5
_CURSOR_MORE_MAX: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How its logs move."""

    changes_per_second: float
    """To each log."""
    change_bytes: int
    initial_bytes: int
    fresh_seconds: int
    """`max-age` of everything that is not live."""
    long_poll_seconds: float
    cursors_apart: bool = False
    """Whether a second answer within the time of a long poll moves the cursor ahead by chance."""
    seed: int = 1


@dataclass(slots=True)
class _Log:
    changes: int = 0
    """Which are also its offset."""
    next_change: asyncio.TimerHandle | None = None
    held: dict[_Connection, asyncio.TimerHandle] = field(default_factory=dict)


class LogUpstream:
    """The logs, and what was asked of them."""

    def __init__(self, settings: LogSettings) -> None:
        self.settings = settings
        self.requests = 0
        """Since its start, health checks left out."""
        self.changes = 0
        """Of all logs together."""
        self._random = random.Random(settings.seed)  # noqa: S311  # not for secrets
        self._logs: dict[tuple[tuple[str, str], ...], _Log] = {}

    @property
    def held(self) -> int:
        """How many live polls wait now."""
        return sum(len(log.held) for log in self._logs.values())

    def answer(self, connection: _Connection, target: str) -> None:
        """Answer now, or when something changes."""
        parts = urlsplit(target)
        if parts.path != "/v1/shape":
            return connection.reply(b'{"status": "active"}', cached="no-cache", offset="0_0", cursor="")
        self.requests += 1
        pairs = parse_qsl(parts.query)
        log = self._log(tuple(sorted(pair for pair in pairs if pair[0] not in _POSITION)))
        asked = dict(pairs)
        offset, live = asked["offset"], "live" in asked
        if offset == "-1":
            filler = b"[%s]" % (b" " * self.settings.initial_bytes)
            return self._reply(log, connection, filler, cursor="")
        since = log.changes - int(offset.partition("_")[0])
        connection.cursor = int(asked.get("cursor") or 0)
        if live and since <= 0:
            log.held[connection] = asyncio.get_running_loop().call_later(
                self.settings.long_poll_seconds, self._give, log, connection, 0
            )
            return None
        cursor = self._cursor(connection.cursor) if live else ""
        return self._reply(log, connection, self._news(max(0, since)), cursor=cursor)

    def forget(self, connection: _Connection) -> None:
        """Drop what a lost connection waits for."""
        for log in self._logs.values():
            timer = log.held.pop(connection, None)
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Let nothing change or end any more."""
        for log in self._logs.values():
            for timer in (log.next_change, *log.held.values()):
                if timer is not None:
                    timer.cancel()

    def _log(self, key: tuple[tuple[str, str], ...]) -> _Log:
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = _Log()
            self._plan(log)
        return log

    def _plan(self, log: _Log) -> None:
        if self.settings.changes_per_second > 0:
            pause = self._random.expovariate(self.settings.changes_per_second)
            log.next_change = asyncio.get_running_loop().call_later(pause, self._change, log)

    def _change(self, log: _Log) -> None:
        log.changes += 1
        self.changes += 1
        for connection in tuple(log.held):
            self._give(log, connection, 1)
        self._plan(log)

    def _give(self, log: _Log, connection: _Connection, changes: int) -> None:
        log.held.pop(connection).cancel()
        self._reply(log, connection, self._news(changes), cursor=self._cursor(connection.cursor))

    def _news(self, changes: int) -> bytes:
        return b" " * (changes * self.settings.change_bytes) + UP_TO_DATE

    def _cursor(self, sent: int) -> str:
        """Name the time until which polls share, as Electric does: the same for all (PROTOCOL 2.1)."""
        each = max(1, round(self.settings.long_poll_seconds))
        cursor = math.ceil(asyncio.get_running_loop().time() / each) * each
        if cursor > sent or not self.settings.cursors_apart:
            return str(cursor)
        return str(sent + self._random.randint(1, _CURSOR_MORE_MAX))

    def _reply(self, log: _Log, connection: _Connection, body: bytes, *, cursor: str) -> None:
        seconds = _LIVE_FRESH_SECONDS if cursor else self.settings.fresh_seconds
        cached = f"public, max-age={seconds}, stale-while-revalidate={seconds}"
        connection.reply(body, cached=cached, offset=f"{log.changes}_0", cursor=cursor)


class _Connection(asyncio.Protocol):
    """One connection; requests come one after another and have no body."""

    def __init__(self, upstream: LogUpstream) -> None:
        self._upstream = upstream
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.cursor = 0
        """Of the last request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._transport = None
        self._upstream.forget(self)

    def data_received(self, data: bytes) -> None:
        """Answer every request whose head is whole."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._upstream.answer(self, head.partition(b"\r\n")[0].split(b" ")[1].decode("ascii"))

    def reply(self, body: bytes, *, cached: str, offset: str, cursor: str) -> None:
        """Write an answer as Electric does; one without a cursor is not live."""
        if self._transport is None:
            return
        lines = (
            "HTTP/1.1 200 OK",
            "transfer-encoding: chunked",
            f"cache-control: {cached}",
            "electric-server: ElectricSQL/1.7.12",
            "content-type: application/json; charset=utf-8",
            f'etag: "{HANDLE}:0_0:{offset}"',
            f"electric-handle: {HANDLE}",
            f"electric-schema: {SCHEMA}",
            f"electric-offset: {offset}",
            *([f"electric-cursor: {cursor}"] if cursor else []),
            "electric-up-to-date: ",
        )
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        self._transport.write(head + print_chunked(body) + b"0\r\n\r\n")


@asynccontextmanager
async def serve_logs(settings: LogSettings) -> AsyncIterator[tuple[LogUpstream, int]]:
    """Serve within the block; yields the logs and the port."""
    upstream = LogUpstream(settings)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(upstream), HOST, 0, backlog=4_096
    )
    try:
        async with server:
            yield upstream, server.sockets[0].getsockname()[1]
    finally:
        upstream.close()
