"""How long an answer may be given again, by its headers as Electric writes them and as others might."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.freshness import FRESH_SECONDS_MAX, fresh_seconds


@pytest.mark.parametrize(
    ("cache_control", "more", "seconds"),
    [
        ("public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746", {}, 60.0),
        ("public, max-age=60, stale-while-revalidate=300", {}, 60.0),
        ("public, max-age=5, stale-while-revalidate=5", {}, 5.0),
        ("public, max-age=5", {"age": "2"}, 3.0),
        ("public, max-age=604800", {"age": "604790"}, 10.0),
        ("public, max-age=5", {"age": "5"}, 0.0),
        ("public, max-age=5", {"age": "6"}, 0.0),
        ("public, max-age=5", {"age": "x"}, 0.0),
        ("public, max-age=5", {"age": "-1"}, 0.0),
        ("PUBLIC,Max-Age=5", {}, 5.0),
        ("public, max-age=50, s-maxage=7", {}, 7.0),
        ("public, max-age=7, s-maxage=50", {}, 7.0),
        ("public, max-age=50, s-maxage=0", {}, 0.0),
        ("public, max-age=50, s-maxage=x", {}, 0.0),
        ("public, s-maxage=50", {}, 0.0),
        ("public, max-age=60, must-revalidate", {}, 60.0),
        ("public, max-age=0", {}, 0.0),
        ("public, max-age=-5", {}, 0.0),
        ("public, max-age=", {}, 0.0),
        ('public, max-age="5"', {}, 0.0),
        ("public, max-age=99999999999999999999", {}, 0.0),
        ("public, max-age=5, max-age=50", {}, 0.0),
        ("public", {}, 0.0),
        ("max-age=60", {}, 0.0),
        ("max-age=0, private, must-revalidate", {}, 0.0),
        ("public, private, max-age=60", {}, 0.0),
        ('public, private="x, y", max-age=60', {}, 0.0),
        ("public, no-store, max-age=60", {}, 0.0),
        ("public, no-cache, max-age=60", {}, 0.0),
        ("no-cache", {}, 0.0),
        ("no-store", {}, 0.0),
        ("", {}, 0.0),
        ("public, max-age=60", {"electric-up-to-date": ""}, 1.0),
        ("public, max-age=0", {"electric-up-to-date": ""}, 0.0),
        ("public, max-age=60", {"vary": "accept-encoding"}, 60.0),
        ("public, max-age=60", {"vary": "*"}, 0.0),
    ],
)
def test_an_answer_is_kept_as_long_as_all_that_is_said_allows(
    cache_control: str, more: dict[str, str], seconds: float
) -> None:
    assert fresh_seconds({"cache-control": cache_control, **more}) == seconds


def test_what_says_nothing_is_not_kept() -> None:
    assert fresh_seconds({}) == 0.0


PARTS = st.sampled_from(
    ["public", "private", "no-store", "max-age", "s-maxage", "=", ",", " ", "0", "7", "x"]
)


@given(st.lists(PARTS, max_size=12), st.lists(PARTS, max_size=3))
def test_whatever_is_said_is_some_bounded_time(control: list[str], age: list[str]) -> None:
    seconds = fresh_seconds({"cache-control": "".join(control), "age": "".join(age)})
    assert 0.0 <= seconds <= FRESH_SECONDS_MAX
