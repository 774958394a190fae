"""An answer under way, brought from Electric to several readers at the pace of the foremost of them."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

from shapegate_proxy.errors import Refused, UpstreamFault
from shapegate_proxy.shared_body import PIECE_BYTES, SharedBody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shapegate_proxy.electric import Chunk, Sink, UpstreamAnswer
    from shapegate_proxy.shared_body import SharingBounds


def own_fault(fault: Refused) -> Refused:
    """Copy a fault for one of those whom it reaches, so that nobody's frames are added to another's."""
    copied = copy.copy(fault)
    copied.__cause__ = fault.__cause__
    return copied


async def take_ready(answer: UpstreamAnswer, chunks: list[Chunk], *, bytes_max: int) -> bool:
    """Add what is there of a body without waiting for more; returns whether that is all of it.

    Raises UpstreamFault or UpstreamTimeout if the body is cut short; what was there before is in `chunks`.
    """
    taken = 0
    while taken < bytes_max and answer.ready:
        chunk = await answer.next()
        if not chunk:
            return True
        chunks.append(chunk)
        taken += len(chunk) + PIECE_BYTES
    return False


class SharedStream:
    """The head of an answer, what is held of its body, and who waits for more of it."""

    __slots__ = ("_abandon", "_close_door", "_fault", "_news", "_room", "body", "framed", "headers", "status")

    def __init__(
        self,
        answer: UpstreamAnswer,
        bounds: SharingBounds,
        *,
        close_door: Callable[[], None],
        abandon: Callable[[], object],
    ) -> None:
        """Begin with nothing of the body, and nobody who reads it.

        `close_door` is called when nobody can join any more, `abandon` when the last reader left too early.
        """
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.framed: bool = answer.framed
        self.body = SharedBody(bounds)
        self._close_door = close_door
        self._abandon = abandon
        self._fault: Refused | None = None
        self._news: dict[asyncio.Future[None], SharedAnswer] = {}
        """What readers wait for who have taken all that is there."""
        self._room: asyncio.Future[None] | None = None
        """What `pump` waits for while enough is read ahead."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.body.ended or self._fault is not None

    def join(self) -> SharedAnswer:
        """Let one more read it from its start; its body must be joinable."""
        return SharedAnswer(self)

    def bring(self, chunk: Chunk) -> None:
        """Add bytes to what can be read, after they went to who waits: those have taken all before."""
        passed = []
        for news, reader in self._news.items():  # Whoever is woken goes on later, in its task.
            if news.done():
                continue
            if reader.passes(chunk):
                passed.append(reader)
            else:
                news.set_result(None)
        body = self.body
        body.append(chunk)
        if not body.joinable:
            self._close_door()
        for reader in passed:
            reader.advance()

    async def pump(self, answer: UpstreamAnswer) -> None:
        """Bring what comes to the readers, up to the end.

        Raises UpstreamFault or UpstreamTimeout if the body is cut short; `break_off` tells the readers.
        """
        body = self.body
        answer.pour(self._sink)
        while True:
            if not body.wants():
                self._room = asyncio.get_running_loop().create_future()
                await self._room
            chunk = await answer.next()
            if not chunk:
                break
            self.bring(chunk)
        body.finish()
        self._wake()

    def _sink(self, chunk: Chunk) -> bool:
        if not self.body.wants():
            return False
        self.bring(chunk)
        return True

    def break_off(self, fault: Refused) -> None:
        """End it with a fault, which each reader gets after what was there before; only the first counts."""
        if not self.over:
            self._fault = fault.with_traceback(None)
            self.body.stop_joining()
            self._wake()

    def check(self) -> None:
        """Raise what broke it off, if anything did."""
        if self._fault is not None:
            raise own_fault(self._fault)

    async def news(self, reader: SharedAnswer) -> None:
        """Wait for bytes that the reader's sink does not take, or for the end."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._news[news] = reader
        try:
            await news
        finally:
            self._news.pop(news, None)

    def taken(self) -> None:
        """Go on if the reader who took something needs more."""
        if self._room is not None and self.body.wants():
            room, self._room = self._room, None
            if not room.done():
                room.set_result(None)

    def left(self) -> None:
        """Say that a reader left."""
        if not self.body.readers and not self.over:
            self._abandon()

    def _wake(self) -> None:
        for news in self._news:
            if not news.done():
                news.set_result(None)


class SharedAnswer:
    """A shared answer as one of its readers has it."""

    __slots__ = ("_place", "_sink", "_stream")

    def __init__(self, stream: SharedStream) -> None:
        self._stream = stream
        self._place = stream.body.join()
        self._sink: Sink | None = None

    @property
    def status(self) -> int:
        """The status code."""
        return self._stream.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case."""
        return self._stream.headers

    @property
    def framed(self) -> bool:
        """Whether the end of the body shows in one way only."""
        return self._stream.framed

    @property
    def ready(self) -> bool:
        """Whether `next` has something to return, or to raise, without waiting."""
        return self._place.ready or self._place.cut or self._stream.over

    def take_whole(self) -> Chunk | None:
        """Nothing: it was not all there when it was shared."""
        return None

    async def next(self) -> Chunk:
        """Wait for the next bytes of the body; none are its end, also when asked again.

        Raises UpstreamFault or UpstreamTimeout if the body is cut short, or if the others went too far ahead.
        """
        stream, place = self._stream, self._place
        while not place.ready:
            if place.cut:
                raise UpstreamFault("This request fell too far behind those that share its answer")
            stream.check()
            await stream.news(self)
        chunk = place.take()
        stream.taken()
        return chunk

    def pour(self, sink: Sink) -> None:
        """Offer it what comes while `next` is waited for."""
        self._sink = sink

    def passes(self, chunk: Chunk) -> bool:
        """Offer the next bytes to a reader who waits, before they are added; says whether they were taken."""
        sink = self._sink
        return sink is not None and sink(chunk)

    def advance(self) -> None:
        """Go on behind these bytes, which were added."""
        self._place.take()
        self._stream.taken()

    def close(self) -> None:
        """Take nothing more; the last one ends the request at Electric. May be called again."""
        self._place.leave()
        self._stream.left()
