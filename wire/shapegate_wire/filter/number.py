"""Numbers as Postgres text, canonical: without exponent, plus sign or needless zeros.

Electric compares numeric as a double, Postgres does not (PROTOCOL 5, two evaluators). A constant of at most
15 significant digits is one double and no other constant's, so the two agree on it for all values of no more
digits themselves. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Final

from shapegate_wire.filter.kinds import Kind

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,60}", re.ASCII)
_DECIMAL: Final = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII
)
_BITS: Final = {Kind.INT2: 16, Kind.INT4: 32, Kind.INT8: 64}
_DIGITS_MAX: Final = {Kind.NUMERIC: 15, Kind.FLOAT4: 9, Kind.FLOAT8: 17}
_EXPONENT_MAX: Final = {Kind.NUMERIC: 100, Kind.FLOAT4: 37, Kind.FLOAT8: 307}
"""Powers of ten that each type has without overflow, and without underflow to its subnormal values."""


def read_integer(text: str, kind: Kind) -> str:
    """Read a whole number within the range of int2, int4 or int8.

    Raises ValueError, which says what it has to be.
    """
    limit = 1 << (_BITS[kind] - 1)
    if not _INTEGER.fullmatch(text) or not -limit <= int(text) < limit:
        raise ValueError(f"a whole number from {-limit} to {limit - 1}")
    return str(int(text))


def read_decimal(text: str, kind: Kind) -> str:
    """Read a finite numeric, float4 or float8. Raises ValueError, which says what it has to be."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("a decimal number")
    sign, digits, exponent = Decimal(text).as_tuple()
    plain = "".join(map(str, digits))
    significant = plain.rstrip("0")
    if not significant:
        return "0"
    assert isinstance(exponent, int)  # of a finite number
    if len(significant) > _DIGITS_MAX[kind]:
        raise ValueError(f"at most {_DIGITS_MAX[kind]} significant digits")
    if abs(len(plain) - 1 + exponent) > _EXPONENT_MAX[kind]:
        raise ValueError(f"a number between 1e-{_EXPONENT_MAX[kind]} and 1e{_EXPONENT_MAX[kind]}")
    return ("-" if sign else "") + _positional(significant, exponent + len(plain) - len(significant))


def is_float4(text: str) -> bool:
    """Say whether a decimal is a float4 exactly, so that reading it as float8 gives the same value."""
    value = float(text)
    return Decimal(struct.unpack("f", struct.pack("f", value))[0]) == Decimal(text)


def _positional(digits: str, exponent: int) -> str:
    if exponent >= 0:
        return digits + "0" * exponent
    padded = digits.zfill(1 - exponent)
    return f"{padded[:exponent]}.{padded[exponent:]}"
