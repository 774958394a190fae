"""One connection and its exchanges, before a transport that records what becomes of it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.errors import UpstreamFault, UpstreamTimeout
from shapegate_proxy.known_answers import Sending
from shapegate_proxy.lean_connection import READ_BYTES, Connection
from shapegate_proxy.lean_deadlines import Deadlines
from shapegate_proxy.lean_exchange import PIECES_MAX, WAITING_BYTES_MAX, End, Exchange
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_proxy.electric import UpstreamAnswer


class Transport(asyncio.Transport):
    """Sends nothing anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.calls: list[str] = []
        self.unsent_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return "abort" in self.calls

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes


@dataclass
class Pool:
    kept: list[Connection] = field(default_factory=list)
    forgotten: list[Connection] = field(default_factory=list)

    def keep(self, connection: Connection) -> None:
        self.kept.append(connection)

    def forget(self, connection: Connection) -> None:
        self.forgotten.append(connection)


class Line:
    """A connection, its transport and its pool."""

    def __init__(self) -> None:
        self.buffer = bytearray(READ_BYTES)
        self.pool, self.transport = Pool(), Transport()
        self.near, self.far = socket.socketpair()
        self.connection = Connection(self.pool, self.near, memoryview(self.buffer))
        self.connection.connection_made(self.transport)
        loop = asyncio.get_running_loop()
        self.patience = Deadlines[Exchange](loop, 60, Exchange.expire)

    def ask(self, *, bodyless: bool = False, sending: Sending | None = None) -> Exchange:
        self.connection.write(b"GET")
        exchange = Exchange(asyncio.get_running_loop(), self.connection, sending)
        exchange.patience = self.patience
        self.connection.expect(exchange, bodyless)
        return exchange

    def receive(self, data: bytes) -> None:
        """Read as a loop does, which stops when it is told to."""
        while data and not self.connection.closed:
            size = min(len(data), len(self.connection.get_buffer(-1)))
            self.buffer[:size] = data[:size]
            self.connection.buffer_updated(size)
            self.buffer[:size] = b"!" * size
            data = data[size:]


@contextmanager
def opened() -> Iterator[Line]:
    line = Line()
    try:
        yield line
    finally:
        line.patience.close()
        line.near.close()
        line.far.close()


async def rest(exchange: Exchange) -> bytes:
    body = b""
    while chunk := await exchange.next():
        body += chunk
    return body


async def test_an_answer_in_one_read_is_there_without_waiting() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(EMPTY_LOG)
        await exchange.head()
        assert (exchange.status, exchange.framed, exchange.ready) == (200, True, True)
        assert exchange.headers["electric-handle"] == "h-1"
        assert (await exchange.next(), await exchange.next(), await exchange.next()) == (b"[]", b"", b"")
        assert line.transport.sent == [b"GET"]
        assert line.pool.kept == [line.connection]
        assert line.transport.calls == []


async def test_what_was_read_does_not_change_when_more_is() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(HEAD + b"content-length: 4\r\n\r\n[1")
        line.receive(b",2")
        assert await exchange.next() == b"[1,2"


async def test_an_answer_that_came_is_whole_whoever_closes_then() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(EMPTY_LOG)
        exchange.close()
        line.connection.eof_received()
        assert exchange.end is End.WHOLE
        assert await exchange.next() == b""  # What was left is not shown any more.


async def test_I_22_reading_stops_while_nothing_is_taken_and_goes_on_then() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(HEAD + b"content-length: 500000\r\n\r\n")
        for _ in range(3):
            size = 0
            while line.transport.calls[-1:] != ["pause"] and size < 10 * WAITING_BYTES_MAX:
                line.receive(b"x" * 8_192)
                size += 8_192
            assert WAITING_BYTES_MAX < size <= WAITING_BYTES_MAX + 8_192
            assert len(await exchange.next()) == size
            assert line.transport.calls[-1:] == ["resume"]


async def test_I_22_a_body_in_crumbs_is_bounded_by_their_number() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(CHUNKED)
        for _ in range(PIECES_MAX + 1):
            assert line.transport.calls == []
            line.receive(b"1\r\nx\r\n")
        assert line.transport.calls == ["pause"]
        assert await exchange.next() == b"x" * (PIECES_MAX + 1)


async def test_I_22_crumbs_of_one_read_are_one_piece() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(CHUNKED + b"1\r\nx\r\n" * 5_000)
        assert exchange.waiting_bytes == 5_000
        assert await exchange.next() == b"x" * 5_000


async def test_a_paused_connection_that_is_left_is_aborted() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(HEAD + b"content-length: 500000\r\n\r\n" + b"x" * 100_000)
        exchange.close()
        assert line.transport.calls == ["pause", "abort"]
        assert exchange.waiting_bytes == 0
        with pytest.raises(UpstreamFault):
            await exchange.next()


