"""Rows asked for on demand beside the stream of changes (PROTOCOL 3.7; REQUIREMENTS C-47).

Such rows are newer than what the stream has brought so far. What it brings afterwards of the same rows is
dropped while their snapshot saw it already, or they would go back in time. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_wire.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_wire.message import Change, SubsetRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Rows of one subset, by their opaque keys, that are newer than the stream."""

    keys: frozenset[str]
    visibility: Visibility
    database_lsn: int

    @classmethod
    def of(cls, subset: SubsetRows) -> Ahead:
        """Take what was just put into the table."""
        return cls(
            keys=frozenset(row.key for row in subset.rows),
            visibility=Visibility.of(subset.end),
            database_lsn=subset.database_lsn,
        )

    def shows(self, change: Change) -> bool:
        """Tell whether these rows have a change already; one that names no transaction they never have."""
        if change.key not in self.keys or not change.txids:
            return False
        return self.visibility.sees(max(change.txids, key=self.visibility.widen))

    def overtaken(self, *, lsn: int | None, txids: Iterable[int] = ()) -> bool:
        """Tell whether the stream has come as far: to this position, or to a transaction that began later."""
        if lsn is not None and lsn >= self.database_lsn:
            return True
        return any(self.visibility.widen(txid) >= self.visibility.xmax for txid in txids)


def admit(change: Change, ahead: Iterable[Ahead]) -> bool:
    """Tell whether a change of the stream is news to the rows of every subset."""
    return not any(each.shows(change) for each in ahead)
