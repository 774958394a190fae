"""One connection to Electric: bytes in both directions, one exchange at a time.

Whatever is not exactly one answer to what was asked ends the connection (SECURITY W-03).
"""

from __future__ import annotations

import asyncio
import select
import sys
from typing import TYPE_CHECKING, Final, Protocol

from shapegate_proxy.known_answers import know
from shapegate_proxy.lean_answer import AnswerReader
from shapegate_proxy.lean_exchange import End
from shapegate_proxy.lean_framing import Framing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from shapegate_proxy.lean_exchange import Exchange

READ_BYTES: Final = 96 * 1024
"""Of the buffer that all connections read into, and so of a piece of a body. On uvloop 128 KB cost no
less per byte, 64 to 80 KB up to a fifth more."""
SLOW_READ_BYTES: Final = 16 * 1024
"""Of it, after a pause: whoever takes the body is slow, so that what comes may have to wait again."""


class Pool(Protocol):
    """Whoever keeps connections."""

    def keep(self, connection: Connection) -> None:
        """Keep it for the next exchange: the last one left it clean."""

    def forget(self, connection: Connection) -> None:
        """Drop it: it has ended."""


class Connection(asyncio.BufferedProtocol):
    """The protocol of one connection.

    `buffer` takes what is read and is shared by all connections of an event loop: nothing stays in it.
    """

    __slots__ = (
        "_buffer",
        "_exchange",
        "_poll",
        "_pool",
        "_reader",
        "_socket",
        "_transport",
        "_view",
        "closed",
        "write",
    )

    def __init__(self, pool: Pool, sock: socket.socket, buffer: memoryview) -> None:
        self._pool = pool
        self._socket = sock
        self._buffer = buffer
        self._view = buffer
        """What of it the next read may fill."""
        self._reader = AnswerReader()
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self.closed = False
        self.write: Callable[[bytes], object] = _drop
        """Sends a request on a clean connection; `expect` follows before the event loop goes on."""

    # What the pool and the exchange call.

    def expect(self, exchange: Exchange, bodyless: bool) -> None:
        """Bring the answer to what was written; `bodyless` says that it has no body (HEAD)."""
        if self.closed or self._transport is None:
            exchange.finish(End.UNANSWERED)
            return
        self._exchange = exchange
        if bodyless:
            self._reader.begin(bodyless=True)

    def quiet(self) -> bool:
        """Say whether an unused connection is as it was left: neither ended nor spoken to.

        What came unasked, but was not read yet, would else be taken for the answer to the next request.
        """
        if self.closed:
            return False
        poll = self._poll
        if poll is None:
            if sys.platform == "win32":
                return True
            poll = self._poll = select.poll()
            poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def resume(self) -> None:
        """Read on after a pause."""
        if not self.closed and self._transport is not None:
            self._view = self._buffer[:SLOW_READ_BYTES]
            self._transport.resume_reading()

    def abort(self) -> None:
        """End now; an exchange under way is left. May be called again."""
        self._lose(End.LEFT)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one by its methods only
        assert self._transport is not None
        self.write = self._transport.write
        if self.closed:
            self.write = _drop
            self._transport.abort()

    def get_buffer(self, _sizehint: int, /) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        exchange, reader = self._exchange, self._reader
        if exchange is None:
            self.abort()
            return
        sending = exchange.sending if reader.fresh else None
        if sending is not None and (known := sending.known) is not None:
            body = known.body(self._buffer, nbytes)
            if body is not None:
                self._exchange = None
                exchange.take_whole_answer(known.head, body)
                self._end_exchange(known.keeps)
                return
        data = self._buffer[:nbytes]
        readable = reader.feed(data)
        if not exchange.answered and reader.head is not None:
            exchange.take_head(reader.head)
        piece = reader.take()
        if piece:
            exchange.push(piece)
            if not exchange.waiting_bytes:
                self._view = self._buffer
        if reader.complete:
            if sending is not None and readable and reader.head is not None:
                sending.known = know(data, reader.head, piece, keeps=reader.keeps)
            self._exchange = None
            exchange.finish(End.WHOLE)
            self._end_exchange(readable and reader.keeps)
        elif not readable:
            self._lose(End.CUT)
        elif exchange.full and not exchange.paused and self._transport is not None:
            exchange.paused = True
            self._transport.pause_reading()
        if exchange.end is None:
            exchange.linger()

    def eof_received(self) -> None:
        head = self._reader.head
        until_now = head is not None and head.framing is Framing.CLOSE
        self._lose(End.WHOLE if until_now else self._cut())

    def connection_lost(self, _exc: Exception | None, /) -> None:
        self._lose(self._cut())

    # What follows from it.

    def _end_exchange(self, keeps: bool) -> None:
        """Keep the connection after an answer, if nothing is left on it."""
        transport = self._transport
        assert transport is not None
        if keeps and not transport.is_closing() and not transport.get_write_buffer_size():
            self._view = self._buffer
            self._reader.begin(bodyless=False)
            self._pool.keep(self)
        else:
            self._lose(End.WHOLE)

    def _cut(self) -> End:
        return End.CUT if self._reader.touched else End.UNANSWERED

    def _lose(self, end: End) -> None:
        if self.closed:
            return
        self.closed, self.write = True, _drop
        self._pool.forget(self)
        self._reader.close()
        exchange, self._exchange = self._exchange, None
        if self._transport is not None:
            self._transport.abort()
        if exchange is not None and exchange.end is None:
            exchange.finish(end)


def _drop(_message: bytes) -> None:
    """Send nothing: the connection is closed, as `expect` tells."""