@pytest.mark.parametrize("late", [b"x", EMPTY_LOG, b"\r\n"])
async def test_W_03_what_comes_unasked_ends_the_connection(late: bytes) -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(EMPTY_LOG)
        line.receive(late)
        assert line.transport.calls == ["abort"]
        assert line.pool.forgotten == [line.connection]
        assert await rest(exchange) == b"[]"
        assert line.ask().end is End.UNANSWERED


async def test_W_03_what_lies_unread_on_a_kept_connection_is_seen() -> None:
    with opened() as line:
        assert line.connection.quiet()
        line.far.send(EMPTY_LOG)
        assert not line.connection.quiet()
    with opened() as line:
        line.far.close()
        assert not line.connection.quiet()


async def test_an_answer_before_the_request_was_sent_ends_the_connection() -> None:
    with opened() as line:
        exchange = line.ask()
        line.transport.unsent_bytes = 1
        line.receive(EMPTY_LOG)
        assert await rest(exchange) == b"[]"
        assert line.pool.kept == []
        assert line.transport.calls == ["abort"]


@pytest.mark.parametrize(
    ("came", "end"),
    [
        (b"", End.UNANSWERED),
        (b"H", End.CUT),
        (b"HTTP/1.1 100 Continue\r\n\r\n", End.CUT),
        (EMPTY_LOG[:-1], End.CUT),
        (CHUNKED + b"2\r\n[]\r\n", End.CUT),
        (HEAD + b"\r\n[]", End.WHOLE),
        (EMPTY_LOG, End.WHOLE),
    ],
)
async def test_W_01_an_early_end_is_told_from_none(came: bytes, end: End) -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(came)
        line.connection.eof_received()
        line.connection.connection_lost(None)
        assert exchange.end is end


async def test_W_01_a_reset_is_no_end_of_a_body() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(HEAD + b"\r\n[]")
        line.connection.connection_lost(ConnectionResetError())
        assert await exchange.next() == b"[]"
        with pytest.raises(UpstreamFault, match="cut short"):
            await exchange.next()


async def test_each_fault_is_an_exception_of_its_own() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(CHUNKED)
        exchange.expire()
        faults = []
        for _ in range(2):
            with pytest.raises(UpstreamTimeout) as caught:
                await exchange.next()
            faults.append(caught.value)
        assert faults[0] is not faults[1]
        assert line.transport.calls == ["abort"]


async def test_I_20_who_is_cancelled_ends_the_connection_at_once() -> None:
    with opened() as line:
        exchange = line.ask()
        asking = asyncio.create_task(exchange.head())
        await asyncio.sleep(0)
        assert len(line.patience) == 1
        asking.cancel()
        await asyncio.sleep(0)
        assert line.transport.calls == ["abort"]
        assert len(line.patience) == 0


async def test_a_read_that_is_cancelled_may_be_repeated() -> None:
    with opened() as line:
        exchange = line.ask()
        line.receive(CHUNKED)
        reading = asyncio.create_task(exchange.next())
        await asyncio.sleep(0)
        reading.cancel()
        line.receive(b"2\r\n[]\r\n0\r\n\r\n")
        await asyncio.wait([reading])
        assert await rest(exchange) == b"[]"


async def test_a_connection_that_ended_before_it_was_made_is_closed() -> None:
    with opened() as line:
        transport = Transport()
        connection = Connection(line.pool, line.near, memoryview(line.buffer))
        connection.abort()
        connection.connection_made(transport)
        assert transport.calls == ["abort"]


async def test_an_answer_like_the_last_one_to_the_same_request_is_read_as_it_was() -> None:
    with opened() as line:
        sending = Sending(b"GET")
        for body, read in ((b"[]", False), (b"{}", True), (b"[ ]", False), (b"{ }", True), (b"[]", False)):
            known = sending.known
            exchange = line.ask(sending=sending)
            line.receive(
                EMPTY_LOG.replace(b"length: 2\r\n\r\n[]", b"length: %d\r\n\r\n%b" % (len(body), body))
            )
            assert (sending.known is known) == read
            assert (exchange.status, await rest(exchange)) == (200, body)
        assert line.pool.kept == [line.connection] * 5


@pytest.mark.parametrize("bodyless", [True, False])
async def test_what_does_not_come_whole_in_one_read_is_not_known(bodyless: bool) -> None:
    with opened() as line:
        sending = Sending(b"GET")
        line.ask(bodyless=bodyless, sending=sending)
        for piece in (EMPTY_LOG[:-2],) if bodyless else (EMPTY_LOG[:-1], EMPTY_LOG[-1:]):
            line.receive(piece)
        assert sending.known is None
        assert line.pool.kept == [line.connection] or bodyless


