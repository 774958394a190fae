"""Who asks, and how many bad tokens their address may show."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.addresses import HOPS_MAX, KNOWN_SECONDS, FailureBudget, client_address
from tests.proxy.builders import Ticks

BALANCERS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),  # not a balancer: its word counts for nothing
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),  # what the client wrote itself stands left
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, 1[]@"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        (None, ["203.0.113.9"], "unknown"),
        ("", [], "unknown"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_balancer(
    peer: str | None, forwarded: list[str], expected: str
) -> None:
    assert client_address(peer, forwarded, BALANCERS) == expected


def test_the_header_counts_for_nothing_unless_balancers_are_configured() -> None:
    assert client_address("10.0.0.1", ["203.0.113.9"], ()) == "10.0.0.1"


def test_I_08_a_long_header_is_read_up_to_a_bound() -> None:
    header = ", ".join(["203.0.113.9", *["10.0.0.2"] * HOPS_MAX])
    assert client_address("10.0.0.1", [header], BALANCERS) == "10.0.0.2"


@given(st.lists(st.text(), max_size=5), st.sampled_from(["10.0.0.1", "198.51.100.7", None]))
def test_whatever_the_header_holds_there_is_an_answer(forwarded: list[str], peer: str | None) -> None:
    assert client_address(peer, forwarded, BALANCERS)


@given(st.lists(st.ip_addresses(), max_size=4))
def test_nothing_a_client_writes_hides_the_address_that_the_balancer_saw(claimed: list[object]) -> None:
    header = ", ".join([*map(str, claimed), "203.0.113.9"])
    assert client_address("10.0.0.1", [header], BALANCERS) == "203.0.113.9"


def budget(ticks: Ticks) -> FailureBudget:
    return FailureBudget(per_minute=3, monotonic=ticks)


def test_I_08_an_address_with_too_many_failures_has_to_wait() -> None:
    ticks = Ticks()
    failures = budget(ticks)
    for _ in range(3):
        assert not failures.exhausted("a")
        failures.failed("a")
    assert failures.exhausted("a")
    assert not failures.exhausted("b")
    assert failures.seconds_until("a") == pytest.approx(20)
    ticks.now += 20
    assert not failures.exhausted("a")


def test_a_user_seen_with_a_good_token_is_not_locked_out_by_a_neighbour() -> None:
    ticks = Ticks()
    failures = budget(ticks)
    failures.succeeded("a", "ada")
    for _ in range(100):
        failures.failed("a")
    assert failures.exhausted("a")
    assert failures.admits("a", "ada")
    assert not failures.admits("a", "mallory")
    assert not failures.admits("b", "ada")
    ticks.now += KNOWN_SECONDS
    assert not failures.admits("a", "ada")


def test_I_08_a_name_that_was_seen_buys_a_bounded_number_of_tries() -> None:
    failures = budget(Ticks())
    failures.succeeded("a", "ada")
    assert [failures.admits("a", "ada") for _ in range(5)] == [True, True, True, False, False]
