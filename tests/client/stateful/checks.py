"""What holds of all that a client showed, told and asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shapegate_client.backoff import REQUESTS_AT_ONCE_MAX, REQUESTS_PER_SECOND_MAX
from shapegate_client.errors import SyncStopped
from shapegate_wire.offset import Offset, parse_offset
from tests.client.stateful.faults import Cached, OutOfBounds

if TYPE_CHECKING:
    from shapegate_client import CommittedBatch, Session
    from shapegate_client.form import Key
    from tests.client.stateful.observer import Seen
    from tests.client.stateful.server import World


class Mirror:
    """An application that keeps the rows in memory, by what watchers are told."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._watcher = session.watch("items")
        self._rows = self._table()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            try:
                async for batch in self._watcher:
                    self._take(batch)
                break
            except SyncStopped:  # by a fault; it is begun again
                self._watcher, self._rows = self._session.watch("items"), self._table()

    def _take(self, batch: CommittedBatch) -> None:
        now = self._table()
        if batch.replaced:
            self._rows = now
        for key in (*batch.inserted, *batch.updated, *batch.deleted):
            self._rows.pop(key, None)
            if key in now:
                self._rows[key] = now[key]

    def _table(self) -> dict[Key, object]:
        db = self._session.db
        if not db.table("items").exists():
            return {}
        pks = db.table("items").pks
        return {tuple(row[name] for name in pks): row for row in db.table("items").rows}

    def check(self) -> None:
        """Expect what the table has."""
        if self._task.done():
            self._task.result()
        assert self._rows == self._table(), f"watchers were not told of every change: {self._rows}"

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()


def check_rate(asked_at: list[float]) -> None:
    """Expect the rate to be kept that no failure may exceed (SECURITY L-05)."""
    for first, at in enumerate(asked_at):
        for count, until in enumerate(asked_at[first:], start=1):
            assert count <= REQUESTS_AT_ONCE_MAX + REQUESTS_PER_SECOND_MAX * (until - at) + 1


def check_seen(world: World, seen: list[Seen]) -> None:
    """Expect every state to be one that the server had at the stored place, and none to go back.

    A cache may take a client back that starts over: one that answers from before though it is asked past, and
    any, where the log is the one of before since a 400 said out of bounds.
    """
    caches = {fault.blunt for fault in world.met if isinstance(fault, Cached)}
    may_go_back = True in caches or (False in caches and OutOfBounds() in world.met)
    floors = dict.fromkeys(world.orgs, 0)
    for each in seen:
        org = world.orgs[each.org]
        if each.handle is None:
            assert each.state is None, f"rows without a position: {each}"
            floors[each.org] = 0
            continue
        assert each.handle in org.logs, f"a handle of another org: {each}"
        at = parse_offset(str(each.offset))
        assert isinstance(at, Offset)
        numbers = org.logs[each.handle].states_at(at)
        fitting = [number for number in numbers if org.history[number] == each.state]
        assert fitting, f"the server had other rows there: {each}; {[org.history[n] for n in numbers]}"
        assert may_go_back or fitting[-1] >= floors[each.org], f"back in time: {each}"
        floors[each.org] = max(floors[each.org], fitting[0])
