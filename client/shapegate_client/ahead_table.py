"""The subsets of each shape that are newer than its stream, in the store (REQUIREMENTS C-47).

They are noted with their rows: a run that resumes behind them would let the rows go back in time. Everything
runs on the connection that it is given, inside of its transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_client.ddl import OWN_PREFIX
from shapegate_client.errors import StoreDamaged
from shapegate_client.subset import Ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

_AHEAD: Final = f"{OWN_PREFIX}ahead"


def prepare_ahead(db: Database) -> None:
    """Make the table where there is none; a store without it is a store without subsets."""
    db.execute(f"CREATE TABLE IF NOT EXISTS {_AHEAD} (name TEXT NOT NULL, subset BLOB NOT NULL)")


def read_ahead(db: Database, name: str) -> tuple[Ahead, ...]:
    """List the subsets of a shape. Raises StoreDamaged if one does not parse."""
    found = db.execute(f"SELECT subset FROM {_AHEAD} WHERE name = ? ORDER BY rowid", [name])  # noqa: S608  # constant
    try:
        return tuple(msgspec.json.decode(subset, type=Ahead) for (subset,) in found.fetchall())
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise StoreDamaged("a stored subset does not parse: remove the store and sync again") from exc


def write_ahead(db: Database, name: str, ahead: Sequence[Ahead]) -> None:
    """Note these subsets of a shape, in the place of those that were noted."""
    db.execute(f"DELETE FROM {_AHEAD} WHERE name = ?", [name])  # noqa: S608  # constant
    db.conn.executemany(
        f"INSERT INTO {_AHEAD} (name, subset) VALUES (?, ?)",  # noqa: S608  # constant
        [(name, msgspec.json.encode(each)) for each in ahead],
    )
