"""The store's own tables: whose rows these are, and where each shape stands in its log.

Everything runs on the connection that it is given, inside of its transaction.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shapegate_client.ddl import OWN_PREFIX, SLOTS_PREFIX, STAGED_PREFIX, TAGS_PREFIX
from shapegate_client.errors import StoreDamaged, StoreMismatch
from shapegate_client.state import Position
from shapegate_wire import names
from shapegate_wire.columns import parse_schema, print_schema
from shapegate_wire.errors import WireError
from shapegate_wire.offset import Offset, parse_offset
from shapegate_wire.request import parse_request

if TYPE_CHECKING:
    from sqlite_utils import Database

    from shapegate_client.home import StoreOwner
    from shapegate_wire.shape import ShapeDefinition

FORMAT: Final = 1
"""Counts changes of these tables; a store of a later format is refused, never misread."""
_SHAPES: Final = f"{OWN_PREFIX}shapes"
_OWNER: Final = f"{OWN_PREFIX}owner"
_DEFINED: Final = ("name", "definition", "fingerprint", "server_url")
_MOVED: Final = ("handle", "offset", "schema", "cursor", "committed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredShape:
    """A subscription on disk, and how far its rows go."""

    name: str
    """The local table."""
    definition: ShapeDefinition
    fingerprint: str
    server_url: str
    position: Position | None
    """None until the first complete copy is there."""
    committed_at: datetime.datetime | None
    """When the rows last moved."""


def prepare(db: Database, owner: StoreOwner) -> None:
    """Make the tables of a new store, or verify those of an old one. Raises StoreMismatch."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        with db.atomic():
            db.table(_OWNER).create({"issuer": str, "user_id": str, "organization_id": str}, pk="issuer")
            db.table(_OWNER).insert(
                {
                    "issuer": owner.issuer,
                    "user_id": owner.user_id,
                    "organization_id": owner.organization_id,
                }
            )
            columns = dict.fromkeys(
                (*_DEFINED, *_MOVED),
                str,
            )
            db.table(_SHAPES).create(columns, pk="name", not_null=("definition", "fingerprint", "server_url"))
            db.execute(f"PRAGMA user_version = {FORMAT}")
    verify(db, owner)


def verify(db: Database, owner: StoreOwner) -> None:
    """Compare format and owner with what is expected. Raises StoreMismatch."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found != FORMAT:
        raise StoreMismatch(f"the store has format {found}: expected {FORMAT}; use the version that wrote it")
    row = db.execute(f"SELECT issuer, user_id, organization_id FROM {_OWNER}").fetchone()  # noqa: S608  # constant
    if row != (owner.issuer, owner.user_id, owner.organization_id):
        raise StoreMismatch("the store belongs to another user or org: remove the file and sync again")


def read_shapes(db: Database) -> tuple[StoredShape, ...]:
    """List the subscriptions by name. Raises StoreDamaged if one does not parse."""
    return tuple(_shape(row) for row in db.table(_SHAPES).rows_where(order_by="name"))


def read_shape(db: Database, name: str) -> StoredShape | None:
    """Read one subscription by the name of its local table, without regard to case."""
    rows = db.table(_SHAPES).rows_where("name = ? COLLATE NOCASE", [name])
    return next((_shape(row) for row in rows), None)


def write_shape(db: Database, name: str, definition: ShapeDefinition, server_url: str) -> None:
    """Note a subscription without a position; one that was there is replaced."""
    db.table(_SHAPES).upsert(
        {
            "name": name,
            "definition": print_definition(definition),
            "fingerprint": definition.fingerprint(),
            "server_url": server_url,
            **dict.fromkeys(_MOVED),
        },
        pk="name",
    )


def write_position(db: Database, name: str, position: Position, committed_at: datetime.datetime) -> None:
    """Move a subscription to a position; belongs into the transaction of the rows (REQUIREMENTS T-01)."""
    db.execute(
        f"UPDATE {_SHAPES} SET {', '.join(f'{column} = ?' for column in _MOVED)} WHERE name = ?",  # noqa: S608
        [
            position.handle,
            str(position.offset),
            print_schema(position.schema),
            position.cursor,
            committed_at.isoformat(),
            name,
        ],
    )


def remove_shape(db: Database, name: str) -> None:
    """Forget a subscription."""
    db.execute(f"DELETE FROM {_SHAPES} WHERE name = ?", [name])  # noqa: S608  # constant


def staged_tables(db: Database) -> tuple[str, ...]:
    """List the unfinished copies, and their tags, that a run before this one left behind."""
    return tuple(
        name
        for name in db.table_names()
        if any(part.startswith(STAGED_PREFIX) for part in (name, *_tagged(name)))
    )


def _tagged(name: str) -> tuple[str, ...]:
    """Say whose tags a table holds, if any's."""
    prefixes = (TAGS_PREFIX, SLOTS_PREFIX)
    return tuple(name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix))


def print_definition(definition: ShapeDefinition) -> str:
    """Print a definition as JSON for a later run."""
    return json.dumps(definition.to_query())


def parse_definition(text: str) -> ShapeDefinition:
    """Read what `print_definition` prints. Raises StoreDamaged."""
    try:
        pairs = [(str(name), str(value)) for name, value in json.loads(text)]
        definition = parse_request([*pairs, (names.OFFSET, "-1")]).definition
        # Parsing spells the table anew; its own spelling is part of the definition's identity.
        return replace(definition, table=dict(pairs)[names.TABLE])
    except (WireError, ValueError, TypeError) as exc:
        raise StoreDamaged("a stored subscription does not parse: remove the store and sync again") from exc


def _shape(row: dict[str, object]) -> StoredShape:
    cursor, committed_at = row["cursor"], row["committed_at"]
    return StoredShape(
        name=str(row["name"]),
        definition=parse_definition(str(row["definition"])),
        fingerprint=str(row["fingerprint"]),
        server_url=str(row["server_url"]),
        position=_position(row, None if cursor is None else str(cursor)),
        committed_at=None if committed_at is None else datetime.datetime.fromisoformat(str(committed_at)),
    )


def _position(row: dict[str, object], cursor: str | None) -> Position | None:
    if row["handle"] is None:
        return None
    try:
        offset = parse_offset(str(row["offset"]))
        schema = parse_schema(str(row["schema"]))
    except WireError as exc:
        raise StoreDamaged("a stored position does not parse: remove the store and sync again") from exc
    assert isinstance(offset, Offset)  # `now` is never stored
    return Position(handle=str(row["handle"]), offset=offset, schema=schema, cursor=cursor)


def is_damage(exc: sqlite3.Error) -> bool:
    """Say whether SQLite found the file itself broken, rather than full, busy or unreadable."""
    return getattr(exc, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
