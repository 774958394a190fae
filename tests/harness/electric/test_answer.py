from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric import answer
from shapegate_harness.electric.answer import Served
from shapegate_wire.offset import BEFORE_ALL, SNAPSHOT_END, SNAPSHOT_START, Now, Offset

CATCH_UP = Served(
    handle="1-2",
    schema='{"id":{"type":"int8"}}',
    asked=SNAPSHOT_START,
    offset=SNAPSHOT_END,
    live=False,
    up_to_date=True,
    has_data=True,
)
START = replace(CATCH_UP, asked=BEFORE_ALL, offset=SNAPSHOT_START, up_to_date=False)
LIVE = replace(CATCH_UP, asked=SNAPSHOT_END, offset=Offset(9, 4), live=True, cursor="20")
NOW = replace(CATCH_UP, asked=Now.NOW, has_data=False, unique=5)


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (
            START,
            {
                "cache-control": "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746",
                "etag": '"1-2:-1:0_0"',
                "electric-offset": "0_0",
                "electric-has-data": "true",
                "electric-schema": '{"id":{"type":"int8"}}',
            },
        ),
        (
            CATCH_UP,
            {
                "cache-control": "public, max-age=60, stale-while-revalidate=300",
                "etag": '"1-2:0_0:0_inf"',
                "electric-offset": "0_inf",
                "electric-has-data": "true",
                "electric-up-to-date": "",
                "electric-schema": '{"id":{"type":"int8"}}',
            },
        ),
        (
            LIVE,
            {
                "cache-control": "public, max-age=5, stale-while-revalidate=5",
                "etag": '"1-2:0_inf:9_4"',
                "electric-offset": "9_4",
                "electric-has-data": "true",
                "electric-up-to-date": "",
                "electric-cursor": "20",
            },
        ),
        (
            NOW,
            {
                "cache-control": "public, max-age=60, stale-while-revalidate=300",
                "etag": '"1-2:now:0_inf:5"',
                "electric-offset": "0_inf",
                "electric-has-data": "false",
                "electric-up-to-date": "",
                "electric-schema": '{"id":{"type":"int8"}}',
            },
        ),
    ],
)
def test_each_state_has_its_headers(served: Served, expected: dict[str, str]) -> None:
    found = answer.log_answer(served, b"[]", if_none_match=None)
    common = {"content-type": "application/json; charset=utf-8", "electric-handle": "1-2"}
    assert found.headers == {**common, **expected}
    assert (found.status, found.body) == (200, b"[]")


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"1-2:0_0:0_inf"', 304),
        ('"x", "1-2:0_0:0_inf"', 304),
        ("1-2:0_0:0_inf", 304),
        ('"other"', 200),
        ('W/"1-2:0_0:0_inf"', 200),
        ("*", 200),
        ("", 200),
    ],
)
def test_a_tag_that_the_asker_has_gives_304(tags: str, status: int) -> None:
    found = answer.log_answer(CATCH_UP, b"[]", if_none_match=tags)
    assert found.status == status
    assert ("electric-schema" in found.headers) == (status == 200)
    assert found.body == (b"[]" if status == 200 else b"")
    assert found.headers["electric-up-to-date"] == ""


def test_a_409_names_the_next_handle_and_may_be_kept_longer_then() -> None:
    known, unknown = answer.must_refetch("1-2"), answer.must_refetch(None)
    assert known.headers["electric-handle"] == "1-2"
    assert known.headers["etag"] == '"1-2::"'
    assert known.headers["cache-control"] == "public, max-age=60, must-revalidate"
    assert unknown.headers == {
        "cache-control": "public, max-age=1, must-revalidate",
        "content-type": "application/json; charset=utf-8",
    }
    assert known.body == unknown.body == b'[{"headers":{"control":"must-refetch"}}]'


def test_errors_are_not_kept() -> None:
    found = answer.failure(503, {"message": "later"}, retry_after_seconds=5)
    assert found.headers == {
        "cache-control": "no-store",
        "surrogate-control": "no-store",
        "content-type": "application/json; charset=utf-8",
        "retry-after": "5",
    }
    assert json.loads(found.body) == {"message": "later"}


NOW_SECONDS = 1_728_432_000 + 66_778_831.5


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(0, "66778840"), (66778839, "66778840"), (66778840, "66779877"), (99999999, "100001036")],
)
def test_the_cursor_is_the_current_interval_or_moves_on(sent: int, expected: str) -> None:
    cursor = answer.next_cursor(
        sent, now=NOW_SECONDS, long_poll_seconds=20, jitter=lambda low, high: 1037 if low == 1 < high else 0
    )
    assert cursor == expected


@given(st.integers(0, 1 << 50), st.floats(1.8e9, 4e9), st.floats(0.01, 60))
@settings(max_examples=100, deadline=None)
def test_the_cursor_always_differs_from_the_one_sent(sent: int, now: float, seconds: float) -> None:
    cursor = int(answer.next_cursor(sent, now=now, long_poll_seconds=seconds, jitter=lambda low, _: low))
    assert cursor > sent
