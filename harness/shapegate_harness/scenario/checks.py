"""What the scenario compares: rows in local SQLite against rows that Postgres shows under RLS.

Values are compared in a form of their own, made from Postgres' text on one side and from SQLite's values on
the other, so that the client's decoding is put to the test and not used to test itself.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    import sqlite_utils

    from shapegate_proxy.policy import TablePolicy

Rows = dict[str, dict[str, object]]
"""Canonical rows by id."""

SHOWN_MAX: Final = 3
_SESSION: Final = {"DateStyle": "ISO", "TimeZone": "UTC", "IntervalStyle": "iso_8601"}
"""As Electric prints values (PROTOCOL 3.8)."""
_INTEGERS: Final = frozenset({"int2", "int4", "int8"})


class Differs(Exception):
    """A check did not hold; the text says what was expected and what was seen."""


def expect(holds: object, difference: str) -> None:
    """Go on if the check holds. Raises Differs."""
    if not holds:
        raise Differs(difference)


@asynccontextmanager
async def as_application(
    app_database_url: str, org: str, user: str = ""
) -> AsyncIterator[asyncpg.Connection]:
    """Open a transaction of the application's role for one org, and for a user; commits at the end."""
    connection = await asyncpg.connect(app_database_url, server_settings=_SESSION)
    try:
        async with connection.transaction():
            await connection.execute("SELECT set_current_org_id($1::uuid)", org)
            await connection.execute("SELECT set_config('app.current_user_id', $1, true)", user)
            yield connection
    finally:
        await connection.close()


async def rows_under_rls(connection: asyncpg.Connection, table: TablePolicy) -> Rows:
    """Read every row of a table that the application sees in its org."""
    columns = ", ".join(f"{_asked(name, kind)} AS {quote(name)}" for name, kind in table.columns.items())
    fetched = await connection.fetch(f"SELECT {columns} FROM {table.table.to_sql()}")  # noqa: S608  # quoted
    return {
        row["id"]: {name: _from_postgres(row[name], kind) for name, kind in table.columns.items()}
        for row in fetched
    }


def local_rows(db: sqlite_utils.Database, table: TablePolicy) -> Rows:
    """Read every row of a synced table from the local file."""
    return {
        str(row["id"]): {name: _from_sqlite(row[name], kind) for name, kind in table.columns.items()}
        for row in db.query(f"SELECT * FROM {quote(table.table.name)}")  # noqa: S608  # quoted
    }


def expect_same(name: str, local: Rows, truth: Rows) -> None:
    """Compare two sets of rows. Raises Differs, which lists differing ids and columns, never values."""
    missing, extra = sorted(truth.keys() - local.keys()), sorted(local.keys() - truth.keys())
    changed = [
        f"{key} ({', '.join(column for column, value in truth[key].items() if local[key][column] != value)})"
        for key in sorted(truth.keys() & local.keys())
        if local[key] != truth[key]
    ]
    parts = [
        f"{len(found)} {what}: {', '.join(found[:SHOWN_MAX])}"
        for what, found in (("missing", missing), ("too many", extra), ("different", changed))
        if found
    ]
    expect(not parts, f"{name}: {len(truth)} rows expected, {len(local)} seen; {'; '.join(parts)}")


def expect_no_trace(folder: Path, marks: Mapping[str, str]) -> int:
    """Search every file below a folder for texts that must not be there; return the bytes searched.

    `marks` names each text. Raises Differs.
    """
    searched = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            searched += len(content)
            for what, mark in marks.items():
                expect(mark.encode() not in content, f"{path.name} holds {what}: expected no trace of it")
    return searched


def _asked(name: str, kind: str) -> str:
    return f"array_to_json({quote(name)})::text" if kind.endswith("[]") else f"{quote(name)}::text"


def _is_json(kind: str) -> bool:
    """Tell whether both sides hold the value as JSON, each spelled in its own way."""
    return kind == "jsonb" or kind.endswith("[]")


def _from_postgres(text: str | None, kind: str) -> object:
    if text is None:
        return None
    if kind == "bool":
        return text == "true"
    if kind in _INTEGERS:
        return int(text)
    return json.loads(text) if _is_json(kind) else text


def _from_sqlite(value: object, kind: str) -> object:
    if value is None:
        return None
    if kind == "bool":
        return {0: False, 1: True}.get(value, value) if isinstance(value, int) else value
    if _is_json(kind):
        return json.loads(value) if isinstance(value, str) else value
    return value
