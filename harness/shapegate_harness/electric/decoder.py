"""Postgres' pgoutput messages, protocol version 1 (Postgres: Logical Replication Message Formats).

Pure: bytes in, frozen values out; whatever is malformed raises DecoderError and nothing else.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from shapegate_harness.electric.errors import DecoderError


class Toast(enum.Enum):
    """The place of a large value that an update did not touch and Postgres did not send."""

    UNCHANGED = "unchanged"


Values = tuple[str | Toast | None, ...]
"""A row as Postgres text, in the order of its Relation message."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction starts; `lsn` is that of its commit record."""

    lsn: int
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The transaction is complete."""

    lsn: int


@dataclass(frozen=True, slots=True)
class PublishedColumn:
    """A column as the stream describes it."""

    name: str
    type_oid: int
    type_mod: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRelation:
    """What the rows of one table look like from here on."""

    oid: int
    schema: str
    name: str
    identity_full: bool
    columns: tuple[PublishedColumn, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    oid: int
    new: Values


@dataclass(frozen=True, slots=True)
class Update:
    """A changed row; `old` is None where the table's replica identity is not FULL."""

    oid: int
    old: Values | None
    new: Values


@dataclass(frozen=True, slots=True)
class Delete:
    """A removed row; `old` is None where the table's replica identity is not FULL."""

    oid: int
    old: Values | None


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables that were emptied."""

    oids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that says nothing about rows: a type, an origin, an emitted message."""


Message = Begin | Commit | PublishedRelation | Insert | Update | Delete | Truncate | Ignored

_BEGIN: Final = struct.Struct("!QqI")
_COMMIT: Final = struct.Struct("!BQQq")
_U16: Final = struct.Struct("!H")
_I32: Final = struct.Struct("!i")
_U32: Final = struct.Struct("!I")
_COLUMN_TAIL: Final = struct.Struct("!Ii")


def decode(data: bytes) -> Message:
    """Read one message. Raises DecoderError for anything else, a message with a rest included."""
    try:
        message, end = _decode(data)
    except (struct.error, IndexError, UnicodeDecodeError) as exc:
        raise DecoderError(f"a pgoutput message {data[:1]!r} of {len(data)} bytes is cut short") from exc
    if end != len(data):
        raise DecoderError(f"a pgoutput message {data[:1]!r} has {len(data) - end} bytes too many")
    return message


def _decode(data: bytes) -> tuple[Message, int]:
    match data[:1]:
        case b"I":
            _expect(data, 5, b"N")
            new, end = _row(data, 6)
            return Insert(_U32.unpack_from(data, 1)[0], new), end
        case b"U":
            return _update(data)
        case b"D":
            old, end = _row(data, 6)
            full = _expect(data, 5, b"KO") == b"O"
            return Delete(_U32.unpack_from(data, 1)[0], old if full else None), end
        case b"B":
            lsn, _, xid = _BEGIN.unpack_from(data, 1)
            return Begin(lsn, xid), 1 + _BEGIN.size
        case b"C":
            _, lsn, _, _ = _COMMIT.unpack_from(data, 1)
            return Commit(lsn), 1 + _COMMIT.size
        case b"R":
            return _relation(data)
        case b"T":
            (count,) = _I32.unpack_from(data, 1)
            oids = struct.unpack_from(f"!{max(count, 0)}I", data, 6)
            return Truncate(oids), 6 + 4 * max(count, 0)
        case b"Y" | b"O" | b"M":
            return Ignored(), len(data)
        case kind:
            raise DecoderError(
                f"a pgoutput message begins with {kind!r}: expected one of B C R Y O M I U D T"
            )


def _update(data: bytes) -> tuple[Update, int]:
    (oid,) = _U32.unpack_from(data, 1)
    kind, at, old = _expect(data, 5, b"KON"), 6, None
    if kind != b"N":
        before, at = _row(data, 6)
        old = before if kind == b"O" else None
        _expect(data, at, b"N")
        at += 1
    new, end = _row(data, at)
    return Update(oid, old, new), end


def _relation(data: bytes) -> tuple[PublishedRelation, int]:
    (oid,) = _U32.unpack_from(data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    identity = _expect(data, at, b"dnfi")
    (count,) = _U16.unpack_from(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        column, at = _text(data, at + 1)  # the byte before the name says whether it is part of the key
        columns.append(PublishedColumn(column, *_COLUMN_TAIL.unpack_from(data, at)))
        at += _COLUMN_TAIL.size
    relation = PublishedRelation(
        oid=oid,
        # Postgres: the empty namespace stands for pg_catalog.
        schema=schema or "pg_catalog",
        name=name,
        identity_full=identity == b"f",
        columns=tuple(columns),
    )
    return relation, at


def _row(data: bytes, at: int) -> tuple[Values, int]:
    (count,) = _U16.unpack_from(data, at)
    at += 2
    values: list[str | Toast | None] = []
    for _ in range(count):
        kind = data[at]
        at += 1
        if kind == 0x74:  # t: text follows
            (length,) = _U32.unpack_from(data, at)
            end = at + 4 + length
            if end > len(data):
                raise IndexError
            values.append(data[at + 4 : end].decode())
            at = end
        elif kind == 0x6E:  # n: null
            values.append(None)
        elif kind == 0x75:  # u: unchanged and toasted
            values.append(Toast.UNCHANGED)
        else:
            raise DecoderError(f"a column has kind {kind:#x}: expected text, null or unchanged")
    return tuple(values), at


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\x00", at)
    if end < 0:
        raise IndexError
    return data[at:end].decode(), end + 1


def _expect(data: bytes, at: int, kinds: bytes) -> bytes:
    kind = data[at : at + 1]
    if not kind:
        raise IndexError
    if kind not in kinds:
        raise DecoderError(f"a pgoutput message {data[:1]!r} has {kind!r} at {at}: expected one of {kinds!r}")
    return kind
