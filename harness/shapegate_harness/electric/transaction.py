"""Committed transactions, put together from the stream's messages. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_harness.electric.decoder import (
    Begin,
    Commit,
    Delete,
    Ignored,
    Insert,
    Message,
    PublishedRelation,
    Toast,
    Truncate,
    Update,
    Values,
)
from shapegate_harness.electric.errors import DecoderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RowText = tuple[str | None, ...]
"""A whole row as Postgres text, in the order of its table's published columns."""

_POSITIONS_PER_OPERATION: Final = 2
"""Electric leaves room for the second message of a key change (PROTOCOL 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One row before and after; None before an insert and after a delete."""

    position: int
    """Of the operation within its transaction; even."""
    old: RowText | None
    new: RowText | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What one transaction did to published tables, by table."""

    lsn: int
    xid: int
    """32 bits."""
    changes: Mapping[int, tuple[RowChange, ...]]
    relations: tuple[PublishedRelation, ...] = ()
    truncated: frozenset[int] = frozenset()
    incomplete: frozenset[int] = frozenset()
    """Tables with a change that came without its old row; no shape can follow them."""

    @property
    def touched(self) -> frozenset[int]:
        """Every table that the transaction says something about."""
        described = (relation.oid for relation in self.relations)
        return frozenset((*self.changes, *described)) | self.truncated | self.incomplete


@dataclass(slots=True)
class _Open:
    """A transaction whose commit was not read yet."""

    begin: Begin
    changes: dict[int, list[RowChange]] = field(default_factory=dict)
    relations: list[PublishedRelation] = field(default_factory=list)
    truncated: set[int] = field(default_factory=set)
    incomplete: set[int] = field(default_factory=set)
    operations: int = 0

    def add(self, oid: int, old: Values | None, new: Values | None, *, complete: bool) -> None:
        position = _POSITIONS_PER_OPERATION * self.operations
        self.operations += 1
        before, after = _whole(old, None), _whole(new, old)
        if not complete or (old is not None and before is None) or (new is not None and after is None):
            self.incomplete.add(oid)
            return
        self.changes.setdefault(oid, []).append(RowChange(position=position, old=before, new=after))

    def close(self) -> Transaction:
        return Transaction(
            lsn=self.begin.lsn,
            xid=self.begin.xid,
            changes={oid: tuple(changes) for oid, changes in self.changes.items()},
            relations=tuple(self.relations),
            truncated=frozenset(self.truncated),
            incomplete=frozenset(self.incomplete),
        )


def assemble(messages: Iterable[Message]) -> tuple[Transaction, ...]:
    """Group whole transactions in commit order. Raises DecoderError if messages are out of order."""
    done: list[Transaction] = []
    current: _Open | None = None
    for message in messages:
        if isinstance(message, Begin):
            if current is not None:
                raise DecoderError("a transaction begins within another one")
            current = _Open(message)
        elif current is None:
            if not isinstance(message, Ignored):
                raise DecoderError(f"{type(message).__name__} came outside of a transaction")
        elif isinstance(message, Commit):
            done.append(current.close())
            current = None
        else:
            _take(current, message)
    if current is not None:
        raise DecoderError("the stream ends within a transaction")
    return tuple(done)


def _take(current: _Open, message: PublishedRelation | Insert | Update | Delete | Truncate | Ignored) -> None:
    match message:
        case Insert():
            current.add(message.oid, None, message.new, complete=True)
        case Update():
            current.add(message.oid, message.old, message.new, complete=message.old is not None)
        case Delete():
            current.add(message.oid, message.old, None, complete=message.old is not None)
        case PublishedRelation():
            current.relations.append(message)
        case Truncate():
            current.truncated.update(message.oids)
        case Ignored():
            pass
        case _:
            assert_never(message)


def _whole(values: Values | None, old: Values | None) -> RowText | None:
    """Fill what was left out from the old row; None where that is not possible."""
    if values is None:
        return None
    whole: list[str | None] = []
    for index, value in enumerate(values):
        filled = old[index] if value is Toast.UNCHANGED and old and index < len(old) else value
        if isinstance(filled, Toast):
            return None
        whole.append(filled)
    return tuple(whole)
