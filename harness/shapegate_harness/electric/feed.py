"""What a batch of transactions means to each shape: messages to append, or the end of its handle."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.arrivals import read_arrivals
from shapegate_harness.electric.condition import Evaluation, Held, evaluate
from shapegate_harness.electric.following import Followed, Gone, Moved, follow, messages
from shapegate_harness.electric.rows import entries, plain_standing
from shapegate_harness.electric.visibility import print_snapshot_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.log import Entry
    from shapegate_harness.electric.members import Members, Value
    from shapegate_harness.electric.rows import Standings
    from shapegate_harness.electric.shape import Shape
    from shapegate_harness.electric.transaction import Transaction
    from shapegate_wire.visibility import Visibility

logger = logging.getLogger(__name__)

_ENTRIES_PER_TURN: Final = 2_000
"""Messages printed before other tasks have a turn: one transaction may hold very many rows."""

_Key = tuple[int, int]
_Verdicts = dict[_Key, tuple[Held | None, Held | None]]


@dataclass(frozen=True, slots=True)
class Append:
    """Changes of a shape, in commit order."""

    shape: Shape
    entries: tuple[Entry, ...]
    deltas: tuple[tuple[Members, Mapping[Value, int]], ...] = field(default=())
    """What the subqueries' answers change by at the same time."""


@dataclass(frozen=True, slots=True)
class Retire:
    """A shape that cannot be followed any further."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class NeedsSnapshot:
    """A shape that rows move into: they have to be read in a snapshot that sees this batch and no more."""

    shape: Shape


Effect = Append | Retire | NeedsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a batch may take."""

    filter_seconds: float
    members_max: int


async def effects(
    connection: Connection,
    shapes: Iterable[Shape],
    transactions: Sequence[Transaction],
    bounds: Bounds,
    *,
    snapshot: Visibility | None = None,
) -> list[Effect]:
    """Work out every effect of a batch before any of them takes place.

    `snapshot` is that of the connection's transaction, where it sees exactly the end of the batch. Raises
    asyncpg.PostgresConnectionError or asyncpg.InterfaceError if the connection is lost.
    """
    batch = _Batch(connection, transactions, bounds)
    found: list[Effect] = []
    for shape in shapes:
        followed = shape.followed
        oids = {relation.oid for relation in shape.relations}
        unseen = [t for t in transactions if oids & t.touched and not shape.snapshot.sees(t.xid)]
        if not unseen:
            continue
        if _ends(shape, unseen):
            found.append(Retire(shape))
        elif followed is None:
            found += await _plain(shape, unseen, batch)
        else:
            found += await _followed(shape, followed, unseen, batch, snapshot)
        await asyncio.sleep(0)
    return found


def _ends(shape: Shape, transactions: Iterable[Transaction]) -> bool:
    """Tell whether a table was emptied, or is not any more what the shape was made for."""
    return any(
        relation.oid in transaction.truncated
        or relation.oid in transaction.incomplete
        or any(
            published.oid == relation.oid and not relation.matches(published)
            for published in transaction.relations
        )
        for transaction in transactions
        for relation in shape.relations
    )


async def _plain(shape: Shape, unseen: Sequence[Transaction], batch: _Batch) -> list[Effect]:
    tests = None if shape.condition is None else shape.condition.tests
    verdicts = None if tests is None else await batch.judge(tests)
    if tests is not None and verdicts is None:
        return [Retire(shape)]
    standings = None if verdicts is None else _standings(verdicts)
    new: list[Entry] = []
    for transaction in unseen:
        for entry in entries(shape.projection, transaction, standings):
            new.append(entry)
            if len(new) % _ENTRIES_PER_TURN == 0:
                await asyncio.sleep(0)
    return [Append(shape, tuple(new))] if new else []


def _standings(verdicts: _Verdicts) -> Standings:
    return {
        key: (plain_standing(holds=was == (True,)), plain_standing(holds=is_ == (True,)))
        for key, (was, is_) in verdicts.items()
    }


async def _followed(
    shape: Shape,
    followed: Followed,
    unseen: Sequence[Transaction],
    batch: _Batch,
    snapshot: Visibility | None,
) -> list[Effect]:
    moved = await follow(shape, followed, unseen, batch.judge, values_max=batch.bounds.members_max)
    if isinstance(moved, Gone):
        return [Retire(shape)]
    if moved.ins and snapshot is None:
        return [NeedsSnapshot(shape)]
    rows = await _arrivals(shape, followed, moved, batch) if moved.ins else []
    if rows is None:
        return [Retire(shape)]
    end = b"" if snapshot is None else print_snapshot_end(snapshot)
    new = messages(shape, followed, moved, rows, end)
    return [Append(shape, tuple(new), tuple(moved.deltas))]


async def _arrivals(shape: Shape, followed: Followed, moved: Moved, batch: _Batch) -> Sequence[bytes] | None:
    assert shape.condition is not None
    try:
        async with _savepoint(batch.connection):
            return await read_arrivals(
                batch.connection, shape.projection, shape.condition, followed, moved.ins
            )
    except asyncpg.PostgresConnectionError:
        raise
    except (asyncpg.PostgresError, TimeoutError) as exc:
        logger.warning("rows that move into a shape cannot be read (%s); it rotates", type(exc).__name__)
        return None


class _Batch:
    """One batch, and what filters say about it; each is asked once."""

    def __init__(self, connection: Connection, transactions: Sequence[Transaction], bounds: Bounds) -> None:
        self.connection = connection
        self.bounds = bounds
        self._transactions = transactions
        self._verdicts: dict[Evaluation, _Verdicts | None] = {}

    async def judge(self, tests: Evaluation) -> _Verdicts | None:
        """Evaluate tests over all changes of their table at once; None if they fail for one of them."""
        if tests not in self._verdicts:
            self._verdicts[tests] = await self._judge(tests)
        return self._verdicts[tests]

    async def _judge(self, tests: Evaluation) -> _Verdicts | None:
        changes = [
            (transaction.lsn, change)
            for transaction in self._transactions
            for change in transaction.changes.get(tests.relation_oid, ())
        ]
        try:
            async with _savepoint(self.connection):
                held = await evaluate(
                    self.connection,
                    tests,
                    [change for _, change in changes],
                    timeout_seconds=self.bounds.filter_seconds,
                )
        except asyncpg.PostgresConnectionError:
            raise
        except (asyncpg.PostgresError, TimeoutError) as exc:
            # A cast or a division that fails for a row, or too much time.
            logger.warning("a filter failed on changed rows (%s); its shapes rotate", type(exc).__name__)
            return None
        return {(lsn, change.position): verdict for (lsn, change), verdict in zip(changes, held, strict=True)}


def _savepoint(connection: Connection) -> AbstractAsyncContextManager[object]:
    """Keep a statement that may fail from ending the transaction around it."""
    return connection.transaction() if connection.is_in_transaction() else nullcontext()
