"""What was read of one shape since its last commit, and the way of it into the store.

Rows wait in memory, or past a bound in a copy aside on disk; they are committed with their position, at
up-to-date only (REQUIREMENTS C-39, T-01). A part is put aside while the next one is fetched, so that memory
is bounded (SECURITY L-07); its rows are read as they are written. Subsets are taken in between two commits.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client.commit import Aside, Commit
from shapegate_client.ddl import plan_table
from shapegate_client.fold import EMPTY, Batch, Folded, Load, Moves, Patch, Put, Remove, fold
from shapegate_client.pulse import Pulse
from shapegate_client.recent import Recent
from shapegate_client.subset import Ahead, admit, still_ahead
from shapegate_client.uninterrupted import uninterrupted
from shapegate_client.watch import CommittedBatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from shapegate_client.clock import Clock
    from shapegate_client.commit import Moved
    from shapegate_client.ddl import TableLayout
    from shapegate_client.decode import LogItem
    from shapegate_client.form import Key
    from shapegate_client.state import Position
    from shapegate_client.store import Store
    from shapegate_wire.identifier import TableName
    from shapegate_wire.message import SubsetRows
    from shapegate_wire.visibility import Visibility

INLINE_MESSAGES_MAX: Final = 500
"""More messages than that are folded on a thread, so that the event loop goes on."""
PART_ROWS: Final = 20_000
"""Less than Electric has in a chunk, so that each chunk of a snapshot is a part."""


@dataclass(slots=True)
class _Pending:
    """What was read since the last commit."""

    batch: Batch
    replacing: bool
    """Whether a new copy takes the place of the table at the end."""
    staged: bool = False
    """Whether part of it lies in the copy aside."""
    from_start: bool = False
    """Whether it was read from the start of the log, so that the first snapshot's end speaks of all rows."""
    ahead: tuple[Ahead, ...] = ()
    """The subsets whose rows are newer than what was read; a new copy has none."""

    @property
    def empty(self) -> bool:
        return not (self.replacing or len(self.batch))


@dataclass(frozen=True, slots=True)
class SubsetBehind:
    """The stream has already brought what the subset's snapshot does not show yet: a later one is needed."""


