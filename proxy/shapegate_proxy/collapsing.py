"""Concurrent requests of one key share one exchange with Electric.

An exchange belongs to nobody: it runs in a task of its own, goes on for whoever stays, and ends with its
last reader or at its end; what asks after that is asked anew. The key holds all that Electric is asked, the
scope's values among them, so that two orgs, or two users where the scope names the user, never share.
It runs at the pace of its foremost reader. A reader who falls too far behind the others is broken off and
asks again; who reads alone is waited for (`shared_body` has the bounds).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from shapegate_proxy.errors import Refused, UpstreamFault
from shapegate_proxy.shared_body import SharingBounds
from shapegate_proxy.shared_stream import SharedStream, own_fault, take_ready
from shapegate_proxy.whole_answer import WholeAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

    from shapegate_proxy.electric import (
        Begun,
        Chunk,
        Deliver,
        ElectricState,
        UpstreamAnswer,
        UpstreamClient,
        Watcher,
    )
    from shapegate_proxy.upstream import UpstreamRequest

    Outcome: TypeAlias = UpstreamAnswer | Refused

ROUND: Final = 64
"""So many get a whole answer before the loop looks at everything else."""


class Collapsing:
    """A client that asks Electric once for all who ask the same at the same time."""

    def __init__(self, client: UpstreamClient, bounds: SharingBounds | None = None) -> None:
        self._client = client
        self._bounds = bounds or SharingBounds()
        self._joinable: dict[Hashable, _Exchange] = {}
        self._running: set[_Exchange] = set()

    def begin(self, request: UpstreamRequest) -> Begun | None:
        """Join the exchange of this key, or begin it; one that is a stream by now is for `ask` to join."""
        if request.method != "GET" or request.body is not None:
            return self._client.begin(request)
        exchange = self._joinable.get(request.key)
        if exchange is None:
            begun = self._client.begin(request)
            if begun is None:
                return None
            exchange = self._exchange(request)
            exchange.watch(begun)
        elif exchange.stream is not None:
            return None
        return exchange.wait()

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        """Join the exchange of this key, or begin it; a HEAD, and what has a body, goes its own way."""
        if request.method != "GET" or request.body is not None:
            return await self._client.ask(request, deliver)
        exchange = self._joinable.get(request.key)
        if exchange is None:
            exchange = self._exchange(request)
            exchange.begin(self._client, request)
        elif exchange.stream is not None:
            return exchange.stream.join()
        return await exchange.wait(deliver).answer()

    def _exchange(self, request: UpstreamRequest) -> _Exchange:
        return _Exchange(request.key, self._joinable, self._running, self._bounds)

    async def state(self) -> ElectricState:
        """Ask how Electric is; never raises."""
        return await self._client.state()

    async def close(self) -> None:
        """End every exchange, which is a fault to its readers, and close the client."""
        tasks = [exchange.task for exchange in self._running if exchange.task is not None]
        for exchange in tuple(self._running):
            exchange.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    @property
    def running(self) -> int:
        """How many exchanges are under way."""
        return len(self._running)


class _Waiter:
    """Who waits for the head of an answer: a task by `answer`, or nobody, who is called instead."""

    __slots__ = ("_deliver", "_exchange", "_head", "_left", "_watcher", "outcome")

    def __init__(self, exchange: _Exchange, deliver: Deliver | None) -> None:
        self._exchange = exchange
        self._head: asyncio.Future[None] | None = None
        self._left = False
        self._deliver = deliver
        self._watcher: Watcher | None = None
        self.outcome: Outcome | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell what becomes of it while no task waits."""
        self._watcher = watcher

    async def answer(self) -> UpstreamAnswer:
        """Wait for the head; the last one who is cancelled meanwhile ends the request.

        Raises UpstreamFault or UpstreamTimeout if no head comes.
        """
        self._watcher = None
        if self.outcome is None:
            self._exchange.persist()
            self._head = asyncio.get_running_loop().create_future()
            try:
                await self._head
            except BaseException:
                self.leave()
                raise
        outcome = self.outcome
        assert outcome is not None
        if isinstance(outcome, Refused):
            try:
                raise outcome
            finally:
                del outcome  # It has this frame, and would have this frame have it.
                self.outcome = None
        return outcome

    def leave(self) -> None:
        """Want nothing any more."""
        self._left, self._deliver, self._watcher = True, None, None
        if self.outcome is None:
            self._exchange.leave(self)
        elif not isinstance(self.outcome, Refused):
            self.outcome.close()

    def offer(self, whole: UpstreamAnswer) -> None:
        """Give an answer that is all there to who is not in the way of anybody else by being woken."""
        if self._left:
            return
        self.outcome = whole
        watcher, self._watcher = self._watcher, None
        deliver, self._deliver = self._deliver, None
        if watcher is not None:
            watcher.deliver(whole)
        elif deliver is not None:
            deliver(whole)

    def settle(self, outcome: Outcome) -> None:
        """Say what came of it."""
        self.outcome = outcome
        watcher, self._deliver, self._watcher = self._watcher, None, None
        if watcher is not None:
            watcher.stuck()
        self.wake()

    @property
    def sleeps(self) -> bool:
        """Whether a task waits."""
        return self._head is not None

    def wake(self) -> None:
        """Let a task that waits go on."""
        if self._head is not None and not self._head.done():
            self._head.set_result(None)


def _offer_all(
    loop: asyncio.AbstractEventLoop, waiting: Sequence[tuple[_Waiter, UpstreamAnswer]], done: int
) -> None:
    """Give the next of those who wait their answer, and wake all of them when everybody has it.

    Who has the answer is not in the way of who waits for it.
    """
    for waiter, whole in waiting[done : done + ROUND]:
        waiter.offer(whole)
    done += ROUND
    if done < len(waiting):
        loop.call_soon(_offer_all, loop, waiting, done)
    elif any(waiter.sleeps for waiter, _ in waiting):
        loop.call_soon(_wake, waiting)


