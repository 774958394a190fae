"""The rows that a move-in brings: those that values which entered a subquery make visible (PROTOCOL 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.printer import print_literal
from shapegate_harness.electric.snapshot import snapshot_query
from shapegate_harness.electric.tags import active_sql, tags_sql
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shapegate_harness.electric.condition import Condition
    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.following import Followed
    from shapegate_harness.electric.members import Value
    from shapegate_harness.electric.rows import Projection
    from shapegate_harness.electric.subquery import Level, Source

ROWS_MAX: Final = 100_000
"""Rows of one move-in; more of them rotate the shape."""


def marks_sql(followed: Followed) -> list[str]:
    """Print what the headers of a row have beyond those of other shapes."""
    level = followed.level
    return [*active_sql(level.literals), *tags_sql(level.branches, followed.salt, level.columns)]


async def read_arrivals(
    connection: Connection,
    projection: Projection,
    condition: Condition,
    followed: Followed,
    ins: Mapping[int, tuple[Value, ...]],
) -> list[bytes] | None:
    """Read the messages of all rows that become visible; None if they are too many.

    The connection is in a transaction that sees the end of the batch. Raises asyncpg.PostgresError.
    """
    where, arrays = _restriction(followed.level, ins, len(condition.values))
    marks = [*marks_sql(followed), print_literal('"is_move_in":true,')]
    query = snapshot_query(projection, condition, marks=marks, where=where)
    rows = await connection.fetch(f"{query} LIMIT {ROWS_MAX + 1}", *condition.values, *arrays)
    return None if len(rows) > ROWS_MAX else [row[0] for row in rows]


def _restriction(
    level: Level, ins: Mapping[int, tuple[Value, ...]], values: int
) -> tuple[str, list[Sequence[str | None]]]:
    """Print a condition for rows that one of the values shows, and that nothing else showed before."""
    arrays: list[Sequence[str | None]] = []
    entered: dict[int, str] = {}
    for leaf, moved in ins.items():
        entered[leaf] = _has_value(level, level.sources[leaf], values + len(arrays) + 1)
        arrays += zip(*moved, strict=True)
    arriving, staying = [], []
    for disjunct in level.branches.disjuncts:
        holds = " AND ".join(f"({level.literals[at]})" for at in disjunct)
        leaves = {level.branches.positions[at].leaf for at in disjunct}
        by_value = " OR ".join(test for leaf, test in entered.items() if leaf in leaves)
        if by_value:
            arriving.append(f"({holds} AND ({by_value}))")
        else:
            # None of its conditions became true by this batch's moves: who follows has its rows.
            staying.append(f"({holds})")
    where = f"({' OR '.join(arriving)})"
    if staying:
        where += f" AND ({' OR '.join(staying)}) IS NOT TRUE"
    return where, arrays


def _has_value(level: Level, source: Source, first: int) -> str:
    types = {column.name: column.sql_type for column in level.relation.columns}
    columns = ", ".join(map(quote, source.left))
    arrays = ", ".join(f"${first + index}::text[]" for index in range(len(source.left)))
    names = [f"v{index}" for index in range(len(source.left))]
    casts = ", ".join(f"{name}::{types[column]}" for name, column in zip(names, source.left, strict=True))
    return (
        f"({columns}) IN (SELECT {casts} FROM unnest({arrays}) "  # noqa: S608  # quoted names
        f"AS {quote('shapegate entered')}({', '.join(names)}))"
    )
