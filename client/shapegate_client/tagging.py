"""Tags of rows in SQLite: written with the rows, found by the hashes of a move (REQUIREMENTS C-40 to C-42).

A shape with subqueries has two tables of the store's own beside its rows: tags and conditions of each row,
and which rows have which hash at which position. Everything runs on the connection that it is given, inside
of its transaction, so that rows, tags and position move together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_client.ddl import SLOTS_PREFIX, TAGS_PREFIX, free_name, print_delete, print_drop, print_match
from shapegate_client.tags import parse_row_tags
from shapegate_wire.identifier import quote
from shapegate_wire.message import MoveIn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlite_utils import Database

    from shapegate_client.ddl import TableLayout
    from shapegate_client.form import Key
    from shapegate_client.tags import RowTags
    from shapegate_wire.message import MoveOut


class TagTables:
    """The tags of the rows of one table, be it the visible one or a copy aside."""

    def __init__(self, db: Database, layout: TableLayout, table: str) -> None:
        self._db = db
        self._layout = layout
        self._table = table
        self._tags, self._slots = TAGS_PREFIX + table, SLOTS_PREFIX + table
        # Names that no key column has.
        self._columns = tuple(free_name(wanted, layout.key) for wanted in ("tags", "active"))
        self._places = tuple(free_name(wanted, layout.key) for wanted in ("position", "hash"))

    @property
    def exist(self) -> bool:
        """Whether any row of the table ever had tags."""
        found = self._db.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [self._tags]
        )
        return found.fetchone() is not None

    def write(self, tagged: Mapping[Key, RowTags]) -> None:
        """Give rows these tags, in the place of those that they had."""
        if not self.exist:
            self._create()
        self._db.conn.executemany(print_delete(self._layout, self._slots), tagged)
        key = [quote(name) for name in self._layout.key]
        self._db.conn.executemany(
            f"INSERT OR REPLACE INTO {quote(self._tags)} ({_list(key, self._columns)}) "  # noqa: S608  # quoted
            f"VALUES ({_marks(len(key) + 2)})",
            [(*row, *tags.print()) for row, tags in tagged.items()],
        )
        self._db.conn.executemany(
            f"INSERT INTO {quote(self._slots)} ({_list(key, self._places)}) "  # noqa: S608  # quoted
            f"VALUES ({_marks(len(key) + 2)})",
            [(*row, *slot) for row, tags in tagged.items() for slot in sorted(tags.slots)],
        )

    def remove(self, keys: Iterable[Key]) -> None:
        """Forget the tags of rows that are gone."""
        keys = list(keys)
        for table in (self._tags, self._slots):
            self._db.conn.executemany(print_delete(self._layout, table), keys)

    def held(self, keys: Iterable[Key]) -> frozenset[Key]:
        """Say which of these rows are there."""
        statement = f"SELECT 1 FROM {quote(self._table)} WHERE {print_match(self._layout)}"  # noqa: S608  # quoted
        return frozenset(key for key in keys if self._db.conn.execute(statement, key).fetchone() is not None)

    def move(self, move: MoveIn | MoveOut) -> tuple[Key, ...]:
        """Set or clear the conditions that a move names, and return the rows that it hides.

        Their tags are forgotten; the rows themselves are still there.
        """
        hidden: list[Key] = []
        if not self.exist:
            return ()
        for pattern in move.patterns:
            for key, tags in self._matching(pattern.position, pattern.value):
                moved = tags.with_condition(pattern.position, holds=isinstance(move, MoveIn))
                if isinstance(move, MoveIn) or moved.visible:
                    self._set_active(key, moved)
                else:
                    self.remove([key])
                    hidden.append(key)
        return tuple(hidden)

    def drop(self) -> None:
        """Forget all."""
        self._db.execute(print_drop(self._tags))
        self._db.execute(print_drop(self._slots))

    def take_over(self, source: str) -> None:
        """Take the tags of another table's rows, and none but those."""
        self.drop()
        theirs = TagTables(self._db, self._layout, source)
        if theirs.exist:
            self._db.rename_table(theirs._tags, self._tags)
            self._db.rename_table(theirs._slots, self._slots)

    def copy_from(self, source: str) -> None:
        """Take a copy of the tags of another table's rows; there are none yet."""
        theirs = TagTables(self._db, self._layout, source)
        if not theirs.exist:
            return
        self._create()
        for mine, other in ((self._tags, theirs._tags), (self._slots, theirs._slots)):
            self._db.execute(f"INSERT INTO {quote(mine)} SELECT * FROM {quote(other)}")  # noqa: S608  # quoted

    def _create(self) -> None:
        storage = self._layout.storage
        key = ", ".join(f"{quote(name)} {storage[name]} NOT NULL" for name in self._layout.key)
        names = _list([quote(name) for name in self._layout.key], ())
        tags, active = map(quote, self._columns)
        position, hashed = map(quote, self._places)
        self._db.execute(
            f"CREATE TABLE {quote(self._tags)} ({key}, {tags} TEXT NOT NULL, {active} TEXT NOT NULL, "
            f"PRIMARY KEY ({names})) WITHOUT ROWID"
        )
        self._db.execute(
            f"CREATE TABLE {quote(self._slots)} ({key}, {position} INTEGER NOT NULL, {hashed} TEXT NOT NULL, "
            f"PRIMARY KEY ({names}, {position}, {hashed}), "
            f"UNIQUE ({hashed}, {position}, {names})) WITHOUT ROWID"
        )

    def _matching(self, position: int, value: str) -> list[tuple[Key, RowTags]]:
        key = [quote(name) for name in self._layout.key]
        place, hashed = map(quote, self._places)
        rows = self._db.execute(
            f"SELECT {_list(key, self._columns)} FROM {quote(self._slots)} JOIN {quote(self._tags)} "  # noqa: S608
            f"USING ({', '.join(key)}) WHERE {hashed} = ? AND {place} = ?",
            [value, position],
        ).fetchall()
        return [(tuple(row[:-2]), parse_row_tags(row[-2], row[-1])) for row in rows]

    def _set_active(self, key: Key, tags: RowTags) -> None:
        self._db.execute(
            f"UPDATE {quote(self._tags)} SET {quote(self._columns[1])} = ? WHERE {print_match(self._layout)}",  # noqa: S608
            [tags.print()[1], *key],
        )


def _list(key: list[str], more: tuple[str, ...]) -> str:
    return ", ".join([*key, *map(quote, more)])


def _marks(count: int) -> str:
    return ", ".join("?" * count)
