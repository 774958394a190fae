"""The local table of a shape: its name, its columns and the statements on it. Pure: no I/O, no clock.

Names come from the server, so each one is checked before it reaches SQL, and quoted in it (SECURITY L-08).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shapegate_client.errors import UnsafeName
from shapegate_client.values import decoder, storage_class
from shapegate_wire.columns import primary_key
from shapegate_wire.identifier import TableName, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shapegate_client.values import Decode
    from shapegate_wire.columns import ShapeSchema

OWN_PREFIX: Final = "_shapegate_"
"""Begins the names of the store's own tables."""
STAGED_PREFIX: Final = f"{OWN_PREFIX}staged_"
TAGS_PREFIX: Final = f"{OWN_PREFIX}tags_"
SLOTS_PREFIX: Final = f"{OWN_PREFIX}slots_"
COLUMNS_MAX: Final = 1_600
"""Postgres' own bound; SQLite takes 2,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalColumn:
    """One column of a local table."""

    name: str
    type: str
    dims: int
    storage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayout:
    """The local table of a shape; two equal layouts can share a table."""

    source: TableName
    name: str
    columns: tuple[LocalColumn, ...]
    """The shape's columns; a key column of our own is not among them."""
    key: tuple[str, ...]
    """The primary key: the shape's, or `key_column` alone where the table has none in Postgres."""
    key_column: str | None = None
    """Holds the opaque key of each row where Postgres has no primary key (PROTOCOL 3.3)."""
    decoders: Mapping[str, Decode] = field(compare=False, repr=False)
    """How to read each column's text."""
    places: Mapping[str, int] = field(compare=False, repr=False)
    """Every column of the local table, and where it stands in a row."""

    @property
    def stored(self) -> tuple[str, ...]:
        """Every column of the local table in order."""
        return tuple(self.places)

    @property
    def storage(self) -> dict[str, str]:
        """Every column of the local table with its SQLite type."""
        own = {} if self.key_column is None else {self.key_column: "TEXT"}
        return own | {column.name: column.storage for column in self.columns}


def local_name(table: TableName) -> str:
    """Name the local table: the table's own name, with its schema in front unless that is public.

    Raises UnsafeName if SQLite or the store reserves the name.
    """
    name = table.name if table.schema == "public" else f"{table.schema}.{table.name}"
    reserved = next((prefix for prefix in ("sqlite_", OWN_PREFIX) if name.lower().startswith(prefix)), None)
    if reserved is not None:
        raise UnsafeName(f"table {name!r} cannot be stored: names beginning with {reserved!r} are reserved")
    _check_text("table", name)
    return name


def plan_table(table: TableName, schema: ShapeSchema) -> TableLayout:
    """Lay out the local table of a shape. Raises UnsafeName, which names every problem at once."""
    names = [column.name for column in schema]
    _check_columns(table, names)
    keyed = any(column.pk_index is not None for column in schema)
    key_column = None if keyed else free_name("_key", names)
    stored = (() if key_column is None else (key_column,)) + tuple(sorted(names))
    return TableLayout(
        source=table,
        name=local_name(table),
        columns=tuple(
            LocalColumn(name=column.name, type=column.type, dims=column.dims, storage=storage_class(column))
            for column in sorted(schema, key=lambda column: column.name)
        ),
        key=primary_key(schema) if key_column is None else (key_column,),
        key_column=key_column,
        decoders={column.name: decoder(column) for column in schema},
        places={name: place for place, name in enumerate(stored)},
    )


def staged_name(layout: TableLayout) -> str:
    """Name the table in which a new copy is prepared until it is complete."""
    return STAGED_PREFIX + layout.name


def print_upsert(layout: TableLayout, table: str, *, rows: int = 1) -> str:
    """Print the statement that puts whole rows; the parameters of each are `layout.stored` in order."""
    columns = layout.stored
    rest = [column for column in columns if column not in layout.key]
    action = (
        f"UPDATE SET {', '.join(f'{quote(c)} = excluded.{quote(c)}' for c in rest)}" if rest else "NOTHING"
    )
    values = ", ".join([f"({', '.join('?' * len(columns))})"] * rows)
    return (
        f"INSERT INTO {quote(table)} ({_list(columns)}) VALUES {values} "  # noqa: S608  # quoted
        f"ON CONFLICT ({_list(layout.key)}) DO {action}"
    )


def print_update(layout: TableLayout, table: str, columns: tuple[str, ...]) -> str:
    """Print the statement that changes some columns of one row; parameters are those, then the key."""
    changes = ", ".join(f"{quote(column)} = ?" for column in columns)
    return f"UPDATE {quote(table)} SET {changes} WHERE {print_match(layout)}"  # noqa: S608  # quoted


def print_delete(layout: TableLayout, table: str) -> str:
    """Print the statement that deletes one row; parameters are the key."""
    return f"DELETE FROM {quote(table)} WHERE {print_match(layout)}"  # noqa: S608  # quoted


def print_delete_all(table: str) -> str:
    """Print the statement that empties a table."""
    return f"DELETE FROM {quote(table)}"  # noqa: S608  # quoted


def print_drop(table: str) -> str:
    """Print the statement that drops a table if there is one.

    Never catch an error in its place: one of the disk ends the transaction, and what follows would be a
    commit of its own.
    """
    return f"DROP TABLE IF EXISTS {quote(table)}"


def print_copy(layout: TableLayout, source: str, target: str) -> str:
    """Print the statement that copies every row from one table of this layout to another."""
    columns = _list(layout.stored)
    return f"INSERT INTO {quote(target)} ({columns}) SELECT {columns} FROM {quote(source)}"  # noqa: S608  # quoted


def print_match(layout: TableLayout) -> str:
    """Print the condition that finds one row; parameters are the key."""
    return " AND ".join(f"{quote(column)} = ?" for column in layout.key)


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """Name a column of our own so that no other has its name."""
    lowered = {name.lower() for name in taken}
    while wanted in lowered:
        wanted = f"_{wanted}"
    return wanted


def _list(columns: Iterable[str]) -> str:
    return ", ".join(quote(column) for column in columns)


def _check_columns(table: TableName, names: list[str]) -> None:
    if not 0 < len(names) <= COLUMNS_MAX:
        raise UnsafeName(f"table {str(table)!r} has {len(names)} columns: expected 1 to {COLUMNS_MAX}")
    lowered: dict[str, str] = {}
    collisions: list[str] = []
    for name in names:
        _check_text("column", name)
        # SQLite compares names without regard to ASCII case, Postgres with it.
        other = lowered.setdefault(_ascii_lower(name), name)
        if other != name:
            collisions.append(f"{other!r} and {name!r}")
    if collisions:
        raise UnsafeName(
            f"table {str(table)!r} cannot be stored: columns differ in case only ({'; '.join(collisions)}); "
            "ask for one of each by `columns`"
        )


def _check_text(kind: str, name: str) -> None:
    if not name or "\x00" in name or any("\ud800" <= char <= "\udfff" for char in name):
        raise UnsafeName(f"{kind} {name!r} cannot be stored: expected a name without NUL and of valid text")


def _ascii_lower(name: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in name)
