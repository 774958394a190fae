"""A batch of changes folded to the last word on each row. Pure: no I/O, no clock.

Folding is what makes a replay harmless and a batch atomic: however a history is split, whatever part of it is
sent twice, the same rows come out (PROTOCOL 3.2, 4.5; REQUIREMENTS C-31 to C-35, C-39; SECURITY L-03). A move
concerns rows that only the store knows, so it ends one step of a batch and the next one begins after it.

What there is one of for each change is a struct, not a dataclass: made four times as fast, and left alone by
the collector, since it is never part of a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self, assert_never

import msgspec

from shapegate_client.form import form_of
from shapegate_client.inserts import Inserts
from shapegate_client.tags import RowTags, read_row_tags
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Change, MoveIn, MoveOut, Operation, SnapshotEnd
from shapegate_wire.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shapegate_client.ddl import TableLayout
    from shapegate_client.decode import LogItem
    from shapegate_client.form import Form, Key
    from shapegate_client.values import SqlValue


class Put(msgspec.Struct, frozen=True, gc=False):
    """The whole row, whether it was there or not; `values` are in the order of `layout.stored`."""

    key: Key
    values: tuple[SqlValue, ...]
    tags: RowTags | None = None
    """None leaves those that the row has."""


class Patch(msgspec.Struct, frozen=True, gc=False):
    """Some columns of a row; nothing if the row is not there (REQUIREMENTS C-32)."""

    key: Key
    values: Mapping[str, SqlValue]
    tags: RowTags | None = None
    """None leaves those that the row has."""


class Remove(msgspec.Struct, frozen=True, gc=False):
    """The row is gone; nothing if it was not there."""

    key: Key


RowOperation = Put | Patch | Remove


@dataclass(frozen=True, slots=True)
class Folded:
    """The last word on each row, by the opaque key of the log; their order does not matter."""

    operations: Mapping[str, RowOperation]

    def __len__(self) -> int:
        return len(self.operations)


@dataclass(frozen=True, slots=True)
class Load:
    """Whole rows in the order of the log, of which a later one wins."""

    rows: Inserts
    """Their values are in the order of `layout.stored`."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Moves:
    """Conditions that hold no more, or hold again, for the rows that the store has by then."""

    moves: tuple[MoveIn | MoveOut, ...]

    def __len__(self) -> int:
        return len(self.moves)


Step = Folded | Load | Moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is to be done to the rows of one table, step by step."""

    steps: tuple[Step, ...] = ()
    txids: frozenset[int] = frozenset()
    """The 32-bit ids of the transactions whose changes these are, as far as the log names them."""
    snapshot: Visibility | None = None
    """What the log's first snapshot saw, if its end is part of the batch."""

    def __len__(self) -> int:
        """Count the rows and moves that are held in memory."""
        return sum(map(len, self.steps))

    def settled(self) -> Self:
        """Return the same with every row read, so that nothing can be wrong with it. Raises Misread."""
        steps = tuple(Load(step.rows.settled()) if isinstance(step, Load) else step for step in self.steps)
        return replace(self, steps=steps)


EMPTY: Final = Batch()
# Looked up once: each time takes a call in Python 3.11.
_INSERT: Final = Operation.INSERT
_UPDATE: Final = Operation.UPDATE
_DELETE: Final = Operation.DELETE
TXIDS_MAX: Final = 100_000
"""Of a longer history the older transactions are not told: nobody waits for a write of hours ago."""


def fold(held: Batch, messages: Iterable[LogItem], layout: TableLayout) -> Batch:
    """Add messages to a batch and return the new one; the old one is unchanged.

    Raises MalformedResponse if a change belongs to another table, or has columns or values that do not fit.
    """
    steps, snapshot = list(held.steps), held.snapshot
    txids: set[int] = set()
    rows: dict[str, RowOperation] = {}
    if steps and isinstance(last := steps[-1], Folded):
        rows = dict(last.operations)
        steps.pop()
    source = (layout.source.schema, layout.source.name)
    # No larger than the changes are: a form is made of the names in one.
    forms: dict[tuple[str, ...], Form] = {}
    for message in messages:
        if isinstance(message, Change):
            if message.relation != source:
                _check_relation(message.relation, layout)
            columns = tuple(message.value)
            form = forms.get(columns)
            if form is None:
                form = forms[columns] = form_of(columns, layout)
            rows[message.key] = _combine(rows.get(message.key), message, form)
            if message.txids:
                txids.update(message.txids)
        elif isinstance(message, Inserts):
            rows = _closed(steps, rows)
            steps.append(_load(message, layout))
        elif isinstance(message, MoveIn | MoveOut):
            rows = _closed(steps, rows)
            _add_move(steps, message)
        elif isinstance(message, SnapshotEnd) and snapshot is None:
            snapshot = Visibility.of(message)
    _closed(steps, rows)
    known = held.txids if len(held.txids) < TXIDS_MAX else frozenset()
    return Batch(steps=tuple(steps), txids=known | txids, snapshot=snapshot)


def _closed(steps: list[Step], rows: dict[str, RowOperation]) -> dict[str, RowOperation]:
    """End a step of changes if there are any, and return the empty rows of the next."""
    if rows:
        steps.append(Folded(rows))
    return {}


def _add_move(steps: list[Step], move: MoveIn | MoveOut) -> None:
    if steps and isinstance(last := steps[-1], Moves):
        steps[-1] = Moves((*last.moves, move))
    else:
        steps.append(Moves((move,)))


def _load(inserts: Inserts, layout: TableLayout) -> Load:
    _check_relation(inserts.relation, layout)
    if [(each.name, each.type, each.dims) for each in inserts.columns] != [
        (each.name, each.type, each.dims) for each in layout.columns
    ]:
        raise MalformedResponse("rows were read by another schema than that of their log")
    return Load(inserts)


def _combine(before: RowOperation | None, change: Change, form: Form) -> RowOperation:
    operation = change.operation
    if operation is _UPDATE:
        return _update(before, change, form)
    key, values = form.read(change)
    if operation is _DELETE:
        return Remove(key)
    if operation is _INSERT:
        return Put(key, form.row(key, values), read_row_tags(change))
    assert_never(operation)


def _update(before: RowOperation | None, change: Change, form: Form) -> RowOperation:
    (key, values), tags = form.read(change), read_row_tags(change)
    if tags is None and not (before is None or isinstance(before, Remove)):
        tags = before.tags
    if form.missing is None:
        return Put(key, form.row(key, values), tags)
    match before:
        case None:
            return Patch(key, dict(zip(form.columns, values, strict=True)), tags)
        case Patch():
            return Patch(key, {**before.values, **dict(zip(form.columns, values, strict=True))}, tags)
        case Put():
            row = list(before.values)
            for place, value in zip(form.places, values, strict=True):
                row[place] = value
            return Put(key, tuple(row), tags)
        case Remove():
            return before
        case never:
            assert_never(never)


def _check_relation(relation: tuple[str, str] | None, layout: TableLayout) -> None:
    """Compare the relation with the subscription's table, where the message names one (SECURITY L-08)."""
    if relation is not None and relation != (layout.source.schema, layout.source.name):
        raise MalformedResponse(f"a change belongs to another table than {str(layout.source)!r}")
