"""Concurrent requests of one key share one exchange with Electric.

An exchange belongs to nobody: it runs in a task of its own, goes on for whoever stays, and ends with its
last reader or at its end; what asks after that is asked anew. The key holds all that Electric is asked, the
scope's values among them, so that two orgs, or two users where the scope names the user, never share.
It runs at the pace of its foremost reader. A reader who falls too far behind the others is broken off and
asks again; who reads alone is waited for (`shared_body` has the bounds).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from shapegate_proxy.errors import Refused, UpstreamFault
from shapegate_proxy.shared_body import SharingBounds
from shapegate_proxy.shared_stream import SharedStream, own_fault, take_ready
from shapegate_proxy.whole_answer import WholeAnswer

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from shapegate_proxy.electric import Chunk, Deliver, ElectricState, UpstreamAnswer, UpstreamClient
    from shapegate_proxy.upstream import UpstreamRequest

    Outcome: TypeAlias = UpstreamAnswer | Refused
    _Waiting: TypeAlias = tuple[asyncio.Future[Outcome], Deliver | None, UpstreamAnswer]

ROUND: Final = 64
"""So many get a whole answer before the loop looks at everything else."""


class Collapsing:
    """A client that asks Electric once for all who ask the same at the same time."""

    def __init__(self, client: UpstreamClient, bounds: SharingBounds | None = None) -> None:
        self._client = client
        self._bounds = bounds or SharingBounds()
        self._joinable: dict[Hashable, _Exchange] = {}
        self._running: set[_Exchange] = set()

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        """Join the exchange of this key, or begin it; a HEAD, and what has a body, goes its own way."""
        if request.method != "GET" or request.body is not None:
            return await self._client.ask(request, deliver)
        exchange = self._joinable.get(request.key)
        if exchange is None:
            exchange = _Exchange(request.key, self._joinable, self._running)
            exchange.begin(self._client, request, self._bounds)
        elif exchange.stream is not None:
            return exchange.stream.join()
        return await exchange.answer(deliver)

    async def state(self) -> ElectricState:
        """Ask how Electric is; never raises."""
        return await self._client.state()

    async def close(self) -> None:
        """End every exchange, which is a fault to its readers, and close the client."""
        tasks = [exchange.abort() for exchange in tuple(self._running)]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    @property
    def running(self) -> int:
        """How many exchanges are under way."""
        return len(self._running)


def _deliver(loop: asyncio.AbstractEventLoop, waiting: Sequence[_Waiting], done: int) -> None:
    """Give the next of those who wait their answer, and wake all of them when everybody has it.

    Who has the answer is not in the way of who waits for it. uvloop sends what was written after each round,
    so that the first receive theirs while the others' are printed.
    """
    for head, deliver, whole in waiting[done : done + ROUND]:
        if deliver is not None and not head.done():
            deliver(whole)
    done += ROUND
    if done < len(waiting):
        loop.call_soon(_deliver, loop, waiting, done)
    else:
        loop.call_soon(_wake, waiting)


def _wake(waiting: Sequence[_Waiting]) -> None:
    for head, _, outcome in waiting:
        if not head.done():
            head.set_result(outcome)


class _Exchange:
    """One request to Electric, and who waits for the head of its answer."""

    __slots__ = ("_joinable", "_open", "_over", "_running", "_task", "_waiting", "key", "stream")

    _task: asyncio.Task[None]

    def __init__(self, key: Hashable, joinable: dict[Hashable, _Exchange], running: set[_Exchange]) -> None:
        self.key = key
        self._joinable = joinable
        self._running = running
        self._waiting: dict[asyncio.Future[Outcome], Deliver | None] = {}
        self._open = True
        self._over = False
        self.stream: SharedStream | None = None
        """What is under way of the answer, once its head is there."""

    def begin(self, client: UpstreamClient, request: UpstreamRequest, bounds: SharingBounds) -> None:
        """Ask Electric, and let others join."""
        self._joinable[self.key] = self
        self._running.add(self)
        self._task = asyncio.get_running_loop().create_task(self._run(client, request, bounds))
        self._task.add_done_callback(self._forget_task)

    def _forget_task(self, _: asyncio.Task[None]) -> None:
        del self._task  # If it was cancelled, it has the frames that this came through, and they have this.

    async def answer(self, deliver: Deliver | None = None) -> UpstreamAnswer:
        """Wait for the head, or have it delivered; the last one who is cancelled meanwhile ends the request.

        Raises UpstreamFault or UpstreamTimeout if no head comes.
        """
        head: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[head] = deliver
        try:
            outcome = await head
        except BaseException:
            self._leave(head)
            raise
        if isinstance(outcome, Refused):
            try:
                raise outcome
            finally:
                del outcome  # It has this frame, and would have this frame have it.
        return outcome

    def abort(self) -> asyncio.Task[None]:
        """End it now; who still waits for it gets a fault. Returns the task, which ends within a tick."""
        self._end(UpstreamFault("The gate ended this request"))
        self._task.cancel()
        return self._task

    async def _run(self, client: UpstreamClient, request: UpstreamRequest, bounds: SharingBounds) -> None:
        try:
            answer = await client.ask(request, self._hand_out)
            try:
                if not self._over:
                    await self._bring(answer, bounds)
            finally:
                answer.close()
        except Refused as exc:
            self._end(exc)
        finally:
            if not self._over:
                self._end(UpstreamFault("Electric's answer was not brought to its end"))

    async def _bring(self, answer: UpstreamAnswer, bounds: SharingBounds) -> None:
        """Hand out an answer that is all there as such, and any other one as it comes."""
        self._hand_out(answer)
        if self._over:
            return
        chunks: list[Chunk] = []
        try:
            whole = await take_ready(answer, chunks, bytes_max=bounds.ahead_bytes_max)
        except Refused:
            self._share(answer, chunks, bounds)
            raise
        if whole:
            self._hand_out_whole(answer, chunks)
            return
        await self._share(answer, chunks, bounds).pump(answer)
        self._settle()

    def _hand_out(self, answer: UpstreamAnswer) -> None:
        """Give an answer to all who wait if it is all there; else do nothing."""
        body = None if self._over else answer.take_whole()
        if body is not None:
            self._hand_out_whole(answer, (body,))

    def _hand_out_whole(self, answer: UpstreamAnswer, chunks: Sequence[Chunk]) -> None:
        status, headers, framed = answer.status, answer.headers, answer.framed
        self._settle()
        waiting = [
            (head, deliver, WholeAnswer(status, headers, chunks, framed=framed))
            for head, deliver in self._take_waiting().items()
        ]
        _deliver(asyncio.get_running_loop(), waiting, 0)

    def _share(self, answer: UpstreamAnswer, chunks: list[Chunk], bounds: SharingBounds) -> SharedStream:
        stream = SharedStream(answer, bounds, close_door=self._close_door, abandon=self.abort)
        self.stream = stream
        for head in self._take_waiting():
            head.set_result(stream.join())
        for chunk in chunks:
            stream.bring(chunk)
        return stream

    def _take_waiting(self) -> Mapping[asyncio.Future[Outcome], Deliver | None]:
        waiting = {head: deliver for head, deliver in self._waiting.items() if not head.done()}
        self._waiting.clear()
        return waiting

    def _leave(self, head: asyncio.Future[Outcome]) -> None:
        if head.done() and not head.cancelled():
            outcome = head.result()
            if not isinstance(outcome, Refused):
                outcome.close()
            return
        self._waiting.pop(head, None)
        if self._waiting or self._over or (self.stream is not None and self.stream.body.readers):
            return
        self.abort()

    def _end(self, fault: Refused) -> None:
        self._settle()
        if self.stream is not None:
            self.stream.break_off(fault)
        for head in self._take_waiting():
            head.set_result(own_fault(fault))

    def _settle(self) -> None:
        self._over = True
        self._close_door()
        self._running.discard(self)

    def _close_door(self) -> None:
        if self._open:
            self._open = False
            del self._joinable[self.key]
