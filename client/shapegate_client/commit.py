"""What is to become visible of one shape, and how it does.

Everything runs on the connection that it is given, inside of its transaction.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_client import catalogue, rows
from shapegate_client.ahead_table import write_ahead
from shapegate_client.ddl import staged_name

if TYPE_CHECKING:
    import datetime

    from sqlite_utils import Database

    from shapegate_client.ddl import TableLayout
    from shapegate_client.fold import Batch
    from shapegate_client.form import Key
    from shapegate_client.state import Position
    from shapegate_client.subset import Ahead


class Aside(enum.Enum):
    """How a commit that replaces a table finds the copy prepared aside."""

    BEGIN = "begin"
    """There is none yet: the batch is all of it."""
    COMPLETE = "complete"
    """The batch is the last part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What is to become visible of one shape."""

    layout: TableLayout
    batch: Batch
    position: Position
    at: datetime.datetime
    aside: Aside | None = None
    """None changes the rows that are there; else they are replaced by the copy."""
    ahead: tuple[Ahead, ...] | None = None
    """The subsets whose rows are newer than the position from now on; None leaves those that are noted."""


Moved = tuple[tuple["Key", ...], ...]
"""For each step of a batch the rows that moves of it removed."""


def apply_commit(db: Database, commit: Commit) -> Moved:
    """Move rows, position and notes; say what moves removed. Raises Misread if the batch is not settled."""
    layout = commit.layout
    if commit.aside is None:
        moved = rows.apply_batch(db, layout, layout.name, commit.batch)
    else:
        if commit.aside is Aside.BEGIN:
            rows.stage(db, layout, copy=False)
        moved = rows.apply_batch(db, layout, staged_name(layout), commit.batch)
        rows.replace_rows(db, layout)
    catalogue.write_position(db, layout.name, commit.position, commit.at)
    if commit.ahead is not None:
        write_ahead(db, layout.name, commit.ahead)
    return moved
