"""The first to speak on a connection: it answers plain requests for shapes itself, all else is aiohttp's.

A connection on which anything else comes is given to aiohttp with all that was not read yet, for good. Until
then there is no parser, no task and no request object for it, which is most of what a held request costs.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from aiohttp.tcp_helpers import tcp_keepalive

from shapegate_proxy.front_responder import FrontResponder
from shapegate_proxy.plain_head import HeadReader, end_of_head, may_become_plain
from shapegate_proxy.plain_request import known_request, new_request

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.electric import Chunk
    from shapegate_proxy.incoming import Ground, Incoming, Responder, UnderWay
    from shapegate_proxy.places import Places
    from shapegate_proxy.printed_head import ClientHead, HeadPrinter

WAITING_BYTES_MAX: Final = 16 * 1024
"""How much is read of requests that wait behind the one under way."""
AT_ONCE_MAX: Final = 16
"""So many requests that wait are answered before everybody else is looked at."""
_JOINED: Final = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)
"""There asyncio does not say of `writelines` that a client takes nothing (CVE-2024-12254)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings:
    """What all connections of a server share."""

    places: Places
    reader: HeadReader
    printer: HeadPrinter
    serve: Callable[[Incoming, Responder], Awaitable[None]]
    """Answers one request; raises nothing but cancellation."""
    recall: Callable[[bytes], Admission | None]
    """Looks up what was found out about a request when the same head came before."""
    at_once: Callable[[Admission, Callable[[bytes], object]], bool] | None
    """Sends the answer to a request that came before, if it is there; None where none are kept."""
    begin: Callable[[Admission, Ground], UnderWay | None]
    """Sends a request that came before to Electric, if nothing has to be waited for."""
    give: Callable[[], asyncio.Protocol]
    """Makes who takes a connection over."""
    idle_seconds: float
    stall_seconds: float
    log: logging.Logger
    fronts: set[Front]
    """Every connection that is not aiohttp's."""


