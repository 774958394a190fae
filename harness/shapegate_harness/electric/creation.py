"""A new shape, from a request to its complete snapshot.

Snapshot and stream are stitched by visibility: the snapshot's transaction notes which transactions it sees,
and the shape takes all others from the stream. The note is made while the stream stands still, so that each
transaction is read either before it or after.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import asyncpg

from shapegate_harness.electric.arrivals import marks_sql
from shapegate_harness.electric.catalogue import look_up, publish, unknown_table
from shapegate_harness.electric.condition import Condition, compile_condition
from shapegate_harness.electric.errors import Failed, Rejected, Unavailable, rejected
from shapegate_harness.electric.following import Followed, read_answers
from shapegate_harness.electric.rows import Projection, project
from shapegate_harness.electric.shape import Shape
from shapegate_harness.electric.snapshot import read_chunks, snapshot_query
from shapegate_harness.electric.subquery import Level, compile_level, levels
from shapegate_harness.electric.visibility import parse_visibility, print_snapshot_end
from shapegate_wire import names
from shapegate_wire.shape import LogMode

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from shapegate_harness.electric.database import Connection, Database
    from shapegate_harness.electric.query import Asked
    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.settings import ElectricSettings
    from shapegate_wire.identifier import TableName
    from shapegate_wire.visibility import Visibility

_ATTEMPTS_MAX: Final = 20
_ATTEMPT_PAUSE_SECONDS: Final = 0.01


class Stream(Protocol):
    """What a new shape needs of the one who reads the replication stream."""

    def standstill(self) -> AbstractAsyncContextManager[None]:
        """Nothing is read or appended within."""

    def has_read_beyond(self, snapshot: Visibility) -> bool:
        """Tell whether a transaction was read already that the snapshot does not see."""

    def adopt(self, shape: Shape) -> None:
        """Follow the shape from here on."""

    def new_handle(self, digest: int) -> str:
        """Make a handle that was never used before."""

    def make_room(self) -> None:
        """Let go of old shapes if all logs together are too large now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked definition: what to select from which table."""

    asked: Asked
    projection: Projection
    condition: Condition | None
    level: Level | None
    """The filter in branches; None if it has no subqueries."""

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Every table that is read; the shape's own comes first."""
        if self.level is None:
            return (self.projection.relation,)
        return tuple(level.relation for level in levels(self.level))


async def plan(database: Database, asked: Asked, settings: ElectricSettings) -> Plan:
    """Check a definition against the database and have its table published. Raises Rejected, Failed."""
    async with database.session() as connection:
        relation = await look_up(connection, asked.table)
        selected = check_columns(asked, relation)
        condition = (
            None
            if asked.filter is None
            else await compile_condition(connection, relation, asked.filter, asked.definition.params)
        )
        level = None
        if condition is not None and condition.tests is None:
            level = await compile_level(connection, relation, condition)
        projection = project(relation, selected=selected, replica=asked.definition.replica)
        planned = Plan(asked=asked, projection=projection, condition=condition, level=level)
        for each in planned.relations:
            try:
                async with database.publishing:
                    await publish(connection, each, settings.publication)
            except asyncpg.LockNotAvailableError as exc:
                raise _locked(each.table) from exc
    return planned


def check_columns(asked: Asked, relation: Relation) -> frozenset[str]:
    """Find the columns that a request selects. Raises Rejected in Electric's words."""
    generated = set(relation.generated)
    for name, listed in (
        (names.QUERYABLE_COLUMNS, asked.queryable),
        (names.COLUMNS, asked.definition.columns),
    ):
        if listed is None:
            continue
        missing = [key for key in relation.primary_key if key not in listed]
        unknown = [column for column in listed if column not in {*relation.names, *generated}]
        if missing:
            raise rejected(
                name,
                f"The list of columns must include all primary key columns, missing: {', '.join(missing)}",
            )
        if unknown:
            raise rejected(name, f"The following columns are not found on the table: {', '.join(unknown)}")
    selected = frozenset(asked.definition.columns or (*relation.names, *generated))
    hidden = selected - set(asked.queryable) if asked.queryable is not None else frozenset()
    if hidden:
        raise rejected(names.COLUMNS, f"The following columns are not queryable: {', '.join(sorted(hidden))}")
    if selected & generated:
        raise rejected(
            names.COLUMNS,
            "The following columns are generated and cannot be included in the shape: "
            f"{', '.join(sorted(selected & generated))}. You can exclude them from the shape by explicitly "
            "listing which columns to fetch in the 'columns' query param",
        )
    return selected


async def create(
    database: Database,
    asked: Asked,
    stream: Stream,
    settings: ElectricSettings,
    started: asyncio.Future[Shape],
) -> None:
    """Begin to follow a shape, resolve `started` with it, then read its snapshot.

    Every failure goes to `started`, or into the shape once it started.
    """
    for _ in range(_ATTEMPTS_MAX):
        planned = await plan(database, asked, settings)
        if await _follow(database, planned, stream, settings, started):
            return
        await asyncio.sleep(_ATTEMPT_PAUSE_SECONDS)
    raise Unavailable(f"{asked.table.to_sql()} does not come to rest", retry_after_seconds=1)


