"""A batch of changes folded to the last word on each row. Pure: no I/O, no clock.

Folding is what makes a replay harmless and a batch atomic: however a history is split, whatever part of it is
sent twice, the same rows come out (PROTOCOL 3.2, 4.5; REQUIREMENTS C-31 to C-35, C-39; SECURITY L-03).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from shapegate_client.values import SqlValue
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Change, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shapegate_client.ddl import TableLayout
    from shapegate_wire.message import Message, Row

Key = tuple[SqlValue, ...]
"""The primary key of a local row, in key order."""


@dataclass(frozen=True, slots=True)
class Put:
    """The whole row, whether it was there or not; `values` are in the order of `layout.stored`."""

    key: Key
    values: tuple[SqlValue, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """Some columns of a row; nothing if the row is not there (REQUIREMENTS C-32)."""

    key: Key
    values: Mapping[str, SqlValue]


@dataclass(frozen=True, slots=True)
class Remove:
    """The row is gone; nothing if it was not there."""

    key: Key


RowOperation = Put | Patch | Remove
Batch = dict[str, RowOperation]
"""The last word on each row, by the opaque key of the log."""


def fold(held: Mapping[str, RowOperation], messages: Iterable[Message], layout: TableLayout) -> Batch:
    """Add messages to a batch and return the new one; the old one is unchanged.

    Raises MalformedResponse if a change belongs to another table, or has columns or values that do not fit.
    """
    batch = dict(held)
    for message in messages:
        if isinstance(message, Change):
            _check_relation(message, layout)
            batch[message.key] = _combine(batch.get(message.key), message, layout)
    return batch


def _combine(before: RowOperation | None, change: Change, layout: TableLayout) -> RowOperation:
    match change.operation:
        case Operation.INSERT:
            return _put(change.key, _decode(change.value, layout), layout)
        case Operation.DELETE:
            return Remove(_key(change.key, _decode(change.value, layout), layout))
        case Operation.UPDATE:
            return _update(before, change, layout)
        case never:
            assert_never(never)


def _update(before: RowOperation | None, change: Change, layout: TableLayout) -> RowOperation:
    values = _decode(change.value, layout)
    if len(values) == len(layout.columns):
        return _put(change.key, values, layout)
    key = _key(change.key, values, layout)
    match before:
        case None:
            return Patch(key, values)
        case Patch():
            return Patch(key, {**before.values, **values})
        case Put():
            row = {**dict(zip(layout.stored, before.values, strict=True)), **values}
            return Put(key, tuple(row[name] for name in layout.stored))
        case Remove():
            return before
        case never:
            assert_never(never)


def _put(key: str, values: Mapping[str, SqlValue], layout: TableLayout) -> Put:
    missing = [column.name for column in layout.columns if column.name not in values]
    if missing:
        raise MalformedResponse(f"a whole row lacks the columns {', '.join(missing)}")
    own = () if layout.key_column is None else (key,)
    row = own + tuple(values[column.name] for column in layout.columns)
    return Put(_key(key, values, layout), row)


def _key(key: str, values: Mapping[str, SqlValue], layout: TableLayout) -> Key:
    if layout.key_column is not None:
        return (key,)
    try:
        found = tuple(values[name] for name in layout.key)
    except KeyError as exc:
        raise MalformedResponse(f"a change lacks the key column {exc.args[0]!r}") from exc
    if None in found:
        raise MalformedResponse("a change has a key column that is null")
    return found


def _decode(row: Row, layout: TableLayout) -> dict[str, SqlValue]:
    decoders = layout.decoders
    try:
        return {name: None if text is None else decoders[name](text) for name, text in row.items()}
    except KeyError as exc:
        raise MalformedResponse(f"a change has a column {exc.args[0]!r} that the schema lacks") from exc


def _check_relation(change: Change, layout: TableLayout) -> None:
    """Compare the relation with the subscription's table, where the message names one (SECURITY L-08)."""
    if change.relation is not None and change.relation != (layout.source.schema, layout.source.name):
        raise MalformedResponse(f"a change belongs to another table than {str(layout.source)!r}")
