"""The messages of a shape's log (PROTOCOL 3). Pure: no I/O, no clock.

Every header but `operation` is optional on a change; unknown control messages, events and headers are
ignored (REQUIREMENTS C-36, C-38).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shapegate_wire.errors import MalformedResponse

Row = Mapping[str, str | None]
"""Column names to Postgres text or None, as much of a row as a message carries."""


class Operation(enum.Enum):
    """What a change does to its row."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row entered the shape, changed or left it."""

    key: str
    """Identity of the row, opaque: compared, never parsed (REQUIREMENTS C-35)."""
    operation: Operation
    value: Row
    """The whole row of an insert; an update has at least key and changed columns, a delete its key."""
    old_value: Row | None = None
    relation: tuple[str, str] | None = None
    """Schema and table."""
    lsn: int | None = None
    op_position: int | None = None
    txids: tuple[int, ...] = ()
    """32-bit transaction ids."""
    last: bool = False
    tags: tuple[str, ...] = ()
    removed_tags: tuple[str, ...] = ()
    active_conditions: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class UpToDate:
    """The end of the log was reached; what came before it is one consistent state."""

    global_last_seen_lsn: int | None = None


@dataclass(frozen=True, slots=True)
class MustRefetch:
    """The log is gone; start over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEnd:
    """The end of a snapshot, with the transactions that it saw as Postgres' snapshot function prints them."""

    xmin: int
    xmax: int
    xip_list: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MovePattern:
    """The hash that rows have at one condition position of their tags."""

    position: int
    value: str


@dataclass(frozen=True, slots=True)
class MoveOut:
    """Rows with one of these hashes stop to satisfy that condition."""

    patterns: tuple[MovePattern, ...]


@dataclass(frozen=True, slots=True)
class MoveIn:
    """Rows with one of these hashes begin to satisfy that condition."""

    patterns: tuple[MovePattern, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A control message or event of a later protocol; to be ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetRows:
    """A complete answer to a subset request (PROTOCOL 3.7)."""

    rows: tuple[Change, ...]
    """Inserts: rows as they are now."""
    end: SnapshotEnd
    """Which transactions they show."""
    database_lsn: int
    """A log that has come that far has everything that they show."""


Message = Change | UpToDate | MustRefetch | SnapshotEnd | MoveIn | MoveOut | Unknown

_MESSAGE: Final = "a message"
_INTEGER_MAX: Final = (1 << 64) - 1


def parse_body(body: object) -> tuple[Message, ...]:
    """Read a decoded log body, an array of messages. Raises MalformedResponse for anything else."""
    if not isinstance(body, list):
        raise MalformedResponse(f"the body is {type(body).__name__}: expected a JSON array of messages")
    return tuple(parse_message(item) for item in body)


def parse_message(item: object) -> Message:
    """Read one decoded message. Raises MalformedResponse if it is none."""
    message = _object(item, _MESSAGE)
    headers = _object(message.get("headers"), "headers")
    if "operation" in headers:
        return _change(message, headers)
    if "control" in headers:
        return _control(headers)
    if "event" in headers:
        return _event(headers)
    return Unknown()


def parse_subset_rows(body: object) -> SubsetRows:
    """Read the decoded body of a subset. Raises MalformedResponse for anything else."""
    subset = _object(body, "a subset")
    metadata = _object(subset.get("metadata"), "the metadata of a subset")
    rows = [message for message in parse_body(subset.get("data")) if isinstance(message, Change)]
    if any(row.operation is not Operation.INSERT for row in rows):
        raise MalformedResponse("a subset has changes that are no inserts")
    return SubsetRows(
        rows=tuple(rows), end=_snapshot_end(metadata), database_lsn=_integer(metadata.get("database_lsn"))
    )


def _change(message: Mapping[str, object], headers: Mapping[str, object]) -> Change:
    try:
        operation = Operation(headers["operation"])
    except ValueError as exc:
        raise MalformedResponse("a change has an unknown operation") from exc
    key, old = message.get("key"), message.get("old_value")
    if not isinstance(key, str):
        raise MalformedResponse("a change has no key")
    return Change(
        key=key,
        operation=operation,
        value=_row(message.get("value")),
        old_value=None if old is None else _row(old),
        relation=_relation(headers.get("relation")),
        lsn=_optional_integer(headers.get("lsn")),
        op_position=_optional_integer(headers.get("op_position")),
        txids=_integers(headers.get("txids")),
        last=headers.get("last") is True,
        tags=_texts(headers.get("tags")),
        removed_tags=_texts(headers.get("removed_tags")),
        active_conditions=tuple(_flag(item) for item in _list(headers.get("active_conditions"))),
    )


def _control(headers: Mapping[str, object]) -> Message:
    match headers["control"]:
        case "up-to-date":
            return UpToDate(_optional_integer(headers.get("global_last_seen_lsn")))
        case "must-refetch":
            return MustRefetch()
        case "snapshot-end":
            return _snapshot_end(headers)
        case _:
            return Unknown()


def _snapshot_end(headers: Mapping[str, object]) -> SnapshotEnd:
    return SnapshotEnd(
        xmin=_integer(headers.get("xmin")),
        xmax=_integer(headers.get("xmax")),
        xip_list=_integers(headers.get("xip_list")),
    )


def _event(headers: Mapping[str, object]) -> Message:
    match headers["event"]:
        case "move-out":
            return MoveOut(_patterns(headers.get("patterns")))
        case "move-in":
            return MoveIn(_patterns(headers.get("patterns")))
        case _:
            return Unknown()


def _patterns(value: object) -> tuple[MovePattern, ...]:
    """Read what a move is about; none at all would be a move of nothing, and revoked rows would stay."""
    if not isinstance(value, list):
        raise MalformedResponse("a move has no patterns")
    patterns = [_object(item, "a pattern") for item in value]
    return tuple(
        MovePattern(_integer(pattern.get("pos")), _text(pattern.get("value"), "the value of a pattern"))
        for pattern in patterns
    )


def _object(item: object, what: str) -> Mapping[str, object]:
    if not isinstance(item, dict):
        raise MalformedResponse(f"{what} is {type(item).__name__}: expected a JSON object")
    return item


def _row(value: object) -> Row:
    row = _object(value, "the value of a change")
    cells: dict[str, str | None] = {}
    for column, cell in row.items():
        if not (cell is None or isinstance(cell, str)):
            raise MalformedResponse(f"column {column!r} is {type(cell).__name__}: expected text or null")
        cells[column] = cell
    return cells


def _relation(value: object) -> tuple[str, str] | None:
    parts = _texts(value)
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _list(value: object) -> list[object]:
    """Read an array; absent is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedResponse(f"a header is {type(value).__name__}: expected a JSON array")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise MalformedResponse(f"{what} is {type(value).__name__}: expected text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item, "an item of a header") for item in _list(value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise MalformedResponse(f"a condition is {type(value).__name__}: expected true or false")
    return value


def _integers(value: object) -> tuple[int, ...]:
    return tuple(_integer(item) for item in _list(value))


def _optional_integer(value: object) -> int | None:
    return None if value is None else _integer(value)


def _integer(value: object) -> int:
    """Read a 64-bit count that is sent as a number or as decimal text."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _INTEGER_MAX:
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    # Its type only: printing a huge or deeply nested value fails in ways of its own.
    raise MalformedResponse(f"a {type(value).__name__} that is no integer: expected 0 to {_INTEGER_MAX}")
