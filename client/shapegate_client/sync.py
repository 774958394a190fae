"""Keeps one shape in step: ask or listen, decide by the pure state machine, take in, commit.

The loop carries steps out and decides nothing: `on_answer` and `on_news` do (REPLAY.md). What arrives
goes through `intake`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, assert_never

from shapegate_client.breaker import Draw
from shapegate_client.config import LiveMode
from shapegate_client.errors import Unreachable
from shapegate_client.event import Answered, Failed, Malformed, Woken, read_strictly
from shapegate_client.inserts import Inserts, Misread
from shapegate_client.intake import Intake
from shapegate_client.listening import on_news
from shapegate_client.prefetch import Prefetch
from shapegate_client.slumber import Slept, Vigil
from shapegate_client.state import Streaming, next_request, resume, wake
from shapegate_client.step import Again, Deliver, Halt, HangUp, Listen, RenewToken, Restart, Wait
from shapegate_client.subset_fetch import SubsetFetch
from shapegate_client.transition import on_answer
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.identifier import parse_table
from shapegate_wire.message import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from shapegate_client.clock import Clock
    from shapegate_client.config import ClientSettings
    from shapegate_client.decode import LogItem
    from shapegate_client.event import Answer
    from shapegate_client.principal import AccessToken, Credentials
    from shapegate_client.state import Asking, Position, State
    from shapegate_client.step import Step
    from shapegate_client.store import Store
    from shapegate_client.transport import EventStream, Transport
    from shapegate_client.watch import CommittedBatch
    from shapegate_wire.shape import ShapeDefinition
    from shapegate_wire.subset import SubsetRequest

T = TypeVar("T")


class SyncReport(Protocol):
    """Who hears how a shape is doing."""

    def committed(self, batch: CommittedBatch) -> None:
        """Rows moved."""
        ...

    def answered(self, *, up_to_date: bool) -> None:
        """The proxy gave an answer that fits, maybe up to the end of the log."""
        ...

    def received(self, *, body_bytes: int = 0, rows: int = 0) -> None:
        """A part of an answer came, or all of it was understood."""
        ...

    def unreachable(self, reason: str) -> None:
        """The proxy or the issuer did not answer, or said: later."""
        ...


class ShapeSync:
    """The sync of one shape in one org; `run` it in a task, cancel the task to end it."""

    def __init__(
        self,
        definition: ShapeDefinition,
        *,
        store: Store,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
        settings: ClientSettings,
        report: SyncReport,
    ) -> None:
        self._definition = definition
        self._store = store
        self._transport = transport
        self._prefetch = Prefetch(transport, clock)
        self._credentials = credentials
        self._organization_id = store.owner.organization_id
        self._clock = clock
        self._settings = settings
        self._report = report
        self._vigil = Vigil(clock, look_seconds=settings.look_seconds)
        self._rejected: AccessToken | None = None
        self._token: AccessToken | None = None
        self._stream: EventStream | None = None
        self._intake = Intake(
            parse_table(definition.table),
            store,
            organization_id=self._organization_id,
            clock=clock,
            pending_rows_max=settings.pending_rows_max,
        )

    async def run(self, position: Position | None) -> None:
        """Sync from a stored position until cancelled. Raises ClientError when it can go on no more."""
        state: State = resume(position)
        self._intake.resume(position, () if position is None else await self._store.ahead(self._definition))
        try:
            while True:
                step = await (self._listen(state) if isinstance(state, Streaming) else self._exchange(state))
                state = await self._carry_out(step)
        finally:
            self._hang_up()
            await self._prefetch.drop()

    async def fetch_subset(self, subset: SubsetRequest) -> CommittedBatch:
        """Put rows into the table that are asked for on demand, while `run` goes on in another task.

        Waits while nothing is complete yet; the caller bounds the time. Raises ClientError.
        """
        fetch = SubsetFetch(
            self._definition,
            subset,
            organization_id=self._organization_id,
            intake=self._intake,
            transport=self._transport,
            credentials=self._credentials,
            clock=self._clock,
        )
        batch = await fetch.run()
        if batch.inserted:
            self._report.committed(batch)
        return batch

    async def _exchange(self, state: Asking) -> Step:
        asked_at = self._clock.monotonic()
        answer = await self._unless_slept(self._ask(state))
        decide = partial(on_answer, state, asked_at=asked_at, at=self._clock.monotonic(), draw=self._draw())
        try:
            return await self._take_in(decide(answer), decide)
        except Misread:
            # Nothing was changed: what it says otherwise may make another step of it.
            assert isinstance(answer, Answered)  # only a log has rows to be misread
            answer = await asyncio.to_thread(read_strictly, answer)
            return await self._take_in(decide(answer), decide)

    async def _listen(self, state: Streaming) -> Step:
        assert self._stream is not None  # it came with this state, and is closed by the step that ends it
        news = await self._unless_slept(self._stream.next())
        decide = partial(on_news, state, at=self._clock.monotonic(), draw=self._draw())
        return await self._take_in(decide(news), decide)

    async def _ask(self, state: Asking) -> Answer:
        self._hang_up()
        try:
            token = await self._credentials.token(self._organization_id, rejected=self._rejected)
        except Unreachable as exc:
            return Failed(reason=str(exc))
        self._token, self._rejected = token, None
        streams = self._settings.live_mode is LiveMode.SSE
        request = next_request(state, self._definition, streams=streams)
        answer, self._stream = await self._prefetch.ask(
            request,
            token,
            booked_until=state.guard.booked_until,
            on_bytes=lambda count: self._report.received(body_bytes=count),
        )
        return answer

    async def _carry_out(self, step: Step) -> State:
        """Do what a step says besides taking messages in, and return the state that follows."""
        if not isinstance(step, Deliver):
            await self._prefetch.drop()
        match step:
            case Deliver():
                self._report.answered(up_to_date=step.up_to_date)
                return await self._paused(step.state, step.pause_seconds)
            case Listen():
                self._report.answered(up_to_date=False)
                return step.state
            case HangUp():
                self._hang_up()
                self._intake.discard()
                if step.reason is not None:
                    self._report.unreachable(step.reason)
                return await self._paused(step.state, step.pause_seconds)
            case Restart():
                self._hang_up()
                self._intake.restart()
                return await self._paused(step.state, step.pause_seconds)
            case Again():
                return await self._paused(step.state, step.pause_seconds)
            case RenewToken():
                self._rejected = self._token
                return await self._paused(step.state, step.pause_seconds)
            case Wait():
                self._report.unreachable(step.reason)
                return await self._paused(step.state, step.pause_seconds)
            case Halt():
                raise step.error
            case never:
                assert_never(never)

    async def _paused(self, state: State, seconds: float) -> State:
        """Wait before the next request; after a sleep of the machine no longer than is left of the wait."""
        ends_at = self._clock.monotonic() + seconds if seconds > 0 else 0.0
        while seconds > 0:
            slept = await self._vigil.unless_slept(self._clock.sleep(seconds))
            if slept is None:
                break
            await self._prefetch.drop()
            state, ends_at = wake(state), ends_at - slept.seconds
            seconds = ends_at - self._clock.monotonic()
        return state

    async def _unless_slept(self, work: Coroutine[Any, Any, T]) -> T | Woken:
        done = await self._vigil.unless_slept(work)
        return Woken() if isinstance(done, Slept) else done

    def _draw(self) -> Draw:
        return Draw(jitter=self._clock.chance(), buster=f"{int(self._clock.chance() * 2**52):013x}")

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _take_in(self, step: Step, decide: Callable[[Malformed], Step]) -> Step:
        """Take a delivery in. What does not fit has changed nothing: then the same is asked again."""
        if not isinstance(step, Deliver):
            return step
        rows = sum(map(_count_rows, step.messages))
        try:
            batch = await self._intake.take(step.messages, step.state.position, up_to_date=step.up_to_date)
        except MalformedResponse as exc:
            return decide(Malformed(str(exc)))
        self._report.received(rows=rows)
        if batch is not None:
            self._report.committed(batch)
        # The rows have been taken in: they are not to be held until the next ones are there.
        return replace(step, messages=())


def _count_rows(item: LogItem) -> int:
    return len(item) if isinstance(item, Inserts) else isinstance(item, Change)