class Intake:
    """Takes the messages of one shape in; used by the task of its sync, and by those that fetch subsets."""

    def __init__(
        self, table: TableName, store: Store, *, organization_id: str, clock: Clock, pending_rows_max: int
    ) -> None:
        self._table = table
        self._store = store
        self._organization_id = organization_id
        self._clock = clock
        self._pending_rows_max = pending_rows_max
        self._committed: Position | None = None
        self._ahead: tuple[Ahead, ...] = ()
        self._pending = _Pending(EMPTY, replacing=False)
        self._recent = Recent(clock)
        # Messages are taken in, or a subset is fetched.
        self._turn = asyncio.Lock()
        self._moved = Pulse()

    @property
    def held(self) -> Batch:
        """What waits in memory."""
        return self._pending.batch

    def resume(self, position: Position | None, ahead: tuple[Ahead, ...] = ()) -> None:
        """Begin at a stored position with the subsets noted there, or with a new copy of the table."""
        self._committed, self._ahead = position, ahead
        if position is None:
            self.restart()
        else:
            self._pending = _Pending(EMPTY, replacing=False, ahead=ahead)
            self._moved.beat()

    def restart(self) -> None:
        """Drop what is pending: a new copy comes. Committed rows stay readable until it is complete."""
        self._pending = _Pending(EMPTY, replacing=True, from_start=True)

    def discard(self) -> None:
        """Drop what came after the last commit; it comes again."""
        self.resume(self._committed, self._ahead)

    @contextlib.asynccontextmanager
    async def held_still(self) -> AsyncIterator[Position]:
        """Wait until nothing is pending, and let nothing be taken in within the block: yields the position.

        So every row of a snapshot that is asked for within is at least as new as the stream, but for what
        `take_subset` finds out.
        """
        while True:
            await self._moved.until(lambda: self._settled_at is not None, timeout=None)
            async with self._turn:
                if self._settled_at is not None:
                    yield self._settled_at
                    return

    async def replaced(self, handle: str) -> None:
        """Wait until the rows are those of another log than this one."""
        await self._moved.until(
            lambda: self._settled_at is not None and self._settled_at.handle != handle, timeout=None
        )

    @property
    def _part_rows_max(self) -> int:
        """How many rows are held before they go to the copy aside.

        A copy that begins empty, or is begun already, takes them sooner: each part is read and written while
        the next one comes. To begin one from the rows that are there may be much work.
        """
        return min(self._pending_rows_max, PART_ROWS) if self._pending.replacing else self._pending_rows_max

    @property
    def _settled_at(self) -> Position | None:
        """The position of the rows; None while anything is pending."""
        return self._committed if self._pending.empty else None

    async def take_subset(self, subset: SubsetRows) -> CommittedBatch | SubsetBehind:
        """Commit the rows of a subset that was fetched within `held_still`, which still goes on.

        Their keys are told in the order of the answer. Raises MalformedResponse, and has changed nothing
        then; StoreError.
        """
        position, ahead = self._committed, Ahead.of(subset)
        assert position is not None  # `held_still` waited for it
        seen = (each.visibility for each in self._ahead)
        if not (self._recent.seen_by(ahead.visibility) and all(map(ahead.sees_all_of, seen))):
            return SubsetBehind()
        layout = plan_table(self._table, position.schema)
        batch = await _folded(EMPTY, subset.rows, layout)
        commit = Commit(
            layout=layout, batch=batch, position=position, at=self._clock.now(), ahead=(*self._ahead, ahead)
        )
        if len(batch):
            # Rows without the note that they are newer would go back in time.
            await uninterrupted(self._commit_subset(commit, ahead))
        return _describe(commit, ((),) * len(batch.steps), None, organization_id=self._organization_id)

    async def _commit_subset(self, commit: Commit, ahead: Ahead) -> None:
        await self._store.commit((commit,))
        self._ahead = (*self._ahead, ahead)
        if not self._pending.replacing:  # else the new copy, which was begun meanwhile, has no such rows
            self._pending.ahead = (*self._pending.ahead, ahead)

    async def take(
        self, messages: Sequence[LogItem], position: Position, *, up_to_date: bool
    ) -> CommittedBatch | None:
        """Fold messages in; at up-to-date commit all that is pending, and say what moved if anything did.

        Raises MalformedResponse or Misread, and has changed nothing then; StoreError.
        """
        async with self._turn:
            layout = plan_table(self._table, position.schema)
            admitted = admit(messages, self._pending.ahead)
            batch = await _folded(self._pending.batch, admitted.messages, layout)
            if admitted.shown_txids:
                batch = replace(batch, txids=batch.txids | admitted.shown_txids)
            if up_to_date:
                return await self._commit(layout, batch, position, still_ahead(admitted.ahead, messages))
            if len(batch) >= self._part_rows_max:
                await self._put_aside(layout, batch)
            else:
                self._pending.batch = await _settled(batch)
            self._pending.ahead = admitted.ahead
            return None

    async def _put_aside(self, layout: TableLayout, batch: Batch) -> None:
        """Write a part to the copy aside."""
        pending = self._pending
        await self._store.stage(
            layout, batch, begin=not pending.staged, copy=not (pending.replacing or pending.staged)
        )
        # The rows are there; their transactions are still to be told.
        self._pending = _Pending(
            Batch(txids=batch.txids, snapshot=batch.snapshot),
            replacing=True,
            staged=True,
            from_start=pending.from_start,
        )

    async def _commit(
        self, layout: TableLayout, batch: Batch, position: Position, ahead: tuple[Ahead, ...]
    ) -> CommittedBatch | None:
        pending, before = self._pending, self._committed
        moved = before is None or (before.handle, before.offset) != (position.handle, position.offset)
        if not (moved or len(batch) or pending.replacing or ahead != self._ahead):
            return None  # the long poll ended without news: nothing is worth a write
        if not pending.replacing:
            batch = await _settled(batch)  # its keys are told afterwards
        aside = None
        if pending.replacing:
            aside = Aside.COMPLETE if pending.staged else Aside.BEGIN
        commit = Commit(
            layout=layout,
            batch=batch,
            position=position,
            at=self._clock.now(),
            aside=aside,
            ahead=ahead if aside is not None or ahead != self._ahead else None,
        )
        (removed,) = await self._store.commit((commit,))
        self._recent.add(batch.txids)
        self.resume(position, ahead)
        if not (len(batch) or batch.txids or pending.replacing):
            return None
        snapshot = batch.snapshot if pending.from_start else None
        return _describe(commit, removed, snapshot, organization_id=self._organization_id)


async def _folded(held: Batch, messages: Sequence[LogItem], layout: TableLayout) -> Batch:
    if len(messages) <= INLINE_MESSAGES_MAX:
        return fold(held, messages, layout)
    return await asyncio.to_thread(fold, held, messages, layout)


async def _settled(batch: Batch) -> Batch:
    """Read what may be misread, before anything else is read. Raises Misread."""
    rows = sum(len(step) for step in batch.steps if isinstance(step, Load) and step.rows.read is None)
    if rows <= INLINE_MESSAGES_MAX:
        return batch.settled() if rows else batch
    return await asyncio.to_thread(batch.settled)


def _describe(
    commit: Commit, removed: Moved, snapshot: Visibility | None, *, organization_id: str
) -> CommittedBatch:
    words = {} if commit.aside is not None else _last_words(commit, removed)
    return CommittedBatch(
        table=commit.layout.name,
        organization_id=organization_id,
        offset=str(commit.position.offset),
        replaced=commit.aside is not None,
        inserted=tuple(key for key, word in words.items() if word is Put),
        updated=tuple(key for key, word in words.items() if word is Patch),
        deleted=tuple(key for key, word in words.items() if word is Remove),
        txids=commit.batch.txids,
        snapshot=snapshot,
    )


def _last_words(commit: Commit, removed: Moved) -> dict[Key, type[Put | Patch | Remove]]:
    """Say for each row what the whole batch did to it."""
    layout = commit.layout
    places = [layout.stored.index(name) for name in layout.key]
    words: dict[Key, type[Put | Patch | Remove]] = {}
    for step, hidden in zip(commit.batch.steps, removed, strict=True):
        match step:
            case Folded():
                for each in step.operations.values():
                    if not (isinstance(each, Patch) and words.get(each.key) is Put):
                        words[each.key] = type(each)
            case Load():
                for block in step.rows.blocks():
                    keys = zip(*(block[place :: step.rows.width] for place in places), strict=True)
                    words |= dict.fromkeys(keys, Put)
            case Moves():
                words |= dict.fromkeys(hidden, Remove)
            case never:
                assert_never(never)
    return words
