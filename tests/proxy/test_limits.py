"""The accounts of a gate: what each principal and each org may have under way and may make in an hour."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.limit_settings import LimitSettings
from shapegate_proxy.limits import HOUR_SECONDS, RETRY_SECONDS_MAX, Limits, RecentShapes, account
from shapegate_proxy.policy import TableLimits, confine
from shapegate_proxy.too_many import TooManyInitial, TooManyLive, TooManyRequests, TooManyShapes
from shapegate_wire.request import parse_request
from tests.proxy.builders import ACME, GLOBEX, Ticks, policy, principal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from shapegate_proxy.errors import Refused
    from shapegate_proxy.policy import ConfinedRequest

SETTINGS = LimitSettings(
    requests_per_principal=4,
    live_per_principal=2,
    requests_per_org=6,
    initial_per_org=3,
    shapes_per_hour_principal=3,
    shapes_per_hour_org=5,
)


def confined(
    number: int = 0,
    *,
    org: str = ACME,
    user: str = "ada",
    live: bool = False,
    more: Mapping[str, str] | None = None,
) -> ConfinedRequest:
    """A request for the shape of this number."""
    query = {"table": "items", "offset": "-1", "where": f"name = '{number}'"}
    if live:
        query |= {"offset": "0_0", "handle": "h-1", "live": "true"}
    return confine(principal(org=org, user=user), parse_request((query | dict(more or {})).items()), policy())


def limits(ticks: Ticks | None = None) -> Limits:
    return Limits(SETTINGS, monotonic=ticks or Ticks())


def admit(accounts: Limits, request: ConfinedRequest) -> AbstractContextManager[None]:
    return accounts.admit(account(request))


def ask(accounts: Limits, request: ConfinedRequest) -> None:
    """Make a request that ends at once."""
    with accounts.enter(request.principal), admit(accounts, request):
        pass


def test_I_08_a_principal_has_so_many_requests_under_way_and_no_more() -> None:
    accounts, ada = limits(), principal(user="ada")
    with ExitStack() as under_way:
        for _ in range(4):
            under_way.enter_context(accounts.enter(ada))
        with pytest.raises(TooManyRequests) as caught:
            ask(accounts, confined(user="ada"))
        assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})
        ask(accounts, confined(user="ben"))
    ask(accounts, confined(user="ada"))


def test_I_08_a_principal_follows_so_many_shapes_at_once() -> None:
    accounts = limits()
    with ExitStack() as under_way:
        for _ in range(2):
            under_way.enter_context(admit(accounts, confined(live=True)))
        with pytest.raises(TooManyLive):
            ask(accounts, confined(live=True))
        ask(accounts, confined())
    ask(accounts, confined(live=True))


SUBSET = {"offset": "0_0", "handle": "h-1", "subset__where": "true"}


@pytest.mark.parametrize("more", [{}, {"offset": "now"}, SUBSET, SUBSET | {"live": "true"}])
def test_I_08_users_of_one_org_share_what_may_be_initial_at_once(more: dict[str, str]) -> None:
    accounts = limits()
    with ExitStack() as under_way:
        for user in "abc":
            under_way.enter_context(admit(accounts, confined(user=user, more=more)))
        for refused in ({}, SUBSET):
            with pytest.raises(TooManyInitial) as caught:
                ask(accounts, confined(user="d", more=refused))
            assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "2"})
        ask(accounts, confined(user="d", live=True))
        ask(accounts, confined(user="d", more={"offset": "0_0", "handle": "h-1"}))
        ask(accounts, confined(org=GLOBEX, more=more))
    for user in "abcdef":
        ask(accounts, confined(user=user, more=more))


def test_I_08_what_is_refused_as_initial_counts_as_no_shape() -> None:
    accounts = limits()
    with ExitStack() as under_way:
        for user in "abc":
            under_way.enter_context(admit(accounts, confined(user=user)))
        for number in range(1, 20):
            with pytest.raises(TooManyInitial):
                ask(accounts, confined(number, user="d"))
    for number in range(1, 4):
        ask(accounts, confined(number, user="d"))


def test_I_08_users_of_one_org_together_leave_every_other_org_alone() -> None:
    accounts = limits()
    with ExitStack() as under_way:
        for user in range(6):
            under_way.enter_context(accounts.enter(principal(user=str(user))))
        with pytest.raises(TooManyRequests):
            ask(accounts, confined(user="another"))
        ask(accounts, confined(org=GLOBEX))


def test_a_request_that_fails_is_under_way_no_more() -> None:
    accounts = limits()
    for _ in range(10):
        request = confined(live=True)
        with pytest.raises(RuntimeError), accounts.enter(request.principal), admit(accounts, request):
            raise RuntimeError
    ask(accounts, confined(live=True))


def test_I_08_distinct_shapes_are_counted_and_known_ones_are_free() -> None:
    accounts = limits()
    for number in (1, 2, 3, 1, 2, 3, 1):
        ask(accounts, confined(number))
    with pytest.raises(TooManyShapes) as caught:
        ask(accounts, confined(4))
    assert (caught.value.status, caught.value.code) == (429, "too_many_shapes")
    assert caught.value.headers == {"retry-after": str(RETRY_SECONDS_MAX)}
    ask(accounts, confined(1))


@pytest.mark.parametrize(
    "position", [{"handle": "h-1", "offset": "0_0"}, {"offset": "now"}, {"cache-buster": "1"}]
)
def test_I_08_a_handle_or_another_position_does_not_dodge_the_count(position: dict[str, str]) -> None:
    accounts = limits()
    for number in (1, 2, 3):
        ask(accounts, confined(number, more=position))
    with pytest.raises(TooManyShapes):
        ask(accounts, confined(4, more=position))
    ask(accounts, confined(1))


def test_I_08_many_users_of_one_org_share_what_the_org_may_make() -> None:
    accounts = limits()
    for number in range(5):
        ask(accounts, confined(number, user=str(number)))
    with pytest.raises(TooManyShapes, match="organization"):
        ask(accounts, confined(9, user="9"))
    ask(accounts, confined(0, user="9"))  # the org has that one already
    for number in range(3):
        ask(accounts, confined(number, org=GLOBEX))


def test_a_shape_refused_for_the_org_is_not_charged_to_the_user() -> None:
    ticks = Ticks()
    accounts = limits(ticks)
    for number in range(5):
        ask(accounts, confined(number, user=str(number)))
    for number in range(10, 20):
        with pytest.raises(TooManyShapes):
            ask(accounts, confined(number, user="9"))
    ticks.now += HOUR_SECONDS
    for number in range(3):
        ask(accounts, confined(number, user="9"))


def test_an_hour_after_it_was_last_asked_a_shape_makes_room() -> None:
    ticks = Ticks()
    accounts = limits(ticks)
    for number in (1, 2, 3):
        ask(accounts, confined(number))
        ticks.now += 600
    ask(accounts, confined(1))
    ticks.now += HOUR_SECONDS - 1200 - 100
    with pytest.raises(TooManyShapes) as caught:
        ask(accounts, confined(4))
    assert caught.value.headers == {"retry-after": "100"}
    ticks.now += 100
    ask(accounts, confined(4))
    ask(accounts, confined(1))


def test_a_policy_may_set_another_number_for_a_table() -> None:
    accounts = limits()
    for number in (1, 2, 3):
        ask(accounts, confined(number))
    narrow = [replace(confined(number), limits=TableLimits(shapes_per_hour=1)) for number in (4, 5)]
    ask(accounts, narrow[0])
    with pytest.raises(TooManyShapes):
        ask(accounts, narrow[1])


def test_a_refused_request_counts_nowhere() -> None:
    accounts = limits()
    for number in (1, 2, 3):
        ask(accounts, confined(number))
    for _ in range(20):
        with pytest.raises(TooManyShapes):
            ask(accounts, confined(4, live=True))
    with admit(accounts, confined(1, live=True)), admit(accounts, confined(2, live=True)):
        pass


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {}, True),
        ({"where": "name='0'"}, {"where": " name  =  '0'"}, True),
        ({"where": "name = $1", "params[1]": "0"}, {}, True),
        ({"columns": "name,id"}, {"columns": "id,name"}, True),
        ({"offset": "0_0", "handle": "h"}, {}, True),
        ({"where": "name = '1'"}, {}, False),
        ({"columns": "id"}, {}, False),
        ({"replica": "full"}, {}, False),
        ({"log": "changes_only"}, {}, False),
    ],
)
def test_a_shape_is_what_goes_to_electric(one: dict[str, str], other: dict[str, str], same: bool) -> None:
    assert (account(confined(more=one)).shape == account(confined(more=other)).shape) is same


def test_the_same_words_in_two_orgs_are_two_shapes() -> None:
    assert account(confined()) != account(confined(org=GLOBEX))


Step = tuple[int, str, int]


@given(st.lists(st.tuples(st.integers(0, 2000), st.sampled_from("abc"), st.integers(0, 6)), max_size=80))
def test_I_08_the_count_is_that_of_a_plain_list(steps: list[Step]) -> None:
    """The model keeps every request and counts anew each time."""
    recent, shapes_max, now = RecentShapes(1000), 3, 0
    asked: list[tuple[int, str, bytes]] = []
    for wait, owner, number in steps:
        now += wait
        shape = bytes([number])
        known = {one for at, who, one in asked if who == owner and now - at < HOUR_SECONDS}
        fits = shape in known or len(known) < shapes_max
        assert (recent.seconds_until((owner,), shape, shapes_max, now=now) == 0) is fits
        if fits:
            recent.note((owner,), shape, now=now)
            asked.append((now, owner, shape))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9), st.integers(0, 9)), max_size=200))
def test_I_08_the_memory_is_bounded(steps: list[tuple[int, int, int]]) -> None:
    recent, now = RecentShapes(20), 0
    for wait, owner, number in steps:
        now += wait
        if recent.seconds_until((str(owner),), bytes([number]), 8, now=now) == 0:
            recent.note((str(owner),), bytes([number]), now=now)
        assert len(recent) <= 20


def test_owners_who_ask_no_more_are_forgotten_after_an_hour() -> None:
    recent = RecentShapes(1000)
    for owner in range(50):
        recent.note((str(owner),), b"x", now=owner)
    recent.note(("last",), b"x", now=49 + HOUR_SECONDS)
    assert len(recent) == 1


def test_every_refusal_of_a_limit_says_when_to_come_back() -> None:
    kinds: tuple[Refused, ...] = (
        TooManyRequests("m"),
        TooManyLive(),
        TooManyInitial(),
        TooManyShapes("m", 9),
    )
    assert all(refused.status == 429 and int(refused.headers["retry-after"]) > 0 for refused in kinds)
