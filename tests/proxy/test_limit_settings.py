"""The table `[limits]`: what it may hold, and that every problem is named."""

from __future__ import annotations

import pytest

from shapegate_proxy.limit_settings import LIMIT_MAX, LimitSettings, parse_limits


def test_an_empty_table_leaves_every_limit_as_it_is() -> None:
    assert parse_limits({}) == (LimitSettings(), ())


def test_what_the_table_names_is_taken() -> None:
    read, problems = parse_limits({"live_per_principal": 7, "connections": LIMIT_MAX})
    assert problems == ()
    assert read == LimitSettings(live_per_principal=7, connections=LIMIT_MAX)


@pytest.mark.parametrize("value", [0, -1, 1.5, "7", True, None, [], LIMIT_MAX + 1])
def test_I_08_a_limit_that_is_no_number_in_bounds_is_a_problem_and_never_no_limit(value: object) -> None:
    read, problems = parse_limits({"live_per_principal": value})
    assert problems == (f"live_per_principal is {value!r}: expected a whole number from 1 to {LIMIT_MAX}",)
    assert read == LimitSettings()


def test_all_problems_are_named_at_once() -> None:
    _, problems = parse_limits({"live": 1, "connections": 0, "requests_per_org": "x"})
    assert [problem.split()[0] for problem in problems] == ["unknown", "requests_per_org", "connections"]
