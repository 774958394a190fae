"""Rows of one shape in SQLite: apply a batch, prepare a new copy aside, put it in place.

Everything runs on the connection that it is given, inside of its transaction. Statements run by
`executemany`, prepared once by the connection's cache: this is the hot path (DESIGN 10).
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client.ddl import (
    print_copy,
    print_delete,
    print_delete_all,
    print_drop,
    print_update,
    print_upsert,
    staged_name,
)
from shapegate_client.fold import Folded, Load, Moves, Patch, Put, Remove
from shapegate_client.tagging import TagTables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlite_utils import Database

    from shapegate_client.ddl import TableLayout
    from shapegate_client.fold import Batch, RowOperation
    from shapegate_client.form import Key
    from shapegate_client.inserts import Block
    from shapegate_client.values import SqlValue


_LOAD_VALUES_MAX: Final = 9_000
"""Values of one statement. Between two of them a thread waits for its turn to run Python."""
_LOAD_ROWS_MIN: Final = 5_000
"""For fewer rows such a statement takes longer to prepare than it saves."""


def apply_batch(db: Database, layout: TableLayout, table: str, batch: Batch) -> tuple[tuple[Key, ...], ...]:
    """Apply a batch step by step, and return for each of its steps the rows that moves of it removed.

    Raises Misread if it is not settled.
    """
    tags = TagTables(db, layout, table)
    moved: list[tuple[Key, ...]] = []
    for step in batch.steps:
        hidden: tuple[Key, ...] = ()
        match step:
            case Folded():
                _apply_rows(db, layout, table, step.operations.values())
                _apply_tags(tags, step.operations.values())
            case Load():
                _load(db, layout, table, step.rows.blocks())
            case Moves():
                hidden = tuple(key for move in step.moves for key in tags.move(move))
                db.conn.executemany(print_delete(layout, table), hidden)
            case never:
                assert_never(never)
        moved.append(hidden)
    return tuple(moved)


def _load(db: Database, layout: TableLayout, table: str, blocks: Iterable[Block]) -> None:
    """Put many rows, several by one statement: a third faster, and other threads run meanwhile.

    Raises Misread, maybe after some of them were put.
    """
    width = len(layout.stored)
    values_max = min(_LOAD_VALUES_MAX, db.conn.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    at_once = max(1, values_max // width)
    rest: Block = []
    db.conn.executemany(print_upsert(layout, table, rows=at_once), _regrouped(blocks, at_once * width, rest))
    by_row = zip(*(rest[place::width] for place in range(width)), strict=True)
    db.conn.executemany(print_upsert(layout, table), by_row)


def _regrouped(blocks: Iterable[Block], size: int, rest: Block) -> Iterator[Block]:
    """Give so many values at a time; what is less than that is left in `rest`."""
    for block in blocks:
        rest += block
        while len(rest) >= size:
            yield rest[:size]
            del rest[:size]


def _apply_rows(db: Database, layout: TableLayout, table: str, operations: Iterable[RowOperation]) -> None:
    """Apply the last word on each row: deletes first, so that a changed key never meets itself."""
    if _is_sortable(layout):
        # Neighbours lie on one page: nearly twice as fast as in the order of the log.
        operations = sorted(operations, key=attrgetter("key"))
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
    if len(put) >= _LOAD_ROWS_MIN:
        _load(db, layout, table, [[*chain.from_iterable(put)]])
    elif put:
        db.conn.executemany(print_upsert(layout, table), put)
    for columns, parameters in patched.items():
        if columns:
            db.conn.executemany(print_update(layout, table, columns), parameters)


def _is_sortable(layout: TableLayout) -> bool:
    """Tell whether any two keys can be compared; a float that is not finite is a text among numbers."""
    return "REAL" not in map(layout.storage.__getitem__, layout.key)


def _apply_tags(tags: TagTables, operations: Iterable[RowOperation]) -> None:
    """Write the tags of rows that are there now, and forget those of rows that are gone."""
    operations = list(operations)
    tagged = {each.key: each.tags for each in operations if not isinstance(each, Remove) and each.tags}
    if not tagged and not tags.exist:
        return
    unsure = {each.key for each in operations if isinstance(each, Patch)} & tagged.keys()
    missing = unsure - tags.held(unsure)
    removed = [each.key for each in operations if isinstance(each, Remove)]
    tags.write({key: each for key, each in tagged.items() if key not in missing})
    tags.remove(key for key in removed if key not in tagged)


def stage(db: Database, layout: TableLayout, *, copy: bool) -> None:
    """Begin a new copy aside, empty or with the present rows."""
    name = staged_name(layout)
    tags = TagTables(db, layout, name)
    db.execute(print_drop(name))
    tags.drop()
    db.table(name).create(layout.storage, pk=layout.key if len(layout.key) > 1 else layout.key[0])
    if copy:
        db.execute(print_copy(layout, layout.name, name))
        tags.copy_from(layout.name)


def replace_rows(db: Database, layout: TableLayout) -> None:
    """Put the copy prepared aside in the place of the table; its tags in the place of the table's.

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
            _make_again(db, sql)
    TagTables(db, layout, layout.name).take_over(source)


def _shape_of(db: Database, table: str) -> frozenset[tuple[str, str, int]]:
    return frozenset((column.name, column.type, column.is_pk) for column in db.table(table).columns)


def _make_again(db: Database, sql: str) -> None:
    try:
        db.execute(sql)
    except sqlite3.OperationalError as exc:
        # It does not fit the new columns. Any other error ends the transaction, so it must be heard of.
        if exc.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise


def _made_by_user(db: Database, table: str) -> tuple[str, ...]:
    rows = db.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND type IN ('index', 'trigger') "
        "AND sql IS NOT NULL",
        [table],
    )
    return tuple(str(sql) for (sql,) in rows.fetchall())
