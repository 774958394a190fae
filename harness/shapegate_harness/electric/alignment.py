"""A snapshot that sees what was read from the stream, and nothing else.

Rows that a move-in brings are read from the table as it is now. Only where the stream was read up to exactly
that state do they fit what the log says. A commit is in the log a moment before snapshots see it, and others
commit meanwhile, so this may take some attempts; who cannot get it rotates its shape.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.visibility import parse_visibility

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from shapegate_harness.electric.reader import Reader
    from shapegate_harness.electric.transaction import Transaction
    from shapegate_wire.visibility import Visibility

_ATTEMPTS_MAX: Final = 40
_PAUSE_SECONDS: Final = 0.005
_NOW: Final = """
    SELECT pg_current_snapshot()::text AS snapshot, (pg_current_wal_insert_lsn() - '0/0')::int8 AS lsn
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Everything that was read from the stream so far."""

    transactions: tuple[Transaction, ...]
    """Those that the snapshot sees; all, where there is none."""
    later: tuple[Transaction, ...] = ()
    """Read, but not seen: the next batch."""
    snapshot: Visibility | None = None
    """The snapshot of the reader's `work` connection within the block; None if there was no aligned one."""


@asynccontextmanager
async def aligned(
    reader: Reader, transactions: Sequence[Transaction], before: Sequence[int]
) -> AsyncIterator[Aligned]:
    """Open a snapshot on `reader.work` that sees the transactions, those `before`, and what it returns.

    Raises Unreachable, asyncpg.PostgresError, asyncpg.InterfaceError if a connection is lost.
    """
    batch = tuple(transactions)
    for _ in range(_ATTEMPTS_MAX):
        block = reader.work.transaction(isolation="repeatable_read", readonly=True)
        await block.start()
        try:
            found = await _align(reader, batch, before)
            if found.snapshot is not None:
                yield found
                return
            batch = found.transactions
        finally:
            await block.rollback()
        await asyncio.sleep(_PAUSE_SECONDS)
    yield Aligned(transactions=batch)


async def _align(reader: Reader, batch: tuple[Transaction, ...], before: Sequence[int]) -> Aligned:
    now = await reader.work.fetchrow(_NOW)
    assert now is not None
    snapshot = parse_visibility(now["snapshot"])
    if not all(map(snapshot.sees, (*before, *(transaction.xid for transaction in batch)))):
        return Aligned(transactions=batch)
    more = await reader.read_to(now["lsn"])
    if more is None:
        return Aligned(transactions=batch)
    seen = [snapshot.sees(transaction.xid) for transaction in more]
    count = sum(seen)
    if not all(seen[:count]):
        # Commits became visible in another order than that of the log.
        return Aligned(transactions=(*batch, *more))
    return Aligned(transactions=(*batch, *more[:count]), later=more[count:], snapshot=snapshot)
