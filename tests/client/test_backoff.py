"""How long to wait before asking again."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.backoff import parse_retry_after, retry_seconds

NOW = datetime.datetime(2026, 11, 20, 12, 0, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, 1.0), (2, 2.0), (5, 16.0), (6, 32.0), (7, 32.0), (10_000, 32.0)]
)
def test_C_10_the_ceiling_doubles_from_1_s_to_32_s(failures: int, ceiling: float) -> None:
    assert retry_seconds(failures, jitter=0.5) == ceiling / 2


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True), st.floats(0, 300))
@settings(max_examples=100, deadline=None)
def test_C_10_never_before_retry_after_nor_much_later(failures: int, jitter: float, floor: float) -> None:
    seconds = retry_seconds(failures, jitter=jitter, retry_after=floor)
    assert floor <= seconds <= max(32.0, floor)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999", 300.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2027 12:00:00 GMT", 300.0),
        ("Fri, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_C_11_retry_after_is_seconds_or_a_date_and_garbage_is_ignored(
    text: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(text, now=NOW) == seconds
