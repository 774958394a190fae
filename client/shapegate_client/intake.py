"""What was read of one shape since its last commit, and the way of it into the store.

Rows wait in memory, or past a bound in a copy aside on disk; they are committed with their position, at
up-to-date only (REQUIREMENTS C-39, T-01). A part is put aside while the next one is fetched and decoded, one
at a time, so that memory is bounded (SECURITY L-07).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client.ddl import plan_table
from shapegate_client.fold import EMPTY, Batch, Folded, Load, Moves, Patch, Put, Remove, fold
from shapegate_client.store import Aside, Commit
from shapegate_client.watch import CommittedBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_client.clock import Clock
    from shapegate_client.ddl import TableLayout
    from shapegate_client.decode import LogItem
    from shapegate_client.fold import Key
    from shapegate_client.state import Position
    from shapegate_client.store import Moved, Store
    from shapegate_wire.identifier import TableName
    from shapegate_wire.visibility import Visibility

INLINE_MESSAGES_MAX: Final = 500
"""More messages than that are folded on a thread, so that the event loop goes on."""


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


class Intake:
    """Takes the messages of one shape in; used by one task at a time."""

    def __init__(
        self, table: TableName, store: Store, *, organization_id: str, clock: Clock, pending_rows_max: int
    ) -> None:
        self._table = table
        self._store = store
        self._organization_id = organization_id
        self._clock = clock
        self._pending_rows_max = pending_rows_max
        self._committed: Position | None = None
        self._pending = _Pending(EMPTY, replacing=False)
        self._putting_aside: asyncio.Task[None] | None = None

    @property
    def held(self) -> Batch:
        """What waits in memory."""
        return self._pending.batch

    def resume(self, position: Position | None) -> None:
        """Begin at a stored position, or with a new copy of the table."""
        self._committed = position
        self._pending = _Pending(EMPTY, replacing=position is None, from_start=position is None)

    def restart(self) -> None:
        """Drop what is pending: a new copy comes. Committed rows stay readable until it is complete."""
        self._pending = _Pending(EMPTY, replacing=True, from_start=True)

    def discard(self) -> None:
        """Drop what came after the last commit; it comes again."""
        self.resume(self._committed)

    async def take(
        self, messages: Sequence[LogItem], position: Position, *, up_to_date: bool
    ) -> CommittedBatch | None:
        """Fold messages in; at up-to-date commit all that is pending, and say what moved if anything did.

        Raises MalformedResponse, and has changed nothing then; StoreError.
        """
        layout = plan_table(self._table, position.schema)
        batch = await _folded(self._pending.batch, messages, layout)
        if up_to_date:
            return await self._commit(layout, batch, position)
        if len(batch) >= self._pending_rows_max:
            await self._put_aside(layout, batch)
        else:
            self._pending.batch = batch
        return None

    async def _put_aside(self, layout: TableLayout, batch: Batch) -> None:
        """Begin to write a part to the copy aside, after the part before it is there."""
        pending = self._pending
        await self._wait()
        self._putting_aside = asyncio.create_task(
            self._store.stage(
                layout, batch, begin=not pending.staged, copy=not (pending.replacing or pending.staged)
            )
        )
        self._putting_aside.add_done_callback(_seen)
        # The rows are on their way; their transactions are still to be told.
        self._pending = _Pending(
            Batch(txids=batch.txids, snapshot=batch.snapshot),
            replacing=True,
            staged=True,
            from_start=pending.from_start,
        )

    async def _wait(self) -> None:
        """Wait until the part that is being put aside is there. Raises StoreError if it could not be."""
        task, self._putting_aside = self._putting_aside, None
        if task is not None:
            await task

    async def _commit(self, layout: TableLayout, batch: Batch, position: Position) -> CommittedBatch | None:
        pending, before = self._pending, self._committed
        moved = before is None or (before.handle, before.offset) != (position.handle, position.offset)
        if not (moved or len(batch) or pending.replacing):
            return None  # the long poll ended without news: nothing is worth a write
        await self._wait()
        aside = None
        if pending.replacing:
            aside = Aside.COMPLETE if pending.staged else Aside.BEGIN
        commit = Commit(layout=layout, batch=batch, position=position, at=self._clock.now(), aside=aside)
        (removed,) = await self._store.commit((commit,))
        self._committed = position
        self._pending = _Pending(EMPTY, replacing=False)
        if not (len(batch) or pending.replacing):
            return None
        snapshot = batch.snapshot if pending.from_start else None
        return _describe(commit, removed, snapshot, organization_id=self._organization_id)


async def _folded(held: Batch, messages: Sequence[LogItem], layout: TableLayout) -> Batch:
    if len(messages) <= INLINE_MESSAGES_MAX:
        return fold(held, messages, layout)
    return await asyncio.to_thread(fold, held, messages, layout)


def _seen(task: asyncio.Task[None]) -> None:
    """Look at an error that nobody may be there to hear of: the sync was cancelled meanwhile."""
    if not task.cancelled():
        task.exception()


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
                words |= dict.fromkeys((tuple(row[place] for place in places) for row in step.rows), Put)
            case Moves():
                words |= dict.fromkeys(hidden, Remove)
            case never:
                assert_never(never)
    return words
