"""Numbers: read exactly, within their type, printed without exponent."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.filter.kinds import Kind
from shapegate_wire.filter.number import is_float4, read_decimal, read_integer


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (Kind.INT2, -(2**15), 2**15 - 1),
        (Kind.INT4, -(2**31), 2**31 - 1),
        (Kind.INT8, -(2**63), 2**63 - 1),
    ],
)
def test_an_integer_has_the_range_of_its_type(kind: Kind, low: int, high: int) -> None:
    assert read_integer(str(low), kind) == str(low)
    assert read_integer(f"+00{high}", kind) == str(high)
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"from {low} to {high}"):
            read_integer(str(outside), kind)


@pytest.mark.parametrize("text", ["", "-", "1.0", "1e1", " 1", "1_0", "0x1", "\u0661", "9" * 61, "9" * 5_000])
def test_what_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        read_integer(text, Kind.INT8)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("1e5", Kind.NUMERIC, "100000"),
        ("-1.50e-3", Kind.NUMERIC, "-0.0015"),
        ("00.10", Kind.NUMERIC, "0.1"),
        ("5.", Kind.FLOAT8, "5"),
        ("-0.0e9", Kind.FLOAT8, "0"),
        ("123456789012345", Kind.NUMERIC, "123456789012345"),
        ("12345678901234567", Kind.FLOAT8, "12345678901234567"),
        ("1e100", Kind.NUMERIC, "1" + "0" * 100),
        ("1e-100", Kind.NUMERIC, "0." + "0" * 99 + "1"),
        ("9e37", Kind.FLOAT4, "9" + "0" * 37),
        ("10e99", Kind.NUMERIC, "1" + "0" * 100),
        ("0.01e-98", Kind.NUMERIC, "0." + "0" * 99 + "1"),
        ("120e-100", Kind.NUMERIC, "0." + "0" * 97 + "12"),
        ("-120", Kind.NUMERIC, "-120"),
        ("12.345", Kind.FLOAT8, "12.345"),
        ("123456789e-9", Kind.FLOAT4, "0.123456789"),
        ("1" + "0" * 37, Kind.FLOAT4, "1" + "0" * 37),
    ],
)
def test_a_decimal_is_printed_in_one_way(text: str, kind: Kind, expected: str) -> None:
    assert read_decimal(text, kind) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(
            (text, Kind.NUMERIC)
            for text in ("", ".", "-", "e5", "1e", "NaN", "inf", "1e1000", "1e101", "1e-101", "1,5")
        ),
        *(
            (text, Kind.FLOAT8)
            for text in ("1e308", "1e-308", "123456789012345678", "1" * 401, "0." + "1" * 401)
        ),
        *((text, Kind.FLOAT4) for text in ("1e38", "1e-38", "1234567891")),
        ("1234567890123456", Kind.NUMERIC),
        ("10e100", Kind.NUMERIC),
        ("0.1e-100", Kind.NUMERIC),
        ("12e307", Kind.FLOAT8),
    ],
)
def test_what_a_double_cannot_tell_apart_is_refused(text: str, kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"decimal|digits|between"):
        read_decimal(text, kind)


@settings(max_examples=100, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=5))
def test_the_value_of_a_decimal_is_kept(number: Decimal) -> None:
    text = str(number)
    if len(number.normalize().as_tuple().digits) > 15:
        with pytest.raises(ValueError, match="significant"):
            read_decimal(text, Kind.NUMERIC)
        return
    read = read_decimal(text, Kind.NUMERIC)
    assert Decimal(read) == number
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", read)
    assert read_decimal(read, Kind.NUMERIC) == read


@pytest.mark.parametrize(
    ("text", "exact"), [("0.5", True), ("16777216", True), ("16777217", False), ("0.1", False)]
)
def test_a_float4_is_told_from_what_it_would_be_rounded_to(text: str, exact: bool) -> None:
    assert is_float4(text) is exact
