"""Rows asked for on demand beside the stream of changes (PROTOCOL 3.7; REQUIREMENTS C-47).

Such rows are newer than what the stream has brought so far. What it brings afterwards of the same rows is
dropped while their snapshot saw it already, or they would go back in time. To forget a snapshot, or one of
its rows, is always sound: then the stream repeats what led to the row, and ends where the row was.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from shapegate_client.inserts import Inserts
from shapegate_wire.message import Change, UpToDate
from shapegate_wire.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapegate_client.decode import LogItem
    from shapegate_client.form import Key
    from shapegate_wire.message import SubsetRows


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSubset:
    """Rows that were asked for on demand; they can be read when this is there."""

    table: str
    keys: tuple[Key, ...]
    """Their primary keys, in the order in which the server sent them."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Rows of one subset, by their opaque keys, that are newer than the stream."""

    keys: frozenset[str]
    visibility: Visibility
    database_lsn: int
    """The stream has all that they show when it has come as far."""

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

    def sees_all_of(self, older: Visibility) -> bool:
        """Tell whether this snapshot was not taken before another one."""
        newer = self.visibility
        return newer.xmax >= older.xmax and not any(map(older.sees, newer.running))

    def without(self, keys: frozenset[str]) -> Self:
        """Leave some rows to the stream."""
        return replace(self, keys=self.keys - keys) if self.keys & keys else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What of some messages is news to the rows of every subset."""

    messages: tuple[LogItem, ...]
    shown_txids: frozenset[int]
    """The 32-bit ids of transactions whose changes are there already."""
    ahead: tuple[Ahead, ...]
    """The subsets that are still newer than the stream in some row."""


def admit(messages: Sequence[LogItem], ahead: tuple[Ahead, ...]) -> Admitted:
    """Leave out the changes that are there already.

    A change that names no transaction may be older or newer than a subset, so its row is the stream's from
    then on. No subset outlives a run of rows without keys.
    """
    news: list[LogItem] = []
    shown: set[int] = set()
    left: set[str] = set()
    for message in messages:
        if isinstance(message, Inserts):
            ahead = ()
        elif isinstance(message, Change) and ahead:
            if message.key not in left and any(each.shows(message) for each in ahead):
                shown.update(message.txids)
                continue
            if not message.txids:
                left.add(message.key)
        news.append(message)
    remaining = (each.without(frozenset(left)) for each in ahead)
    return Admitted(
        messages=tuple(news),
        shown_txids=frozenset(shown),
        ahead=tuple(each for each in remaining if each.keys),
    )


def still_ahead(ahead: Iterable[Ahead], messages: Iterable[LogItem]) -> tuple[Ahead, ...]:
    """List the subsets whose snapshot an up-to-date among these messages has not reached yet.

    By position only: of two transactions that end at the same time, either may become visible first.
    """
    reached = max(
        (each.global_last_seen_lsn or 0 for each in messages if isinstance(each, UpToDate)), default=0
    )
    return tuple(each for each in ahead if each.database_lsn > reached)
