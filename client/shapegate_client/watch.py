"""Watchers of one table: who wants to hear of commits, and how far each one lags.

A watcher has a bounded queue. One that is too slow for it loses the details, not the fact: its queue is
replaced by one batch that says `replaced`, on which it has to read the table anew.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_client.acks import Acknowledgement, Acknowledgements
from shapegate_client.pulse import Pulse

if TYPE_CHECKING:
    from shapegate_client.errors import ClientError
    from shapegate_client.form import Key
    from shapegate_wire.visibility import Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBatch:
    """One commit to a local table; its rows can be read when it arrives."""

    table: str
    organization_id: str
    offset: str
    """The position in the log that the table now has; opaque."""
    replaced: bool = False
    """Read the whole table again: a new copy, another org, or more changes than the watcher could hold."""
    inserted: tuple[Key, ...] = ()
    """Primary keys of rows that were sent whole; after a replay they may have been there before."""
    updated: tuple[Key, ...] = ()
    deleted: tuple[Key, ...] = ()
    txids: frozenset[int] = frozenset()
    """32-bit ids of the transactions whose changes these are, as `pg_current_xact_id()::xid` prints them.

    Not complete after a long time offline, or where batches were merged for a slow watcher.
    """
    snapshot: Visibility | None = None
    """Which transactions a new copy holds; None if it was not read from its start."""

    def acknowledges(self, txid: int) -> bool:
        """Say whether what a transaction wrote to the table is there now (REQUIREMENTS C-48)."""
        return Acknowledgement(self.txids, self.snapshot).has(txid)


class Watcher:
    """The batches of one table, as an asynchronous iterator; ends with the session or the subscription."""

    def __init__(self, table: str, *, batches_max: int) -> None:
        self.table = table
        self._batches_max = batches_max
        self._queue: deque[CommittedBatch] = deque()
        self._filled = asyncio.Event()
        self._ended = False
        self._error: ClientError | None = None

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> CommittedBatch:
        """Wait for the next batch. Raises the error that stopped the table's sync."""
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        return self._queue.popleft()

    def put(self, batch: CommittedBatch) -> None:
        """Add a batch; merges all that wait where there are too many."""
        if len(self._queue) >= self._batches_max:
            self._queue.clear()
            batch = CommittedBatch(
                table=batch.table, organization_id=batch.organization_id, offset=batch.offset, replaced=True
            )
        self._queue.append(batch)
        self._filled.set()

    def clear(self) -> None:
        """Forget what waits: it belongs to an org that was left (REQUIREMENTS T-04)."""
        self._queue.clear()

    def end(self, error: ClientError | None = None) -> None:
        """Let the reader see what waits, then end it; an error is raised there."""
        self._ended, self._error = True, error
        self._filled.set()


class Board:
    """Where the org in use reports to: wakes who waits, and feeds the watchers.

    What an org reports that was left already is dropped by its generation (DESIGN 9; REQUIREMENTS T-04).
    """

    def __init__(self, *, batches_max: int) -> None:
        self.generation = 0
        self.pulse = Pulse()
        self.acknowledgements = Acknowledgements()
        self._batches_max = batches_max
        # Weak, so that a loop that was left without a word does not keep its queue filling.
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()

    def watch(self, table: str) -> Watcher:
        """Make a watcher; it gets every batch from now on."""
        watcher = Watcher(table, batches_max=self._batches_max)
        self._watchers.add(watcher)
        return watcher

    def adopt(self, generation: int) -> None:
        """From now on listen to this generation only, and forget what waits of earlier ones."""
        self.generation = generation
        self.acknowledgements.clear()
        for watcher in self._watchers:
            watcher.clear()
        self.pulse.beat()

    def close(self, error: ClientError | None = None) -> None:
        """End every watcher; an error is raised by each."""
        self.generation = -1
        for watcher in self._watchers:
            watcher.end(error)
        self.pulse.beat()

    def committed(self, generation: int, batch: CommittedBatch) -> None:
        if generation == self.generation:
            self.acknowledgements.add(batch.table, Acknowledgement(batch.txids, batch.snapshot))
            for watcher in self._of(batch.table):
                watcher.put(batch)
            self.pulse.beat()

    def progressed(self, generation: int) -> None:
        if generation == self.generation:
            self.pulse.beat()

    def ended(self, generation: int, table: str, error: ClientError | None) -> None:
        if generation == self.generation:
            if error is None:
                self.acknowledgements.forget(table)  # its rows were removed
            for watcher in self._of(table):
                watcher.end(error)
            self.pulse.beat()

    def _of(self, table: str) -> list[Watcher]:
        return [watcher for watcher in self._watchers if watcher.table == table]
