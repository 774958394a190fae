"""Which transactions a snapshot saw, with ids of 32 bits beside ids of 64."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_wire.visibility import Visibility

EPOCH = 1 << 32


@pytest.mark.parametrize(
    ("xmin", "xmax", "running", "txid", "seen"),
    [
        (10, 20, (), 9, True),
        (10, 20, (), 10, True),
        (10, 20, (12,), 12, False),
        (10, 20, (12,), 13, True),
        (10, 20, (), 20, False),
        (10, 20, (), 21, False),
        # The wrap: 64-bit bounds just past an epoch, ids from before and after it.
        (EPOCH + 2, EPOCH + 5, (EPOCH + 3,), EPOCH - 1, True),
        (EPOCH + 2, EPOCH + 5, (EPOCH + 3,), 3, False),
        (EPOCH + 2, EPOCH + 5, (EPOCH + 3,), 4, True),
        (EPOCH + 2, EPOCH + 5, (EPOCH + 3,), 5, False),
        (EPOCH - 3, EPOCH - 1, (), 1, False),
        (7 * EPOCH + 2, 7 * EPOCH + 5, (), EPOCH - 10, True),
    ],
)
def test_C_47_a_snapshot_saw_what_was_over_when_it_was_taken(
    xmin: int, xmax: int, running: tuple[int, ...], txid: int, *, seen: bool
) -> None:
    assert Visibility(xmin=xmin, xmax=xmax, running=frozenset(running)).sees(txid) is seen


@given(st.integers(EPOCH, EPOCH << 20), st.integers(-(EPOCH // 2) + 1, EPOCH // 2 - 1))
def test_C_47_an_id_is_widened_to_the_nearest_across_the_wrap(xmax: int, distance: int) -> None:
    wide = xmax + distance
    assert Visibility(xmin=xmax, xmax=xmax).widen(wide % EPOCH) == wide


@given(st.integers(EPOCH, EPOCH << 20), st.sets(st.integers(1, 50)), st.integers(0, 99))
def test_C_47_what_is_seen_is_what_64_bit_ids_say(xmin: int, running: set[int], after: int) -> None:
    visibility = Visibility(xmin=xmin, xmax=xmin + 51, running=frozenset(xmin + each for each in running))
    txid = xmin + after
    assert visibility.sees(txid % EPOCH) == (txid < xmin + 51 and after not in running)