class Front(asyncio.Protocol):
    """One connection; see the module."""

    __slots__ = (
        "_buffer",
        "_closing",
        "_deadline",
        "_drained",
        "_flight",
        "_idle_timer",
        "_job",
        "_loop",
        "_read",
        "_reading_paused",
        "_settings",
        "_stall_timer",
        "_task",
        "_wanted",
        "transport",
        "writing_paused",
    )

    def __init__(self, settings: FrontSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        """What came: a piece of a head, or what waits behind a request."""
        self._read = 0
        """How much of it is done with."""
        self._flight: UnderWay | None = None
        """The request under way, if it went to Electric at once."""
        self._job: Callable[[], Awaitable[None]] | None = None
        """Answers the request under way, in the task."""
        self._task: asyncio.Task[None] | None = None
        """Answers one request after the other; made for the first one that needs it."""
        self._wanted: asyncio.Future[None] | None = None
        """What the task waits for while there is none."""
        self._closing = False
        self._deadline = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self.writing_paused = False
        """Whether the client has to take something before more is sent."""
        self._reading_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place; the deadline for the first head begins."""
        self.transport = cast("asyncio.Transport", transport)
        tcp_keepalive(self.transport)
        self._settings.fronts.add(self)
        if not self._settings.places.enter(self):
            self.abort()
            return
        self._rest()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002  # why does not matter
        """Let go of everything; a request under way ends."""
        self.transport = None
        self._leave()
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError("The client went away"))
        if self._flight is not None:
            self._flight.leave()
            self._flight = None
        if self._task is not None:
            self._task.cancel()

    @property
    def flying(self) -> bool:
        """Whether a request is under way without the task, of which nobody tells `places`."""
        return self._flight is not None and self._job is None

    @property
    def _busy(self) -> bool:
        """Whether a request is under way."""
        return self._flight is not None or self._job is not None

    def _leave(self) -> None:
        self._settings.fronts.discard(self)
        self._settings.places.leave(self)
        for timer in (self._idle_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._idle_timer = self._stall_timer = None

    def _rest(self) -> None:
        """Begin to wait for the next head."""
        self._deadline = self._loop.time() + self._settings.idle_seconds
        if self._idle_timer is None:
            self._idle_timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._idle_timer = None
        if self.transport is None or self._busy:
            return
        if self._loop.time() >= self._deadline:
            if self.transport.is_closing():
                self.abort()  # What was written last is not taken, and would keep the connection for ever.
                return
            self.transport.close()
            self._deadline += self._settings.stall_seconds
        self._idle_timer = self._loop.call_at(self._deadline, self._look)

    def data_received(self, data: bytes) -> None:
        """Take what came: a whole head, a piece of one, or what waits for its turn."""
        if not self._buffer and self._flight is None and self._job is None:
            # If it is the head of a request that came before, few steps are made until it is sent on.
            recall = self._settings.recall
            admission = recall(data)
            if admission is not None and self._take_known(admission, True):
                return
        waiting = self._waiting()
        self._buffer, self._read = waiting + data if waiting else data, 0
        if not self._busy:
            self._advance()
        if len(self._buffer) - self._read > WAITING_BYTES_MAX and not self._reading_paused and self.transport:
            self._reading_paused = True
            self.transport.pause_reading()

    def _take_known(self, admission: Admission, at_once: bool) -> bool:
        """Answer a request that was admitted before, or send it on, if nothing has to be waited for."""
        transport, settings = self.transport, self._settings
        if self.writing_paused or self._closing or transport is None or transport.is_closing():
            return False
        send_kept, begin = settings.at_once, settings.begin
        if at_once and send_kept is not None and send_kept(admission, transport.write):
            settings.places.end(self)
            self._rest()
            return True
        flight = self._flight = begin(admission, self)
        return flight is not None

    def _waiting(self) -> bytes:
        return self._buffer[self._read :] if self._read else self._buffer

    def _advance(self) -> None:
        """Begin with the next request, if it is there, after those that are answered at once."""
        left = AT_ONCE_MAX
        while self._read < len(self._buffer):
            if self.transport is None or self.transport.is_closing():
                return
            end = end_of_head(self._buffer, self._read)
            if end is None and may_become_plain(self._waiting()):
                return
            head = None if end is None else self._buffer[self._read : end]
            if head is None or end is None or not self._take(head, at_once=left > 0):
                self._give_away()
                return
            self._read, left = end, left - 1
            if self._busy:
                break
        if self._read == len(self._buffer):
            self._buffer, self._read = b"", 0

    def _take(self, head: bytes, *, at_once: bool) -> bool:
        """Answer a request now, if that may be, or begin to; False if it is not plain."""
        settings = self._settings
        admission = settings.recall(head)
        if admission is None:
            plain = settings.reader.read(head)
            if plain is None:
                return False
            origin = next(iter(plain.values("origin")), None)
            incoming = new_request(plain, head, peer=self._peer)
        else:
            if self._take_known(admission, at_once):
                return True
            origin = admission.origin
            incoming = known_request(admission, head, settings.reader, peer=self._peer)
        self.take_over(partial(settings.serve, incoming, self.responder(origin)))
        return True

    def take_over(self, answering: Callable[[], Awaitable[None]]) -> None:
        """Answer the request under way in the task."""
        self._job = answering
        if self._task is None:
            self._task = self._loop.create_task(self._work())
            self._task.add_done_callback(self._ended)
        elif self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
            self._wanted = None

    async def _work(self) -> None:
        """Answer requests until the connection ends; one task for all is cheaper than one for each."""
        while True:
            while self._job is not None:
                await self._job()
                self.landed()
                if self._job is not None:
                    await asyncio.sleep(0)  # Who sends many at once waits behind everybody else.
            if self.transport is None or self._closing:
                return
            wanted = self._wanted = self._loop.create_future()
            await wanted

    def at_once(self) -> bool:
        """Say whether nothing that was sent before waits to be taken."""
        return self.transport is not None and not self.writing_paused and not self.transport.is_closing()

    def answer_now(
        self, status: int, head: ClientHead, body: Chunk, origin: str | None, request_id: str
    ) -> None:
        """Send a whole answer; only if `at_once`."""
        if self.transport is not None:
            printed = self._settings.printer.print_whole(status, head, body, origin, request_id)
            self.transport.write(printed)

    def responder(self, origin: str | None) -> FrontResponder:
        """Make who answers a request of this connection."""
        return FrontResponder(self, origin, self._settings.printer)

    def _give_away(self) -> None:
        """Let aiohttp speak from here on, and read what was not read."""
        transport, data, paused = self.transport, self._waiting(), self.writing_paused
        assert transport is not None
        self._leave()
        if self._task is not None:
            self._task.cancel()
        self.transport, self._buffer, self._read = None, b"", 0
        taker = self._settings.give()
        if self._reading_paused:
            self._reading_paused = False
            transport.resume_reading()
        transport.set_protocol(taker)
        taker.connection_made(transport)
        if paused:
            taker.pause_writing()
        if not transport.is_closing():
            taker.data_received(data)

    def _peer(self) -> str | None:
        peer = self.transport.get_extra_info("peername") if self.transport else None
        return peer[0] if peer else None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the connection with its task, whatever ended that."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._settings.log.error("An error escaped the boundary", exc_info=error)
            self.abort()
        if self._flight is not None:
            self._flight.leave()
        # They keep the frames that its cancellation came through.
        self._flight = self._job = self._task = self._wanted = None
        if self.transport is not None:
            self.transport.close()

    def landed(self) -> None:
        """Go on with what came meanwhile: the request under way is answered."""
        self._flight = self._job = None
        transport = self.transport
        if transport is None:
            return
        if self._closing:
            transport.close()
            return
        self._settings.places.end(self)
        self._rest()
        self._advance()
        if self._reading_paused and len(self._buffer) - self._read <= WAITING_BYTES_MAX:
            self._reading_paused = False
            transport.resume_reading()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take something of its answer."""
        self.writing_paused = True
        self._stall_timer = self._loop.call_later(self._settings.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        """End to wait: it did."""
        self.writing_paused = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def keep_place(self) -> None:
        """Count as one with a request under way: who asks is known."""
        self._settings.places.begin(self)

    def make_room_for_others(self) -> None:
        """Count as one that idles, though an answer may have to wait: anybody is given a refusal."""
        self._settings.places.end(self)

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    async def send(self, pieces: Chunk | list[Chunk]) -> None:
        """Send; returns when more may be sent. Raises ConnectionResetError if the client is gone."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("The client went away")
        if not isinstance(pieces, list):
            self.transport.write(pieces)
        elif _JOINED:
            self.transport.write(b"".join(pieces))
        else:
            self.transport.writelines(pieces)
        if self.writing_paused:
            if self._drained is None:
                self._drained = self._loop.create_future()
            await self._drained

    def stop(self) -> None:
        """Close the connection now, or after the answer under way."""
        self._closing = True
        if not self._busy and self.transport is not None:
            self.transport.close()

    async def finish(self, *, seconds: float) -> None:
        """Wait for the answer under way, at most so long; then end it."""
        if self._flight is not None:
            self._flight.take_task()
        task = self._task
        if task is not None:
            if self._busy:
                await asyncio.wait([task], timeout=seconds)
            task.cancel()
            await asyncio.wait([task])
        if self.transport is not None:
            self.transport.close()
