"""The rows of a subset, read in one transaction with what tells them apart from the log (PROTOCOL 3.7).

They are collected before they are sent, so that a slow reader holds no transaction open.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.arrivals import marks_sql
from shapegate_harness.electric.catalogue import look_up
from shapegate_harness.electric.condition import compile_condition
from shapegate_harness.electric.errors import (
    Failed,
    Rejected,
    RejectedSubset,
    Unavailable,
    Unreachable,
)
from shapegate_harness.electric.ordering import check_ordering, print_ordering
from shapegate_harness.electric.snapshot import snapshot_query
from shapegate_harness.electric.subset import LIMIT
from shapegate_harness.electric.visibility import parse_visibility
from shapegate_wire import names

if TYPE_CHECKING:
    from shapegate_harness.electric.condition import Condition
    from shapegate_harness.electric.database import Connection, Database
    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.settings import ElectricSettings
    from shapegate_harness.electric.shape import Shape
    from shapegate_harness.electric.subset import Subset

_MARK_MAX: Final = (1 << 31) - 1
_ROWS_PER_FETCH: Final = 256
_POSITION: Final = """
    SELECT pg_current_snapshot()::text AS snapshot, (pg_current_wal_insert_lsn() - '0/0')::int8 AS lsn
"""
"""What was committed may be visible before it is written out: only the insert position is past all of it."""
_QUOTED_OR_PARAM: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<number>[0-9]+)""")


@dataclass(frozen=True, slots=True)
class Changed:
    """The table is not what the shape was made for any more."""


async def read_subset(
    database: Database,
    shape: Shape,
    subset: Subset,
    *,
    queryable: tuple[str, ...] | None,
    settings: ElectricSettings,
) -> bytes | Changed:
    """Read a subset as the body of its answer.

    `queryable` are the columns that filter and order may speak of, if not all. Raises RejectedSubset,
    Unavailable, Failed.
    """
    try:
        async with (
            asyncio.timeout(settings.snapshot_seconds),
            database.session() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            table = shape.projection.relation.table
            # LOCK takes no snapshot: the transaction's is that of the statement after it.
            await connection.execute(f"LOCK TABLE {shape.projection.relation.scope} IN ACCESS SHARE MODE")
            relation = await look_up(connection, table)
            if relation != shape.projection.relation:
                return Changed()
            condition = await _condition(connection, relation, subset, queryable)
            return await _read(connection, shape, subset, condition, settings)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return Changed()
    except (asyncpg.DataError, asyncpg.SyntaxOrAccessError) as exc:
        raise _refusal(exc) from exc
    except (asyncpg.PostgresError, Unreachable, TimeoutError) as exc:
        raise Unavailable("Could not query the database", retry_after_seconds=10) from exc


def _refusal(exc: asyncpg.PostgresError) -> Failed | RejectedSubset:
    """Say what only the query found; Electric prints it as a text."""
    if isinstance(exc, asyncpg.InsufficientPrivilegeError):
        return Failed("This role may not read the table: grant it SELECT")
    return RejectedSubset({names.WHERE: str(exc.args[0])})


async def _condition(
    connection: Connection, relation: Relation, subset: Subset, queryable: tuple[str, ...] | None
) -> Condition | None:
    columns = frozenset(relation.names if queryable is None else queryable)
    check_ordering(subset.order_by, columns)
    if subset.where is None:
        return None
    try:
        return await compile_condition(
            connection, relation, subset.where, subset.params, columns=columns, subset=True
        )
    except Rejected as exc:
        raise RejectedSubset(exc.problems) from exc


def joined(main: Condition | None, added: Condition | None) -> Condition | None:
    """Restrict a shape's filter further, as Electric does.

    The main filter is not put into parentheses, so what is added binds to the last arm of an OR at its top
    (PROTOCOL 1.4): the rows may be more than was asked for, never more than the shape's.
    """
    if main is None or added is None:
        return main or added
    return replace(
        main,
        sql=f"{main.sql} AND ( {renumbered(added.sql, len(main.values))} )",
        values=(*main.values, *added.values),
    )


def renumbered(sql: str, by: int) -> str:
    """Move the numbers of parameters up; texts and names that look like one stay."""

    def one(matched: re.Match[str]) -> str:
        return matched[0] if matched["number"] is None else f"${int(matched['number']) + by}"

    return _QUOTED_OR_PARAM.sub(one, sql)


async def _read(
    connection: Connection,
    shape: Shape,
    subset: Subset,
    condition: Condition | None,
    settings: ElectricSettings,
) -> bytes:
    position = await connection.fetchrow(_POSITION)
    assert position is not None
    mark = settings.jitter(0, _MARK_MAX)
    tags = () if shape.followed is None else marks_sql(shape.followed)
    marks = (f"""'"snapshot_mark":{mark},'""", *tags)
    whole = joined(shape.condition, condition)
    query = snapshot_query(shape.projection, whole, marks=marks)
    query += print_ordering(subset.order_by, shape.projection.relation.table)
    query += "" if subset.limit is None else f" LIMIT {subset.limit:d}"
    query += "" if subset.offset is None else f" OFFSET {subset.offset:d}"
    rows: list[bytes] = []
    size = 0
    cursor = await connection.cursor(query, *(() if whole is None else whole.values))
    while records := await cursor.fetch(_ROWS_PER_FETCH):
        rows += [row for (row,) in records]
        size += sum(len(row) for (row,) in records)
        if size > settings.subset_bytes_max:
            text = f"more than {settings.subset_bytes_max} bytes match: ask for fewer rows"
            raise RejectedSubset({LIMIT: (text,)})
    visible = parse_visibility(position["snapshot"])
    metadata = {
        "snapshot_mark": mark,
        "database_lsn": str(position["lsn"]),
        "xip_list": [str(xid) for xid in sorted(visible.running)],
        "xmax": str(visible.xmax),
        "xmin": str(visible.xmin),
    }
    head = json.dumps(metadata, separators=(",", ":")).encode()
    return b'{"metadata":' + head + b', "data": [' + b",".join(rows) + b"]}"
