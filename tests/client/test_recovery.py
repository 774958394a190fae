"""What to do about answers that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_client.breaker import CALM_SECONDS, Draw
from shapegate_client.errors import BadAnswers, StaleAnswers
from shapegate_client.event import Conflict, Failed, Malformed, OutOfBounds
from shapegate_client.state import next_request
from shapegate_client.step import Again, Deliver, Halt, Restart, Step, Wait
from tests.client.builders import DEFINITION, answered, insert
from tests.client.replay import CATCHING_UP, LIVE, Peer, opened, take

if TYPE_CHECKING:
    from shapegate_client.event import Event
    from shapegate_client.state import State


def restart(state: State, event: Event) -> Restart:
    found = take(state, event)
    assert isinstance(found, Restart)
    return found


@pytest.mark.parametrize("handle", ["h2", "h1", None])
def test_C_13_C_14_C_15_a_409_starts_over_with_its_handle_a_new_buster_and_the_dead_handle(
    handle: str | None,
) -> None:
    request = next_request(restart(LIVE, Conflict(handle)).state, DEFINITION, streams=True)
    assert request.to_query()[1:] == [
        ("offset", "-1"),
        *([("handle", handle)] if handle else []),
        ("expired_handle", "h1"),
        ("cache-buster", "never-used"),
    ]


def test_C_14_the_buster_is_new_each_time_and_gone_after_a_good_answer() -> None:
    first = restart(LIVE, Conflict(None)).state
    second = take(first, Conflict(None), draw=Draw(jitter=0.5, buster="second"))
    assert isinstance(second, Restart)
    assert second.state.guard.cache_buster == "second"
    after = take(second.state, answered("0_0", handle="h2"))
    assert isinstance(after, Deliver)
    assert (after.state.guard.cache_buster, after.state.guard.expired_handle) == (None, "h1")


def test_C_15_C_16_a_dead_handle_is_never_applied_and_ends_after_three_retries_and_one_clean_one() -> None:
    state: State = restart(LIVE, Conflict("h2")).state
    kinds: list[type[Step]] = []
    clean = None
    for at in range(10):
        found = take(state, answered("0_0", insert(1), handle="h1"), at=float(at))
        kinds.append(type(found))
        if isinstance(found, Halt):
            assert isinstance(found.error, StaleAnswers)
            break
        assert isinstance(found, Again | Restart)
        state = found.state
        if isinstance(found, Restart):
            clean = next_request(found.state, DEFINITION, streams=True)
    assert kinds == [Again, Again, Again, Restart, Halt]
    assert clean is not None
    assert clean.expired_handle is None


def test_C_15_a_stream_of_a_dead_handle_or_from_before_is_not_listened_to() -> None:
    assert isinstance(take(LIVE, opened("9_0")), Again)
    state = restart(LIVE, Conflict("h2")).state
    reread = take(state, answered("0_inf", handle="h2", up_to_date=True))
    assert isinstance(reread, Deliver)
    assert isinstance(take(reread.state, opened(handle="h1")), Again)


def test_C_15_a_second_409_makes_the_second_handle_the_dead_one() -> None:
    state = restart(LIVE, Conflict("h2")).state
    reread = take(state, answered("0_inf", handle="h2", up_to_date=True))
    assert isinstance(reread, Deliver)
    request = next_request(restart(reread.state, Conflict("h3")).state, DEFINITION, streams=True)
    assert (request.handle, request.expired_handle) == ("h3", "h2")


def test_C_19_an_offset_out_of_bounds_starts_over_and_blames_no_handle() -> None:
    state = restart(CATCHING_UP, OutOfBounds()).state
    assert state.guard.expired_handle is None
    assert state.guard.cache_buster == "never-used"


def test_C_10_failures_back_off_from_the_same_offset_and_never_before_retry_after() -> None:
    state: State = CATCHING_UP
    waits = []
    for at in range(7):
        found = take(state, Failed(reason="cut"), at=float(at))
        assert isinstance(found, Wait)
        waits.append(found.pause_seconds)
        state = found.state
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
    assert isinstance(state, type(CATCHING_UP))
    assert state.position == CATCHING_UP.position
    floor = take(LIVE, Failed(reason="503", retry_after=100.0))
    assert isinstance(floor, Wait)
    assert floor.pause_seconds == 100.0


def test_L_05_live_requests_that_fail_back_off_though_plain_ones_succeed() -> None:
    peer = Peer(state=LIVE, streams=False)
    peer.play([Failed(reason="cut"), answered("10_0", up_to_date=True)] * 5)
    waits = [step.pause_seconds for step in peer.steps if isinstance(step, Wait)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]
    peer.play([answered("10_0", schema=None, up_to_date=True), Failed(reason="cut")])
    last = peer.steps[-1]
    assert isinstance(last, Wait)
    assert last.pause_seconds == 0.5


def test_C_21_five_unusable_answers_in_a_row_end_with_the_reason() -> None:
    peer = Peer(state=CATCHING_UP)
    peer.play([Malformed("html")] * 9)
    assert [type(step) for step in peer.steps] == [Wait, Wait, Wait, Wait, Halt]
    last = peer.steps[-1]
    assert isinstance(last, Halt)
    assert isinstance(last.error, BadAnswers)
    assert "html" in str(last.error)


def test_L_05_a_slow_loop_of_409s_backs_off_and_a_calm_time_ends_it() -> None:
    peer = Peer(state=LIVE, latency=1.0)
    for turn in range(5):
        peer.play([Conflict(None), answered("0_inf", handle=f"h{turn + 2}", up_to_date=True)])
    pauses = [step.pause_seconds for step in peer.steps if isinstance(step, Restart)]
    assert pauses == [0.0, 0.0, 0.5, 1.0, 2.0]
    peer.at += CALM_SECONDS
    peer.play([Conflict(None)])
    last = peer.steps[-1]
    assert isinstance(last, Restart)
    assert last.pause_seconds == 0.0
