"""Rows of one shape in SQLite: apply a batch, prepare a new copy aside, put it in place.

Everything runs on the connection that it is given, inside of its transaction. Statements run by
`executemany`, prepared once by the connection's cache: this is the hot path (DESIGN 10).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING, assert_never

from shapegate_client.ddl import (
    print_copy,
    print_delete,
    print_delete_all,
    print_update,
    print_upsert,
    staged_name,
)
from shapegate_client.fold import Patch, Put, Remove

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database

    from shapegate_client.ddl import TableLayout
    from shapegate_client.fold import Key, RowOperation
    from shapegate_client.values import SqlValue


def apply_rows(db: Database, layout: TableLayout, table: str, operations: Iterable[RowOperation]) -> None:
    """Apply the last word on each row: deletes first, so that a changed key never meets itself."""
    removed: list[Key] = []
    put: list[tuple[SqlValue, ...]] = []
    patched: dict[tuple[str, ...], list[tuple[SqlValue, ...]]] = defaultdict(list)
    for operation in operations:
        match operation:
            case Remove():
                removed.append(operation.key)
            case Put():
                put.append(operation.values)
            case Patch():
                columns = tuple(name for name in operation.values if name not in layout.key)
                changes = tuple(operation.values[name] for name in columns)
                patched[columns].append(changes + operation.key)
            case never:
                assert_never(never)
    if removed:
        db.conn.executemany(print_delete(layout, table), removed)
    if put:
        db.conn.executemany(print_upsert(layout, table), put)
    for columns, parameters in patched.items():
        if columns:
            db.conn.executemany(print_update(layout, table, columns), parameters)


def stage(db: Database, layout: TableLayout, *, copy: bool) -> None:
    """Begin a new copy aside, empty or with the present rows."""
    name = staged_name(layout)
    db.table(name).drop(ignore=True)
    db.table(name).create(layout.storage, pk=layout.key if len(layout.key) > 1 else layout.key[0])
    if copy:
        db.execute(print_copy(layout, layout.name, name))


def replace_rows(db: Database, layout: TableLayout) -> None:
    """Put the copy prepared aside in the place of the table.

    A table of the same columns keeps its indexes and triggers. Any other is replaced, and what indexes and
    triggers still fit are made again. Views stay in both cases.
    """
    source = staged_name(layout)
    if not db.table(layout.name).exists():
        db.rename_table(source, layout.name)
    elif _shape_of(db, layout.name) == _shape_of(db, source):
        db.execute(print_delete_all(layout.name))
        db.execute(print_copy(layout, source, layout.name))
        db.table(source).drop()
    else:
        made = _made_by_user(db, layout.name)
        db.table(layout.name).drop()
        db.rename_table(source, layout.name)
        for sql in made:
            with contextlib.suppress(sqlite3.OperationalError):
                db.execute(sql)


def _shape_of(db: Database, table: str) -> frozenset[tuple[str, str, int]]:
    return frozenset((column.name, column.type, column.is_pk) for column in db.table(table).columns)


def _made_by_user(db: Database, table: str) -> tuple[str, ...]:
    rows = db.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND type IN ('index', 'trigger') "
        "AND sql IS NOT NULL",
        [table],
    )
    return tuple(str(sql) for (sql,) in rows.fetchall())
