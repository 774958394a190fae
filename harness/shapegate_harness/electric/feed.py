"""What a batch of transactions means to each shape: messages to append, or the end of its handle."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from shapegate_harness.electric.condition import Condition, evaluate
from shapegate_harness.electric.rows import Verdicts, entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.log import Entry
    from shapegate_harness.electric.shape import Shape
    from shapegate_harness.electric.transaction import Transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Append:
    """Changes of a shape, in commit order."""

    shape: Shape
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """A shape that cannot be followed any further."""

    shape: Shape


Effect = Append | Retire


async def effects(
    connection: Connection,
    shapes: Iterable[Shape],
    transactions: Sequence[Transaction],
    *,
    filter_seconds: float,
) -> list[Effect]:
    """Work out every effect of a batch before any of them takes place.

    Raises asyncpg.PostgresConnectionError or asyncpg.InterfaceError if the connection is lost.
    """
    found: list[Effect] = []
    verdicts: dict[Condition, Verdicts | None] = {}
    for shape in shapes:
        oid = shape.projection.relation.oid
        unseen = [t for t in transactions if oid in t.touched and not shape.snapshot.sees(t.xid)]
        if not unseen:
            continue
        if _ends(shape, unseen):
            found.append(Retire(shape))
            continue
        condition = shape.condition
        if condition is not None and condition not in verdicts:
            verdicts[condition] = await _judge(connection, condition, transactions, filter_seconds)
        held = None if condition is None else verdicts[condition]
        if condition is not None and held is None:
            found.append(Retire(shape))
            continue
        new = [entry for t in unseen for entry in entries(shape.projection, t, held)]
        if new:
            found.append(Append(shape, tuple(new)))
        await asyncio.sleep(0)  # A turn for others: one transaction may hold very many rows.
    return found


def _ends(shape: Shape, transactions: Iterable[Transaction]) -> bool:
    """Tell whether the table was emptied, or is not any more what the shape was made for."""
    relation = shape.projection.relation
    return any(
        relation.oid in transaction.truncated
        or relation.oid in transaction.incomplete
        or any(
            published.oid == relation.oid and not relation.matches(published)
            for published in transaction.relations
        )
        for transaction in transactions
    )


async def _judge(
    connection: Connection,
    condition: Condition,
    transactions: Sequence[Transaction],
    filter_seconds: float,
) -> Verdicts | None:
    """Evaluate a filter over all changes of its table at once; None if it fails for one of them."""
    changes = [
        (transaction.lsn, change)
        for transaction in transactions
        for change in transaction.changes.get(condition.relation_oid, ())
    ]
    try:
        held = await evaluate(
            connection, condition, [change for _, change in changes], timeout_seconds=filter_seconds
        )
    except asyncpg.PostgresConnectionError:
        raise
    except (asyncpg.PostgresError, TimeoutError) as exc:
        # A cast or a division that fails for a row, or too much time.
        logger.warning("a filter failed on changed rows (%s); its shapes rotate", type(exc).__name__)
        return None
    return {(lsn, change.position): verdict for (lsn, change), verdict in zip(changes, held, strict=True)}
