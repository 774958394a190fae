from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.errors import DecoderError
from shapegate_harness.electric.visibility import parse_visibility, print_snapshot_end
from shapegate_wire.visibility import Visibility

EPOCH = 1 << 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:10:", Visibility(xmin=10, xmax=10)),
        ("10:14:11,12", Visibility(xmin=10, xmax=14, running=frozenset({11, 12}))),
    ],
)
def test_what_postgres_prints_is_read(text: str, expected: Visibility) -> None:
    assert parse_visibility(text) == expected


@pytest.mark.parametrize("text", ["", "10:10", "a:b:", "10:14:11,", "10:14:11 "])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(DecoderError):
        parse_visibility(text)


@pytest.mark.parametrize(
    ("xid", "seen"), [(9, True), (10, True), (11, False), (12, False), (13, True), (14, False), (15, False)]
)
def test_a_snapshot_sees_what_was_committed_before_it(xid: int, seen: bool) -> None:
    assert parse_visibility("10:14:11,12").sees(xid) is seen


@pytest.mark.parametrize(
    ("xmax", "xid", "wide"),
    [
        (EPOCH + 5, 3, EPOCH + 3),
        (EPOCH + 5, EPOCH - 1, EPOCH - 1),
        (EPOCH - 1, 3, EPOCH + 3),
        (7 * EPOCH, 1, 7 * EPOCH + 1),
    ],
)
def test_short_ids_are_widened_to_the_nearest(xmax: int, xid: int, wide: int) -> None:
    assert Visibility(xmin=xmax, xmax=xmax).widen(xid) == wide


@given(st.integers(EPOCH, 1 << 60), st.integers(-(1 << 31), (1 << 31) - 1))
@settings(max_examples=100, deadline=None)
def test_every_id_within_half_an_epoch_is_widened_back(xmax: int, distance: int) -> None:
    assert Visibility(xmin=xmax, xmax=xmax).widen((xmax + distance) % EPOCH) == xmax + distance


def test_the_snapshot_end_message_is_electrics() -> None:
    assert print_snapshot_end(parse_visibility("1630:1640:1632,1631")) == (
        b'{"headers":{"control":"snapshot-end","xip_list":["1631","1632"],"xmax":"1640","xmin":"1630"}}'
    )