class Watcher:
    """Who began a request, and is called."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.calls: list[str] = []
        self.exchange = line.ask()
        self.exchange.watch(self)

    def deliver(self, answer: UpstreamAnswer) -> None:
        self.calls.append(str(answer.take_whole()))

    def stuck(self) -> None:
        self.calls.append("stuck")


@pytest.mark.parametrize(
    ("reads", "calls"),
    [
        ([EMPTY_LOG], ["b'[]'"]),
        ([EMPTY_LOG[:10], EMPTY_LOG[10:]], ["b'[]'"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", EMPTY_LOG], ["b'[]'"]),
        ([EMPTY_LOG[:-1]], ["stuck"]),
        ([EMPTY_LOG[:-1], EMPTY_LOG[-1:]], ["stuck"]),
        ([CHUNKED], ["stuck"]),
        ([CHUNKED, b"2\r\n[]\r\n", b"0\r\n\r\n"], ["stuck"]),
        ([CHUNKED + b"2\r\n[]\r\n0\r\n\r\n"], ["b'[]'"]),
        ([b"garbage\r\n\r\n"], ["stuck"]),
        ([CHUNKED + b"2\r\n[]\r\nzz"], ["stuck"]),
        ([EMPTY_LOG + b"x"], ["b'[]'"]),
        ([EMPTY_LOG, b"x"], ["b'[]'"]),
        ([b"HTTP/1.1 200"], []),
        ([], []),
    ],
)
async def test_who_watches_is_called_once_with_a_whole_answer_or_to_wait_for_it(
    reads: list[bytes], calls: list[str]
) -> None:
    with opened() as line:
        watcher = Watcher(line)
        for read in reads:
            line.receive(read)
        assert watcher.calls == calls
        line.connection.abort()
        line.connection.connection_lost(None)
        assert watcher.calls == (calls or ["stuck"])
        assert len(line.patience) == 0


@pytest.mark.parametrize("came", [b"", EMPTY_LOG[:40]])
@pytest.mark.parametrize("end", ["silence", "eof", "reset", "abort"])
async def test_W_02_who_watches_is_told_of_each_end(came: bytes, end: str) -> None:
    with opened() as line:
        watcher = Watcher(line)
        line.receive(came)
        if end == "silence":
            watcher.exchange.expire()
        elif end == "eof":
            line.connection.eof_received()
        elif end == "reset":
            line.connection.connection_lost(ConnectionResetError())
        else:
            line.connection.abort()
        assert watcher.calls == ["stuck"]
        assert (len(line.patience), line.connection.closed, line.pool.kept) == (0, True, [])
        assert isinstance(watcher.exchange.fault(), UpstreamTimeout if end == "silence" else UpstreamFault)


async def test_who_was_called_to_wait_gets_what_came_and_what_comes() -> None:
    with opened() as line:
        watcher = Watcher(line)
        line.receive(HEAD + b"content-length: 3\r\n\r\n1")
        watcher.exchange.unwatch()
        await watcher.exchange.head()
        line.receive(b"23")
        assert await rest(watcher.exchange) == b"123"
        assert (watcher.calls, line.pool.kept) == (["stuck"], [line.connection])


async def test_who_waits_instead_is_not_called() -> None:
    with opened() as line:
        watcher = Watcher(line)
        watcher.exchange.unwatch()
        watcher.exchange.unwatch()
        waiting = asyncio.create_task(watcher.exchange.head())
        await asyncio.sleep(0)
        line.receive(EMPTY_LOG)
        await waiting
        assert await rest(watcher.exchange) == b"[]"
        assert (watcher.calls, len(line.patience)) == ([], 0)


async def test_I_20_P_28_who_leaves_is_not_called_and_ends_the_connection() -> None:
    with opened() as line:
        watcher = Watcher(line)
        watcher.exchange.close()
        watcher.exchange.close()
        assert (watcher.calls, line.transport.calls, len(line.patience)) == ([], ["abort"], 0)
        assert line.pool.kept == []


PARTS = [
    CHUNKED,
    HEAD,
    EMPTY_LOG,
    b"2\r\n[]\r\n",
    b"0\r\n\r\n",
    b"content-length: 3\r\n\r\n",
    b"\r\n",
    b"zz",
    b"[]",
]


@given(st.lists(st.sampled_from([*PARTS, None]), max_size=8), st.booleans())
async def test_W_03_after_whatever_comes_a_connection_is_kept_or_closed(
    parts: list[bytes | None], bodyless: bool
) -> None:
    with opened() as line:
        exchange = line.ask(bodyless=bodyless)
        for part in parts:
            line.connection.eof_received() if part is None else line.receive(part)
        if exchange.end is None:
            exchange.close()
        assert (line.connection in line.pool.kept) or line.connection.closed
        assert line.connection.closed is ("abort" in line.transport.calls)
        assert line.pool.kept.count(line.connection) <= 1
        assert len(line.pool.forgotten) == line.connection.closed
