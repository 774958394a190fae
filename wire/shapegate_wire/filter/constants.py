"""One constant read as the type of the other side (SECURITY: no expression that can raise, I-06).

What Postgres could not read as that type is refused here, so that no constant makes it raise; what it reads
is printed in one canonical form, so that equal filters are one shape. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_wire.filter.kinds import INTEGERS, NUMBERS, ColumnType, Kind
from shapegate_wire.filter.moment import read_date, read_time, read_timestamp, read_timestamptz
from shapegate_wire.filter.number import is_float4, read_decimal, read_integer
from shapegate_wire.filter.terms import Literal, Spelling

if TYPE_CHECKING:
    from collections.abc import Callable

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_BOOLS: Final = {"true": "true", "t": "true", "false": "false", "f": "false"}
_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


def read_constant(literal: Literal, kind: Kind) -> str:
    """Read a constant that is not NULL, nor an array, nor `$n`. Raises FilterRefused."""
    _check_cast(literal, ColumnType(kind))
    _check_spelling(literal, kind)
    try:
        if literal.cast is not None:
            _READERS[literal.cast.kind](literal.text)
        text = _READERS[kind](literal.text)
    except ValueError as exc:
        raise literal.refused(str(exc), f"it is read as {kind.value}") from None
    if kind is Kind.FLOAT4 and _is_float8(literal) and not is_float4(text):
        raise literal.refused("a number that float4 holds exactly", "write '...'::float4")
    return text


def _is_float8(literal: Literal) -> bool:
    """Say whether Postgres compares it with a float4 as float8, where 0.1 is not the float4 0.1."""
    is_number = literal.spelling is Spelling.NUMBER
    return is_number and (literal.cast is None or literal.cast.kind is not Kind.FLOAT4)


def _check_cast(literal: Literal, target: ColumnType) -> None:
    """Let a cast only say what the other side's type says already."""
    cast = literal.cast
    if cast is None or cast == target or (not cast.is_array and {cast.kind, target.kind} <= INTEGERS):
        return
    if (
        literal.spelling is Spelling.NUMBER
        and cast.kind in INTEGERS
        and not cast.is_array
        and target.kind in NUMBERS
    ):
        return
    raise literal.refused(f"a constant of type {target}", f"it is cast to {cast}")


def check_array_cast(literal: Literal, element: Kind) -> None:
    """Refuse an array that is cast to another type than its column's. Raises FilterRefused."""
    cast = literal.cast
    if cast is None or (cast.is_array and (cast.kind is element or {cast.kind, element} <= INTEGERS)):
        return
    raise literal.refused(f"an array of type {ColumnType(element, True)}", f"it is cast to {cast}")


def _check_spelling(literal: Literal, kind: Kind) -> None:
    kinds = [literal.cast.kind, kind] if literal.cast else [kind]
    match literal.spelling:
        case Spelling.TEXT:
            fits = True
        case Spelling.NUMBER:
            fits = all(kind in NUMBERS for kind in kinds)
        case Spelling.BOOL:
            fits = all(kind is Kind.BOOL for kind in kinds)
        case Spelling.ARRAY | Spelling.NULL | Spelling.PARAM:
            fits = False
        case _:
            assert_never(literal.spelling)
    if not fits:
        raise literal.refused(f"a constant of type {kind.value}", "quote a text")


def _read_text(text: str) -> str:
    if _NOT_TEXT.search(text):
        raise ValueError("text that Postgres can hold, without NUL")
    return text


def _read_uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError("a uuid as 00000000-0000-0000-0000-000000000000")
    return text.lower()


def _read_bool(text: str) -> str:
    found = _BOOLS.get(text.lower()) if text.isascii() else None
    if found is None:
        raise ValueError("true or false")
    return found


def _nothing(_: str) -> str:
    raise ValueError("no constant: such a column can be tested for NULL only")


_READERS: Final[dict[Kind, Callable[[str], str]]] = {
    Kind.BOOL: _read_bool,
    Kind.INT2: lambda text: read_integer(text, Kind.INT2),
    Kind.INT4: lambda text: read_integer(text, Kind.INT4),
    Kind.INT8: lambda text: read_integer(text, Kind.INT8),
    Kind.NUMERIC: lambda text: read_decimal(text, Kind.NUMERIC),
    Kind.FLOAT4: lambda text: read_decimal(text, Kind.FLOAT4),
    Kind.FLOAT8: lambda text: read_decimal(text, Kind.FLOAT8),
    Kind.TEXT: _read_text,
    Kind.UUID: _read_uuid,
    Kind.DATE: read_date,
    Kind.TIME: read_time,
    Kind.TIMESTAMP: read_timestamp,
    Kind.TIMESTAMPTZ: read_timestamptz,
    Kind.ENUM: _nothing,
    Kind.UNREAD: _nothing,
}
