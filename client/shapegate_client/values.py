"""Postgres text to SQLite values, by the column's type. Pure: no I/O, no clock.

int2, int4 and int8 become INTEGER, exact. bool becomes 0 or 1. float4 and float8 become REAL; what is not
finite stays text, since SQLite stores a NaN as NULL. bytea becomes BLOB. numeric, json, dates and all unknown
types stay the text that Postgres prints. Arrays become JSON text (REQUIREMENTS C-25 to C-29).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from shapegate_client.arrays import parse_array
from shapegate_wire.errors import MalformedResponse

if TYPE_CHECKING:
    from shapegate_wire.columns import Column

SqlValue = str | int | float | bytes | None
"""What SQLite stores."""
Decode = Callable[[str], SqlValue]
"""Reads the text of one value that is not null."""
DecodeColumn = Callable[[Sequence[str | None]], Sequence[SqlValue]]
"""Reads the texts of one column of many rows."""

_INTEGERS: Final = frozenset({"int2", "int4", "int8"})
_FLOATS: Final = frozenset({"float4", "float8"})
_JSON: Final = frozenset({"json", "jsonb"})
_TRUTH: Final = {"t": 1, "true": 1, "f": 0, "false": 0}
_FLOAT: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", re.ASCII)
_DIGITS_SAFE: Final = 19
"""Texts shorter than that fit into 64 bits whatever their digits."""
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_INT8_MAX: Final = (1 << 63) - 1
Integer = Annotated[int, msgspec.Meta(ge=-_INT8_MAX - 1, le=_INT8_MAX)]
"""What SQLite and Postgres hold in 64 bits."""
_INTEGER_LIST: Final = msgspec.json.Decoder(list[Integer | None])
"""Made once: to make one takes as long as to read a hundred numbers."""
_TRUTH_OR_NULL: Final[Mapping[str | None, int | None]] = {None: None, "t": 1, "true": 1, "f": 0, "false": 0}


def storage_class(column: Column) -> str:
    """Name the SQLite type that the column is declared with."""
    if column.dims:
        return "TEXT"
    if column.type == "bool" or column.type in _INTEGERS:
        return "INTEGER"
    if column.type in _FLOATS:
        return "REAL"
    return "BLOB" if column.type == "bytea" else "TEXT"


def decoder(column: Column) -> Decode:
    """Choose the function that turns this column's text into a SQLite value.

    The functions raise MalformedResponse for text that Postgres would not print for the type.
    """
    if column.dims:
        return _array_decoder(column.type)
    if column.type in _INTEGERS:
        return parse_integer
    if column.type == "bool":
        return parse_bool
    if column.type in _FLOATS:
        return parse_float
    return parse_bytes if column.type == "bytea" else as_is


def is_integer(column: Column) -> bool:
    """Tell whether the column holds one of Postgres' integers."""
    return not column.dims and column.type in _INTEGERS


def column_decoder(column: Column) -> DecodeColumn | None:
    """Choose the function that does for many rows what `decoder` does for one; None if text stays text.

    The functions raise MalformedResponse where those of `decoder` do, and sometimes more often: what they
    refuse is to be read by `decoder`, which has the last word.
    """
    if is_integer(column):
        return _integers
    if column.type == "bool" and not column.dims:
        return _bools
    decode = decoder(column)
    if decode is as_is:
        return None
    return lambda texts: [None if text is None else decode(text) for text in texts]


def parse_integer(text: str) -> int:
    """Read an integer of at most 64 bits. Raises MalformedResponse."""
    if len(text) < _DIGITS_SAFE and text.isascii() and text.removeprefix("-").isdecimal():
        return int(text)
    try:
        return msgspec.convert(text, Integer, strict=False)
    except msgspec.ValidationError as exc:
        raise MalformedResponse("an integer column holds text that is no 64-bit integer") from exc


def parse_bool(text: str) -> int:
    """Read `t`, `true`, `f` or `false` as 1 or 0. Raises MalformedResponse."""
    truth = _TRUTH.get(text)
    if truth is None:
        raise MalformedResponse("a bool column holds text that is neither true nor false")
    return truth


def parse_float(text: str) -> float | str:
    """Read a float; what is not finite stays text. Raises MalformedResponse."""
    if text in _NOT_FINITE:
        return text
    number = float(text) if _FLOAT.fullmatch(text) else math.inf
    if math.isinf(number):
        raise MalformedResponse("a float column holds text that is no number")
    return number


def parse_bytes(text: str) -> bytes:
    r"""Read `\x...`. Raises MalformedResponse."""
    try:
        if text.startswith("\\x"):
            return bytes.fromhex(text[2:])
    except ValueError:
        pass
    raise MalformedResponse("a bytea column holds text that is not hexadecimal")


def as_is(text: str) -> str:
    """Leave text as it is."""
    return text


def _integers(texts: Sequence[str | None]) -> Sequence[SqlValue]:
    held = [text for text in texts if text is not None]
    listed = ",".join(held)
    # What is read as JSON below has to be digits and nothing else, not even a text "null".
    if held and not (listed.isascii() and listed.encode().translate(None, b",-").isdigit()):
        raise MalformedResponse("an integer column holds text that is no integer")
    if len(held) < len(texts):
        listed = ",".join(["null" if text is None else text for text in texts])
    try:
        numbers = _INTEGER_LIST.decode(f"[{listed}]")
    except msgspec.DecodeError as exc:
        raise MalformedResponse("an integer column holds text that is no 64-bit integer") from exc
    if len(numbers) != len(texts):
        raise MalformedResponse("an integer column holds text that is several integers")
    return numbers


def _bools(texts: Sequence[str | None]) -> Sequence[SqlValue]:
    try:
        return list(map(_TRUTH_OR_NULL.__getitem__, texts))
    except KeyError as exc:
        raise MalformedResponse("a bool column holds text that is neither true nor false") from exc


def _array_decoder(element_type: str) -> Decode:
    element = _element_printer(element_type)
    # Postgres separates the elements of box[] by semicolons, since a box holds commas itself.
    delimiter = ";" if element_type == "box" else ","

    def decode(text: str) -> str:
        return parse_array(text, element, delimiter=delimiter)

    return decode


def _element_printer(element_type: str) -> Callable[[str], str]:
    """Choose how one element is printed as JSON; numeric stays a JSON string, so that it stays exact."""
    if element_type in _INTEGERS:
        return lambda text: str(parse_integer(text))
    if element_type == "bool":
        return lambda text: "true" if parse_bool(text) else "false"
    if element_type in _FLOATS:
        return lambda text: json.dumps(parse_float(text))
    return _print_json if element_type in _JSON else json.dumps


def _print_json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as exc:
        raise MalformedResponse("a json array holds an element that is not JSON") from exc
    return text