def _wake(waiting: Sequence[tuple[_Waiter, UpstreamAnswer]]) -> None:
    for waiter, _ in waiting:
        waiter.wake()


class _Exchange:
    """One request to Electric, and who waits for the head of its answer."""

    __slots__ = (
        "_begun",
        "_bounds",
        "_joinable",
        "_open",
        "_over",
        "_running",
        "_waiting",
        "key",
        "stream",
        "task",
    )

    def __init__(
        self,
        key: Hashable,
        joinable: dict[Hashable, _Exchange],
        running: set[_Exchange],
        bounds: SharingBounds,
    ) -> None:
        self.key = key
        self._joinable = joinable
        self._running = running
        self._bounds = bounds
        self._waiting: dict[_Waiter, None] = {}
        self._begun: Begun | None = None
        """The request, while it is under way without a task."""
        self._open = False
        self._over = False
        self.task: asyncio.Task[None] | None = None
        """Brings the answer; none is needed for one that comes in one piece."""
        self.stream: SharedStream | None = None
        """What is under way of the answer, once its head is there."""

    def begin(self, client: UpstreamClient, request: UpstreamRequest) -> None:
        """Ask Electric in a task, and let others join."""
        self._register()
        self._start(partial(client.ask, request, self._hand_out))

    def watch(self, begun: Begun) -> None:
        """Hand out the answer to a request that is under way, and let others join."""
        self._begun = begun
        begun.watch(self)
        self._register()

    def _register(self) -> None:
        self._open = True
        self._joinable[self.key] = self
        self._running.add(self)

    def _start(self, ask: Callable[[], Awaitable[UpstreamAnswer]]) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run(ask))
        self.task.add_done_callback(self._forget_task)

    def _forget_task(self, _: asyncio.Task[None]) -> None:
        self.task = None  # If it was cancelled, it has the frames that this came through, and they have this.

    def deliver(self, answer: UpstreamAnswer) -> None:
        """Hand out what came in one piece, unless a task is about to ask for it."""
        if self.task is not None:
            return
        self._begun = None
        self._hand_out(answer)
        answer.close()

    def persist(self) -> None:
        """See that somebody waits for the answer: it takes longer than a moment."""
        if self._begun is not None:
            self.stuck()

    def stuck(self) -> None:
        """Bring in a task what did not come in one piece, or not soon; may be called again.

        Until the task has begun, `_begun` still tells what becomes of it: uvloop reads sockets in between.
        """
        if self.task is None:
            self._start(self._begun_answer)

    async def _begun_answer(self) -> UpstreamAnswer:
        begun, self._begun = self._begun, None
        assert begun is not None  # whoever takes it leaves it once there is a task, or cancels that
        return await begun.answer()

    def wait(self, deliver: Deliver | None = None) -> _Waiter:
        """Add one who waits for the head, or is called when it is there; see `UpstreamClient`."""
        waiter = _Waiter(self, deliver)
        self._waiting[waiter] = None
        return waiter

    def leave(self, waiter: _Waiter) -> None:
        """Wait for one less; the last one ends the request."""
        self._waiting.pop(waiter, None)
        if self._waiting or self._over or (self.stream is not None and self.stream.body.readers):
            return
        self.abort()

    def abort(self) -> None:
        """End it now; who still waits for it gets a fault. A task ends within a tick."""
        self._end(UpstreamFault("The gate ended this request"))
        if self._begun is not None:
            begun, self._begun = self._begun, None
            begun.leave()
        if self.task is not None:
            self.task.cancel()

    async def _run(self, ask: Callable[[], Awaitable[UpstreamAnswer]]) -> None:
        try:
            answer = await ask()
            try:
                if not self._over:
                    await self._bring(answer)
            finally:
                answer.close()
        except Refused as exc:
            self._end(exc)
        finally:
            if not self._over:
                self._end(UpstreamFault("Electric's answer was not brought to its end"))

    async def _bring(self, answer: UpstreamAnswer) -> None:
        """Hand out an answer that is all there as such, and any other one as it comes."""
        self._hand_out(answer)
        if self._over:
            return
        chunks: list[Chunk] = []
        try:
            whole = await take_ready(answer, chunks, bytes_max=self._bounds.ahead_bytes_max)
        except Refused:
            self._share(answer, chunks)
            raise
        if whole:
            self._hand_out_whole(answer, chunks)
            return
        await self._share(answer, chunks).pump(answer)
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
            (waiter, WholeAnswer(status, headers, chunks, framed=framed)) for waiter in self._take_waiting()
        ]
        _offer_all(asyncio.get_running_loop(), waiting, 0)

    def _share(self, answer: UpstreamAnswer, chunks: list[Chunk]) -> SharedStream:
        stream = SharedStream(answer, self._bounds, close_door=self._close_door, abandon=self.abort)
        self.stream = stream
        for waiter in self._take_waiting():
            waiter.settle(stream.join())
        for chunk in chunks:
            stream.bring(chunk)
        chunks.clear()  # Else the first of them would be kept as long as the answer comes.
        return stream

    def _take_waiting(self) -> Iterable[_Waiter]:
        waiting, self._waiting = self._waiting, {}
        return waiting

    def _end(self, fault: Refused) -> None:
        self._settle()
        if self.stream is not None:
            self.stream.break_off(fault)
        for waiter in self._take_waiting():
            waiter.settle(own_fault(fault))

    def _settle(self) -> None:
        self._over = True
        self._close_door()
        self._running.discard(self)

    def _close_door(self) -> None:
        if self._open:
            self._open = False
            del self._joinable[self.key]
