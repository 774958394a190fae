from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.faults import (
    Cut,
    Drip,
    Fault,
    Misordered,
    MissingHeader,
    MustRefetch,
    Plan,
    Reset,
    Stale,
    Stall,
    TooManyRequests,
    Unavailable,
    parse_order,
)

KINDS: list[tuple[dict[str, object], Fault]] = [
    ({"kind": "must_refetch"}, MustRefetch(handle=None)),
    ({"kind": "must_refetch", "handle": "1-2"}, MustRefetch(handle="1-2")),
    ({"kind": "too_many_requests"}, TooManyRequests(retry_after_seconds=1)),
    ({"kind": "unavailable", "retry_after_seconds": 7}, Unavailable(retry_after_seconds=7)),
    ({"kind": "stall", "seconds": 0.5}, Stall(seconds=0.5)),
    ({"kind": "cut"}, Cut(bytes=None)),
    ({"kind": "cut", "bytes": 0}, Cut(bytes=0)),
    ({"kind": "stale"}, Stale()),
    ({"kind": "missing_header", "header": "Electric-Offset"}, MissingHeader(header="electric-offset")),
    ({"kind": "drip", "bytes": 5, "seconds": 0.1}, Drip(bytes=5, seconds=0.1)),
    ({"kind": "reset"}, Reset()),
]


@pytest.mark.parametrize(("fields", "fault"), KINDS)
def test_every_kind_can_be_ordered(fields: dict[str, object], fault: Fault) -> None:
    order = parse_order(json.dumps({**fields, "next": 3, "after": 2}).encode())
    assert (order.fault, order.next, order.after) == (fault, 3, 2)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"{", "no JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "kind is None"),
        (b'{"kind": "melt"}', "expected one of must_refetch, too_many_requests"),
        (b'{"kind": "reset", "next": 0}', "from 1 to 1000"),
        (b'{"kind": "reset", "next": 1001}', "from 1 to 1000"),
        (b'{"kind": "reset", "next": true}', "from 1 to 1000"),
        (b'{"kind": "reset", "after": -1}', "from 0 to 1000"),
        (b'{"kind": "stall", "seconds": 61}', "at most 60"),
        (b'{"kind": "stall", "seconds": 0}', "more than 0"),
        (b'{"kind": "stall", "seconds": NaN}', "more than 0"),
        (b'{"kind": "missing_header"}', "header is None"),
        (b'{"kind": "reset", "secnods": 1}', "unknown fields: secnods"),
    ],
)
def test_what_is_no_order_is_refused_in_words(raw: bytes, text: str) -> None:
    with pytest.raises(Misordered, match=text):
        parse_order(raw)


def test_an_order_is_used_up() -> None:
    plan = Plan()
    plan.follow(parse_order(b'{"kind": "reset", "after": 1, "next": 2}'))
    assert plan.peek() is None
    assert [plan.take() for _ in range(4)] == [None, Reset(), Reset(), None]
    assert plan.describe() == {"kind": None, "after": 0, "next": 0, "done": 2}


def test_a_new_order_takes_the_place_of_the_old_and_none_ends_it() -> None:
    plan = Plan()
    plan.follow(parse_order(b'{"kind": "reset", "next": 5}'))
    plan.follow(parse_order(b'{"kind": "stale", "next": 5}'))
    assert plan.peek() == plan.take() == Stale()
    plan.follow(None)
    assert (plan.peek(), plan.take()) == (None, None)


@given(
    st.dictionaries(
        st.sampled_from(["kind", "next", "after", "seconds", "bytes", "header", "handle"]),
        st.sampled_from(["stall", "cut", "drip"])
        | st.integers()
        | st.floats()
        | st.none()
        | st.text(max_size=5),
    )
)
@settings(max_examples=100, deadline=None)
def test_nothing_but_misordered_escapes(fields: dict[str, object]) -> None:
    with suppress(Misordered):
        parse_order(json.dumps(fields).encode())
