"""One request on a lean connection, and its answer: the side of who asked.

What has come waits here until it is taken; above `WAITING_BYTES_MAX` nothing more is read.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from shapegate_proxy.errors import UpstreamFault, UpstreamTimeout
from shapegate_proxy.lean_framing import Framing

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from shapegate_proxy.answer_head import AnswerHead
    from shapegate_proxy.electric import Chunk, Deliver, Sink, Watcher
    from shapegate_proxy.known_answers import Sending
    from shapegate_proxy.lean_deadlines import Deadlines

WAITING_BYTES_MAX: Final = 16 * 1024
"""Reading stops above it; one more read may have come by then."""
PIECES_MAX: Final = 256
"""Reading stops above it too: a piece of one byte takes forty."""


class End(Enum):
    """How an exchange came to its end."""

    WHOLE = "whole"
    CUT = "cut"
    """The connection ended in the middle of the answer, or brought what is none."""
    UNANSWERED = "unanswered"
    """The connection ended before the first byte of the answer."""
    SILENT = "silent"
    """Electric kept silent for too long."""
    LEFT = "left"
    """Nobody wants the answer any more, or the client was closed."""


WHOLE: Final = End.WHOLE
"""As a name of this module: to look a member of an enum up takes many steps, and is done for each answer."""


class Line(Protocol):
    """The connection, as an exchange needs it."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """End the connection now."""


class Exchange:
    """The answer to one request; `status`, `headers` and `framed` are there once `answered` is."""

    __slots__ = (
        "_line",
        "_loop",
        "_pieces",
        "_waiter",
        "_watcher",
        "answered",
        "deliver",
        "end",
        "framed",
        "headers",
        "patience",
        "paused",
        "sending",
        "sink",
        "status",
        "waiting_bytes",
    )

    status: int
    headers: Mapping[str, str]
    framed: bool

    def __init__(self, loop: asyncio.AbstractEventLoop, line: Line, sending: Sending | None = None) -> None:
        """`sending` is what was sent, if that is done again and again."""
        self._loop = loop
        self._line: Line | None = line
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._watcher: Watcher | None = None
        """Whom to tell what becomes of the answer, while nobody waits for it."""
        self.answered = False
        self.deliver: Deliver | None = None
        """Whom to give the answer if it is all there before it is asked for."""
        self.end: End | None = None
        self.patience: Deadlines[Exchange] | None = None
        """How long who waits waits; given before anybody does."""
        self.paused = False
        self.sending = sending
        self.sink: Sink | None = None
        self.waiting_bytes = 0

    @property
    def ready(self) -> bool:
        """Whether `next` need not wait."""
        return bool(self._pieces) or self.end is not None

    @property
    def full(self) -> bool:
        """Whether nothing more should be read before something was taken."""
        return self.waiting_bytes > WAITING_BYTES_MAX or len(self._pieces) > PIECES_MAX

    def watch(self, watcher: Watcher) -> None:
        """Until somebody waits, tell what becomes of the answer.

        Who is told sees to it that somebody waits before long: until then nothing is bounded.
        """
        self._watcher = watcher

    def unwatch(self) -> None:
        """Call nobody: who asked waits from now on, or is gone."""
        self._watcher = None

    def linger(self) -> None:
        """Take note that a read is over, and the answer is not."""
        watcher = self._watcher
        if watcher is not None and self.answered:
            self._watcher = None
            watcher.stuck()

    async def head(self) -> None:
        """Wait until `answered`, or until the end. Cancelled meanwhile, the connection ends."""
        if self.answered or self.end is not None:
            return
        try:
            await self._progress()
        except BaseException:
            self.close()
            raise

    def take_whole(self) -> Chunk | None:
        """Take all, if that is the whole body."""
        if self.end is not WHOLE:
            return None
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.waiting_bytes = 0
        return body

    def pour(self, sink: Sink) -> None:
        """Offer it what comes while `next` is waited for."""
        self.sink = sink

    async def next(self) -> Chunk:
        """Return all that has come; wait if that is nothing."""
        if not self._pieces:
            if self.end is None:
                await self._progress()
            if not self._pieces:
                if self.end is WHOLE:
                    return b""
                raise self.fault()
        pieces = self._pieces
        chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.waiting_bytes = 0
        if self.paused:
            self.paused = False
            if self._line is not None:
                self._line.resume()
        return chunk

    def close(self) -> None:
        """Take nothing more; unless all has come already, the connection ends."""
        self.unwatch()
        self._pieces.clear()
        self.waiting_bytes = 0
        line = self._line
        if line is not None:
            self.finish(End.LEFT)
            line.abort()

    def expire(self) -> None:
        """Give up on an Electric that keeps silent."""
        line = self._line
        if line is not None:
            self.finish(End.SILENT)
            line.abort()

    def take_head(self, head: AnswerHead) -> None:
        """Take in the head."""
        self.status, self.headers, self.framed = head.status, head.headers, head.framing is Framing.SAID
        self.answered = True
        self._wake()

    def take_whole_answer(self, head: AnswerHead, body: bytes) -> None:
        """Take in an answer that is all there, which its head says."""
        self.status, self.headers, self.framed = head.status, head.headers, True
        self.answered = True
        self._pieces.append(body)
        watcher = self._watcher
        if watcher is None:
            self.finish(WHOLE)
            return
        self._line = self._watcher = None
        self.end = WHOLE
        watcher.deliver(self)

    def push(self, piece: bytes) -> None:
        """Take in bytes of the body."""
        waiter, sink = self._waiter, self.sink
        if sink is not None and waiter is not None and not waiter.done() and sink(piece):
            self._wait_anew()
            return
        self._pieces.append(piece)
        self.waiting_bytes += len(piece)
        self._wake()

    def finish(self, end: End) -> None:
        """End; what has come can still be taken."""
        self._line = None
        self.end = end
        waiter, deliver, watcher = self._waiter, self.deliver, self._watcher
        if watcher is not None:
            self._watcher = None
            if end is WHOLE:
                watcher.deliver(self)
            else:
                watcher.stuck()
            return
        if deliver is not None and end is WHOLE and waiter is not None and not waiter.cancelled():
            self.deliver = None
            deliver(self)
            self._loop.call_soon(self._wake)  # uvloop sends before that, not before what is ready now
            return
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def fault(self) -> UpstreamFault | UpstreamTimeout:
        """Print how it ended, if not well; a new exception each time."""
        if self.end is End.SILENT:
            return UpstreamTimeout(
                "Electric stopped in the middle of its answer"
                if self.answered
                else "Electric did not answer in time"
            )
        return UpstreamFault(
            "Electric's answer was cut short" if self.answered else "Electric cannot be reached"
        )

    async def _progress(self) -> None:
        waiter = self._waiter = self._loop.create_future()
        self._wait_anew()
        try:
            await waiter
        finally:
            self._waiter = None
            if self.patience is not None:
                self.patience.stop(self)

    def _wait_anew(self) -> None:
        assert self.patience is not None  # who waits gave it before
        self.patience.stop(self)
        self.patience.start(self)