async def _follow(
    database: Database,
    planned: Plan,
    stream: Stream,
    settings: ElectricSettings,
    started: asyncio.Future[Shape],
) -> bool:
    """Take one snapshot; False if the table or the stream moved in between and all has to be tried again."""
    async with (
        database.session() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for relation in sorted(set(planned.relations), key=lambda relation: relation.table):
            await _hold_table(connection, relation)
        async with stream.standstill():
            visible = parse_visibility(await connection.fetchval("SELECT pg_current_snapshot()::text"))
            # A commit is in the log a moment before snapshots see it. If such a one was read already, this
            # snapshot would lose it.
            if stream.has_read_beyond(visible) or not await _is_as_planned(connection, planned):
                return False
            handle = stream.new_handle(_digest(planned.asked))
            shape = Shape(
                handle=handle,
                definition=planned.asked.definition,
                projection=planned.projection,
                condition=planned.condition,
                snapshot=visible,
                chunk_bytes=settings.chunk_bytes,
                followed=await _followed(connection, planned, handle, settings),
            )
            stream.adopt(shape)
        started.set_result(shape)
        await _read_snapshot(connection, planned, shape, settings)
        stream.make_room()
    return True


async def _is_as_planned(connection: Connection, planned: Plan) -> bool:
    for relation in planned.relations:
        if await look_up(connection, relation.table) != relation:
            return False
    return True


async def _followed(
    connection: Connection, planned: Plan, handle: str, settings: ElectricSettings
) -> Followed | None:
    """Read what the subqueries return in this snapshot, while nothing is read from the stream."""
    if planned.level is None or planned.condition is None:
        return None
    try:
        async with asyncio.timeout(settings.filter_seconds):
            answers = await read_answers(
                connection, planned.level, planned.condition.values, values_max=settings.members_max
            )
    except TimeoutError as exc:
        raise Unavailable("A subquery takes too long", retry_after_seconds=10) from exc
    if answers is None:
        raise rejected(
            names.WHERE,
            f"a subquery returns more than {settings.members_max} different values, which this development "
            "server does not follow",
        )
    # The salt keeps others from computing which values a hash stands for.
    return Followed(level=planned.level, answers=answers, salt=secrets.token_hex(16) + handle)


async def _hold_table(connection: Connection, relation: Relation) -> None:
    """Keep schema changes and TRUNCATE off: what they do is visible to snapshots that began before them."""
    table = relation.table
    try:
        # LOCK takes no snapshot, so the transaction's snapshot is that of the statement after it.
        await connection.execute(f"LOCK TABLE {relation.scope} IN ACCESS SHARE MODE")
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as exc:
        raise unknown_table(table) from exc
    except asyncpg.LockNotAvailableError as exc:
        raise _locked(table) from exc
    except asyncpg.InsufficientPrivilegeError as exc:
        raise Failed(f"This role may not read table {table.to_sql()}: grant it SELECT on the table") from exc


async def _read_snapshot(
    connection: Connection, planned: Plan, shape: Shape, settings: ElectricSettings
) -> None:
    end = print_snapshot_end(shape.snapshot)
    if planned.asked.definition.log is LogMode.CHANGES_ONLY:
        shape.complete((b"[" + end + b"]",))
        return
    values = () if planned.condition is None else planned.condition.values
    try:
        async with asyncio.timeout(settings.snapshot_seconds):
            chunks = await read_chunks(
                connection,
                snapshot_query(
                    planned.projection,
                    planned.condition,
                    marks=() if shape.followed is None else marks_sql(shape.followed),
                ),
                values,
                end=end,
                chunk_bytes=settings.chunk_bytes,
            )
        shape.complete(chunks)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:  # OSError: TimeoutError, too
        shape.retire(_snapshot_failure(planned.asked, exc))
        raise


def _snapshot_failure(asked: Asked, exc: Exception) -> Failed | Rejected | Unavailable:
    if isinstance(exc, asyncpg.DataError):
        return rejected(names.WHERE, str(exc))
    if isinstance(exc, asyncpg.InsufficientPrivilegeError):
        return Failed(
            f"This role may not read all rows of table {asked.table.to_sql()}: grant it SELECT, and "
            "BYPASSRLS where the table has row-level security"
        )
    return Unavailable("Snapshot creation failed", retry_after_seconds=10)


def _locked(table: TableName) -> Unavailable:
    return Unavailable(f"Table {table.to_sql()} is locked", retry_after_seconds=1)


def _digest(asked: Asked) -> int:
    """Name the definition by a number of Electric's size (27 bits)."""
    return int.from_bytes(hashlib.sha256(asked.definition.fingerprint().encode()).digest()[:4]) >> 5
