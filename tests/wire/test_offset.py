"""Offsets: four forms and no other, ordered as the log is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import WireError
from shapegate_wire.offset import (
    BEFORE_ALL,
    INFINITE_OP,
    SNAPSHOT_END,
    SNAPSHOT_START,
    MalformedOffset,
    Now,
    Offset,
    parse_offset,
)

OFFSETS = st.builds(
    Offset,
    st.integers(0, 2**64 - 1),
    st.integers(0, 10**18 - 1) | st.just(INFINITE_OP),
) | st.just(BEFORE_ALL)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("-1", BEFORE_ALL),
        ("-1_0", BEFORE_ALL),
        ("now", Now.NOW),
        ("0_0", SNAPSHOT_START),
        ("0_7", Offset(0, 7)),
        ("0_inf", SNAPSHOT_END),
        ("26980744_4", Offset(26980744, 4)),
        ("26980744_inf", Offset(26980744, INFINITE_OP)),
        ("18446744073709551615_0", Offset(2**64 - 1, 0)),
        ("1_999999999999999999", Offset(1, 10**18 - 1)),
    ],
)
def test_every_form_is_read(text: str, offset: Offset | Now) -> None:
    assert parse_offset(text) == offset


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0",
        "_",
        "0_",
        "_0",
        "-1_1",
        "-1_inf",
        "-2",
        "-2_0",
        "0_-1",
        "+1_0",
        "0_0_0",
        "0_INF",
        "inf_0",
        "NOW",
        "now ",
        " 0_0",
        "0_0\n",
        "0_0\x00",
        "0x1_0",
        "1e3_0",
        "1.0_0",
        "٠_٠",  # noqa: RUF001  # digits, but not ASCII ones
        "²_0",
        "18446744073709551616_0",
        "000000000000000000001_0",
        "1_1000000000000000000",
        "0_0,0_0",
    ],
    ids=repr,
)
def test_I_14_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(MalformedOffset):
        parse_offset(text)


def test_the_order_is_that_of_the_log() -> None:
    texts = ["-1", "0_0", "0_1", "0_9", "0_10", "0_inf", "9_0", "9_inf", "10_0", "18446744073709551615_inf"]
    offsets = [parse_offset(text) for text in texts]
    positions = [offset for offset in offsets if isinstance(offset, Offset)]
    assert len(positions) == len(texts)
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("text", "in_snapshot"), [("-1", True), ("0_0", True), ("0_inf", True), ("1_0", False)]
)
def test_only_what_lies_before_the_first_transaction_is_in_the_snapshot(text: str, in_snapshot: bool) -> None:
    offset = parse_offset(text)
    assert isinstance(offset, Offset)
    assert offset.in_snapshot is in_snapshot


@settings(max_examples=100, deadline=None)
@given(offset=OFFSETS)
def test_what_is_printed_is_read_back(offset: Offset) -> None:
    assert parse_offset(str(offset)) == offset


@settings(max_examples=100, deadline=None)
@given(offsets=st.lists(OFFSETS))
def test_sorting_by_offset_is_sorting_by_both_numbers(offsets: list[Offset]) -> None:
    assert sorted(offsets) == sorted(offsets, key=lambda offset: (offset.lsn, offset.op))


@settings(max_examples=100, deadline=None)
@given(text=st.text() | st.from_regex(r"-?[0-9]*_?(inf|[0-9]*)", fullmatch=True))
def test_nothing_but_a_wire_error_escapes_and_what_is_read_can_be_printed(text: str) -> None:
    try:
        offset = parse_offset(text)
    except WireError:
        return
    if isinstance(offset, Offset):
        assert parse_offset(str(offset)) == offset


@pytest.mark.parametrize("text", ["9" * 2_000_000 + "_0", "0_" + "9" * 2_000_000, "_" * 2_000_000])
def test_a_long_text_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(MalformedOffset) as caught:
        parse_offset(text)
    assert len(str(caught.value)) < 200
