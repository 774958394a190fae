"""How often the issuer lets itself be asked."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.issuer import IssuerSettings
from shapegate_harness.issuer.attempts import Attempts
from shapegate_harness.issuer.errors import InvalidCredentials, NoMembership, TooManyAttempts
from tests.harness.issuer.builders import Clock

ADA, BEN = UUID(int=1), UUID(int=2)


def attempts(clock: Clock, *, about: int = 3, origin: int = 100, refreshes: int = 2) -> Attempts:
    told = IssuerSettings(
        key_file=Path("unused.pem"),
        failures_per_minute_user=about,
        failures_per_minute_address=origin,
        refreshes_per_minute_user=refreshes,
    )
    return Attempts(told, monotonic=clock.monotonic)


def fail(tried: Attempts, about: str | None = "ada", *, peer: str = "a") -> None:
    with pytest.raises(InvalidCredentials), tried.failing(peer=peer, about=about):
        raise InvalidCredentials


def refused(tried: Attempts, about: str | None = "ada", *, peer: str = "a") -> int | None:
    """After how many seconds to come back; None if the attempt is let through."""
    try:
        with tried.failing(peer=peer, about=about):
            return None
    except TooManyAttempts as exc:
        return exc.retry_after_seconds


def test_after_too_many_failures_nothing_is_tried_until_the_time_that_is_named() -> None:
    clock = Clock()
    tried = attempts(clock, about=3)
    for _ in range(3):
        fail(tried)
    assert refused(tried) == 20
    clock.advance(19.9)
    assert refused(tried) == 1
    clock.advance(0.1)
    fail(tried)
    assert refused(tried) == 20


def test_success_and_other_refusals_cost_nothing() -> None:
    tried = attempts(Clock(), about=1)
    for _ in range(10):
        assert refused(tried) is None
        with pytest.raises(NoMembership), tried.failing(peer="a", about="ada"):
            raise NoMembership
    fail(tried)
    assert refused(tried) == 60


@pytest.mark.parametrize(("about", "peer"), [("ben", "a"), ("ada", "b")])
def test_others_are_not_locked_out(about: str, peer: str) -> None:
    tried = attempts(Clock(), about=1)
    fail(tried)
    assert refused(tried, about, peer=peer) is None


def test_the_case_of_an_address_gains_no_attempts() -> None:
    tried = attempts(Clock(), about=1)
    fail(tried, "Ada@Acme.Example")
    assert refused(tried, "ada@acme.example") == 60


def test_many_users_tried_from_one_address_are_too_many_at_last() -> None:
    tried = attempts(Clock(), origin=5)
    for number in range(5):
        fail(tried, f"user {number}")
    assert refused(tried, "another") == 12
    assert refused(tried, None) == 12
    assert refused(tried, "another", peer="b") is None


def test_what_is_under_way_counts_until_it_is_known() -> None:
    tried = attempts(Clock(), about=2)
    with tried.failing(peer="a", about="ada"), tried.failing(peer="a", about="ada"):
        assert refused(tried) is not None
    assert refused(tried) is None


def test_refreshes_of_one_user_are_bounded() -> None:
    clock = Clock()
    tried = attempts(clock, refreshes=2)
    tried.refresh(ADA)
    tried.refresh(ADA)
    with pytest.raises(TooManyAttempts) as caught:
        tried.refresh(ADA)
    assert caught.value.retry_after_seconds == 30
    tried.refresh(BEN)
    clock.advance(30)
    tried.refresh(ADA)


@settings(max_examples=50, deadline=None)
@given(waits=st.lists(st.floats(0, 30), max_size=60), about=st.integers(1, 5))
def test_within_any_span_no_more_fail_than_the_budget_and_what_refilled(
    waits: list[float], about: int
) -> None:
    clock = Clock()
    tried = attempts(clock, about=about)
    failed = 0
    for wait in waits:
        clock.advance(wait)
        if refused(tried) is None:
            fail(tried)
            failed += 1
    assert failed <= about + sum(waits) * about / 60 + 1e-6
