"""Keeps one shape in step: ask, decide by the pure state machine, take in, commit.

The loop carries steps out and decides nothing: `on_event` does. Rows wait in memory, or past a bound
in a copy aside on disk; they are committed with their position, at up-to-date only.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from shapegate_client.ddl import plan_table
from shapegate_client.errors import Unreachable
from shapegate_client.event import Event, Failed, Malformed
from shapegate_client.fold import Batch, Patch, Put, Remove, fold
from shapegate_client.state import State, next_request, resume
from shapegate_client.transition import Again, Deliver, Draw, Halt, RenewToken, Restart, Wait, on_event
from shapegate_client.watch import CommittedBatch
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.identifier import parse_table

if TYPE_CHECKING:
    from shapegate_client.clock import Clock
    from shapegate_client.config import ClientSettings
    from shapegate_client.ddl import TableLayout
    from shapegate_client.principal import AccessToken, Credentials
    from shapegate_client.state import Position
    from shapegate_client.store import Store
    from shapegate_client.transition import Step
    from shapegate_client.transport import Transport
    from shapegate_wire.message import Message
    from shapegate_wire.shape import ShapeDefinition

INLINE_MESSAGES_MAX: Final = 500
"""More messages than that are folded on a thread, so that the event loop goes on."""


class SyncReport(Protocol):
    """Who hears how a shape is doing."""

    def committed(self, batch: CommittedBatch) -> None:
        """Rows moved."""
        ...

    def answered(self, *, up_to_date: bool) -> None:
        """The proxy gave an answer that fits, maybe up to the end of the log."""
        ...

    def unreachable(self, reason: str) -> None:
        """The proxy or the issuer did not answer, or said: later."""
        ...


@dataclass(slots=True)
class _Pending:
    """What was read since the last commit."""

    batch: Batch
    replacing: bool
    """Whether a new copy takes the place of the table at the end."""
    staged: bool = False
    """Whether part of it lies in the copy aside."""


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
        self._table = parse_table(definition.table)
        self._store = store
        self._transport = transport
        self._credentials = credentials
        self._organization_id = store.owner.organization_id
        self._clock = clock
        self._settings = settings
        self._report = report
        self._rejected: AccessToken | None = None
        self._token: AccessToken | None = None
        self._committed: Position | None = None
        self._pending = _Pending({}, replacing=False)

    async def run(self, position: Position | None) -> None:
        """Sync from a stored position until cancelled. Raises ClientError when it can go on no more."""
        state: State = resume(position)
        self._committed = position
        self._pending = _Pending({}, replacing=position is None)
        while True:
            asked_at = self._clock.monotonic()
            event = await self._ask(state)
            draw = Draw(jitter=self._clock.chance(), buster=f"{int(self._clock.chance() * 2**52):013x}")
            step = on_event(state, event, asked_at=asked_at, draw=draw)
            if isinstance(step, Deliver):
                try:
                    await self._take_in(step)
                except MalformedResponse as exc:
                    # Nothing was taken in: the same is asked again, from the state before.
                    step = on_event(state, Malformed(str(exc)), asked_at=asked_at, draw=draw)
            state = await self._carry_out(step)

    async def _ask(self, state: State) -> Event:
        try:
            token = await self._credentials.token(self._organization_id, rejected=self._rejected)
        except Unreachable as exc:
            return Failed(reason=str(exc))
        self._token, self._rejected = token, None
        return await self._transport.fetch(next_request(state, self._definition), token)

    async def _carry_out(self, step: Step) -> State:
        """Do what a step says besides taking messages in, and return the state that follows."""
        match step:
            case Deliver():
                self._report.answered(up_to_date=step.up_to_date)
                await self._pause(step.pause_seconds)
                return step.state
            case Restart():
                self._pending = _Pending({}, replacing=True)
                await self._pause(step.pause_seconds)
                return step.state
            case Again():
                return step.state
            case RenewToken():
                self._rejected = self._token
                return step.state
            case Wait():
                self._report.unreachable(step.reason)
                await self._pause(step.seconds)
                return step.state
            case Halt():
                raise step.error
            case never:
                assert_never(never)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    async def _take_in(self, step: Deliver) -> None:
        """Fold the messages in and, at up-to-date, commit.

        Raises MalformedResponse, and has changed nothing then.
        """
        pending, position = self._pending, step.state.position
        layout = plan_table(self._table, position.schema)
        batch = await _folded(pending.batch, step.messages, layout)
        if step.up_to_date:
            await self._commit(layout, batch, position)
        elif len(batch) >= self._settings.pending_rows_max:
            copy = not pending.replacing
            await self._store.stage(layout, batch, begin=not pending.staged, copy=copy and not pending.staged)
            self._pending = _Pending({}, replacing=True, staged=True)
        else:
            pending.batch = batch

    async def _commit(self, layout: TableLayout, batch: Batch, position: Position) -> None:
        pending, before = self._pending, self._committed
        moved = before is None or (before.handle, before.offset) != (position.handle, position.offset)
        if not (moved or batch or pending.replacing):
            return  # the long poll ended without news: nothing is worth a write
        now = self._clock.now()
        if pending.replacing:
            await self._store.replace(layout, batch, position, now, begin=not pending.staged)
        else:
            await self._store.apply(layout, batch, position, now)
        self._committed = position
        self._pending = _Pending({}, replacing=False)
        if batch or pending.replacing:
            self._report.committed(self._describe(layout, batch, position, replaced=pending.replacing))

    def _describe(
        self, layout: TableLayout, batch: Batch, position: Position, *, replaced: bool
    ) -> CommittedBatch:
        details = () if replaced else tuple(batch.values())
        return CommittedBatch(
            table=layout.name,
            organization_id=self._organization_id,
            offset=str(position.offset),
            replaced=replaced,
            inserted=tuple(each.key for each in details if isinstance(each, Put)),
            updated=tuple(each.key for each in details if isinstance(each, Patch)),
            deleted=tuple(each.key for each in details if isinstance(each, Remove)),
        )


async def _folded(held: Batch, messages: tuple[Message, ...], layout: TableLayout) -> Batch:
    if len(messages) <= INLINE_MESSAGES_MAX:
        return fold(held, messages, layout)
    return await asyncio.to_thread(fold, held, messages, layout)
