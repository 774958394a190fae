from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.correspondence import LSN, Correspondence, sent_cursor

A, B = "11-1795210850034524", "22-1795210850034525"


def test_the_same_handle_is_the_same_again_and_another_one_is_another() -> None:
    pairs = Correspondence()
    assert pairs.handle(A, "7-1795210850034000") is None
    assert pairs.handle(A, "7-1795210850034000") is None
    assert pairs.handle(A, "7-1795210850034001") is not None
    assert pairs.handle(B, "7-1795210850034000") is not None
    assert pairs.handle(B, "no-handle") is not None


@pytest.mark.parametrize(
    ("recorded", "live", "held"),
    [
        (("266000000_0", "266000000_2"), ("500000_0", "500000_2"), True),
        (("266000000_0", "266000100_0"), ("500000_0", "500001_0"), True),
        (("266000000_0", "266000100_0"), ("500000_0", "500000_0"), False),
        (("266000000_0", "266000100_0"), ("500001_0", "500000_0"), False),
        (("266000000_0", "266000000_2"), ("500000_0", "500000_4"), False),
        (("266000000_0", "266000000_2"), ("500000_0", "500001_2"), False),
        (("0_0", "0_inf"), ("0_0", "0_inf"), True),
        (("0_0",), ("0_1",), False),
        (("0_inf",), ("500000_0",), False),
        (("1_0", "1_3"), ("1_0", "1_3"), True),
        (("-1",), ("-1",), True),
        (("-1",), ("500000_0",), False),
        (("now",), ("now",), True),
        (("now",), ("0_inf",), False),
    ],
)
def test_offsets_keep_their_order_and_their_operations(
    recorded: tuple[str, ...], live: tuple[str, ...], held: bool
) -> None:
    pairs = Correspondence()
    problems = [pairs.offset(one, other) for one, other in zip(recorded, live, strict=True)]
    assert (problems == [None] * len(recorded)) == held


def test_an_operation_is_free_where_a_chunk_may_end_elsewhere_and_bound_from_then_on() -> None:
    pairs = Correspondence()
    assert pairs.offset("266000000_17416", "500000_17430") is not None
    assert pairs.offset("266000000_17416", "500000_17430", any_op=True) is None
    assert pairs.offset("266000000_17416", "500000_17430") is None
    assert pairs.offset("266000000_17416", "500000_17432", any_op=True) is not None
    assert pairs.offset("266000000_34796", "500000_100", any_op=True) is not None


def test_a_seen_position_is_that_of_the_change_it_was_recorded_with() -> None:
    pairs = Correspondence()
    assert pairs.number(LSN, "266000000", "500000", exact=True) is None
    assert pairs.number(LSN, "266000000", "500000", exact=False) is None
    assert pairs.number(LSN, "266000000", "500001", exact=False) is not None
    assert pairs.number(LSN, "266000500", "500000", exact=False) is None
    assert pairs.number(LSN, "266000400", "499999", exact=False) is not None
    assert pairs.number(LSN, "1", "500000", exact=False) is not None


def test_an_etag_is_compared_by_its_parts() -> None:
    pairs = Correspondence()
    live = "7-1795210850034000"
    assert pairs.etag(f'"{A}:-1:0_0"', f'"{live}:-1:0_0"') is None
    assert pairs.etag(f'"{A}:-1:0_0"', f"{live}:-1:0_0") is not None
    assert pairs.etag(f'"{A}:-1:0_0"', f'"{live}:-1:0_1"') is not None
    assert pairs.etag(f'"{A}:now:0_inf:-5764"', f'"{live}:now:0_inf:3"') is None
    assert pairs.etag(f'"{A}:now:0_inf:-5764"', f'"{live}:now:0_inf"') is not None
    assert pairs.etag(f'"{A}:now:0_inf:-5764"', f'"{live}:now:0_inf:x"') is not None
    assert pairs.etag(f'"{B}:-1:0_0"', f'"{live}:-1:0_0"') is not None


def test_a_cursor_gets_beyond_the_one_that_was_sent() -> None:
    pairs = Correspondence()
    assert pairs.cursor("66778840", "123", sent=None) is None
    assert pairs.cursor("66778840", "124", sent=123) is None
    assert pairs.cursor("66778840", "123", sent=123) is not None
    assert pairs.cursor("66778840", "x", sent=None) is not None
    assert pairs.target("/v1/shape?live=true&cursor=66778840") == "/v1/shape?live=true&cursor=124"
    assert sent_cursor("/v1/shape?live=true&cursor=124&a=b") == 124
    assert sent_cursor("/v1/shape?live=true") is None


def test_requests_are_sent_with_the_positions_of_this_run() -> None:
    pairs = Correspondence()
    live = "7-1795210850034000"
    assert pairs.handle(A, live) is None
    assert pairs.offset("266000000_0", "500000_0") is None
    target = f"/v1/shape?table=t&handle={A}&offset=266000000_0&where=handle%3D{A}"
    assert pairs.target(target) == f"/v1/shape?table=t&handle={live}&offset=500000_0&where=handle%3D{A}"
    assert pairs.target("/v1/shape?handle=1234-5678&offset=0_0") == "/v1/shape?handle=1234-5678&offset=0_0"
    assert pairs.if_none_match(f'"{A}:0_inf:266000000_0"') == f'"{live}:0_inf:500000_0"'
    assert pairs.if_none_match('"other"') == '"other"'


def test_slots_of_tags_are_hashes_one_to_one_and_others_are_as_they_are() -> None:
    pairs = Correspondence()
    one, other = "a" * 32, "b" * 32
    assert pairs.hash(one, other) is None
    assert pairs.hash(one, one) is not None
    assert pairs.hash(other, other) is not None
    assert pairs.hash("1", "1") is None
    assert pairs.hash("", other) is not None
    assert pairs.hash("c" * 32, "short") is not None


@given(st.lists(st.integers(200_000, 10**9), unique=True, min_size=2, max_size=20))
def test_any_change_that_keeps_the_order_is_accepted_and_a_swap_is_not(positions: list[int]) -> None:
    ranks = {position: 300_000 + rank for rank, position in enumerate(sorted(positions))}
    pairs, swapped = Correspondence(), Correspondence()
    assert not [p for p in positions if pairs.number(LSN, str(p), str(ranks[p]), exact=True)]
    first, last = min(positions), max(positions)
    ranks[first], ranks[last] = ranks[last], ranks[first]
    assert [p for p in positions if swapped.number(LSN, str(p), str(ranks[p]), exact=True)]
