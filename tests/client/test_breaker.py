"""Loops are broken, and every step keeps a rate."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shapegate_client.backoff import REQUESTS_AT_ONCE_MAX, REQUESTS_PER_SECOND_MAX
from shapegate_client.errors import RequestLoop
from shapegate_client.event import Conflict, Ending, Failed, Malformed, OutOfBounds, StreamEnded, Unauthorized
from shapegate_client.state import Live
from shapegate_client.step import Again, Deliver, Halt, Listen, RenewToken, Restart, Wait
from tests.client.builders import answered
from tests.client.replay import ANSWERS, CATCHING_UP, LIVE, NEWS, STATES, Peer, arrived, change, opened

if TYPE_CHECKING:
    from shapegate_client.event import Event
    from shapegate_client.state import State

NEWER = [answered(f"{lsn}_0", schema=None, cursor="7", up_to_date=True) for lsn in range(11, 2_000)]


def test_C_17_five_answers_without_progress_reset_then_pause_then_end() -> None:
    peer = Peer(state=CATCHING_UP, latency=0.01)
    peer.play([answered("10_0")] * 60)
    steps = [step for step in peer.steps if not isinstance(step, Deliver)]
    assert [type(step) for step in steps] == [Restart, Wait, Wait, Wait, Halt]
    assert all(step.pause_seconds > 0 for step in steps if isinstance(step, Wait))
    last = steps[-1]
    assert isinstance(last, Halt)
    assert isinstance(last.error, RequestLoop)


def test_C_17_the_reset_clears_what_caches_could_hold_on_to() -> None:
    peer = Peer(state=CATCHING_UP, latency=0.01)
    peer.play([answered("10_0")] * 6)
    _, request = peer.requests[-1]
    assert (str(request.offset), request.handle, request.expired_handle) == ("-1", None, None)
    assert request.cache_buster is not None


def test_C_17_a_log_that_moves_is_no_loop() -> None:
    peer = Peer(latency=0.001, streams=False)
    peer.play([answered(f"0_{chunk}") for chunk in range(150)])
    assert {type(step) for step in peer.steps} == {Deliver}
    assert all(step.pause_seconds == 0.0 for step in peer.steps if isinstance(step, Deliver))


def test_L_05_a_live_request_that_is_answered_at_once_again_and_again_is_slowed_but_goes_on() -> None:
    peer = Peer(state=LIVE, latency=0.01, streams=False)
    peer.play([answered("10_0", schema=None, cursor="7", up_to_date=True)] * 40)
    pauses = [step.pause_seconds for step in peer.steps if isinstance(step, Deliver)]
    assert len(pauses) == 40
    assert isinstance(peer.state, Live)
    assert 0.0 < max(pauses) <= 1.0


def test_L_05_streams_that_bring_nothing_new_and_end_at_once_are_slowed() -> None:
    peer = Peer(state=LIVE, latency=0.01)
    peer.play([opened(), arrived(up_to=10), StreamEnded(Ending.CLOSED)] * 40)
    assert Halt not in {type(step) for step in peer.steps}
    assert sum(isinstance(step, Listen) for step in peer.steps) == 40
    assert peer.at - 1_000.0 > 5.0


def test_L_05_a_healthy_commit_every_ten_milliseconds_is_never_held_back() -> None:
    peer = Peer(state=LIVE, latency=0.01, streams=False)
    peer.play(NEWER[:1_000])
    assert all(step.pause_seconds == 0.0 for step in peer.steps if isinstance(step, Deliver))


def test_L_05_answers_that_come_faster_than_any_log_moves_are_asked_for_at_a_bounded_rate() -> None:
    peer = Peer(state=LIVE, streams=False)
    peer.play(NEWER)
    assert_bounded(peer)
    assert peer.at - 1_000.0 > (len(NEWER) - REQUESTS_AT_ONCE_MAX) / REQUESTS_PER_SECOND_MAX - 1


def assert_bounded(peer: Peer) -> None:
    """No window of time has more requests than its length allows."""
    asked = [at for at, _ in peer.requests]
    assert asked == sorted(asked)
    for start, at in enumerate(asked):
        for seconds in (0.0, 0.1, 1.0, 10.0, 100.0):
            count = bisect_right(asked, at + seconds) - start
            assert count <= REQUESTS_AT_ONCE_MAX + seconds * REQUESTS_PER_SECOND_MAX + 1


@given(
    st.lists(st.sampled_from([*ANSWERS, *NEWS]), min_size=1, max_size=6),
    st.sampled_from(STATES),
    st.floats(0, 0.02),
    st.floats(0, 1, exclude_max=True),
)
@example(
    [answered("20_0", up_to_date=True, handle="h2"), Conflict("h2")], LIVE, 0.0, 0.0
)  # a shape that flaps, and a jitter that never waits
@settings(max_examples=60, deadline=None)
def test_L_05_no_sequence_of_events_drives_requests_beyond_the_rate(
    events: list[Event], state: State, latency: float, jitter: float
) -> None:
    peer = Peer(state=state, latency=latency, jitter=jitter)
    peer.play(itertools.islice(itertools.cycle(events), 600))
    assert_bounded(peer)


FAILING: list[Event] = [
    Conflict(None),
    Conflict("h2"),
    OutOfBounds(),
    Failed(reason="cut"),
    Malformed("html"),
    Unauthorized(),
    answered("10_0"),
    answered("10_0", up_to_date=True),
    answered("5_0"),
    answered("10_0", handle="h0"),
    opened(),
    StreamEnded(Ending.CLOSED),
    StreamEnded(Ending.CUT),
    arrived(change(1)),
    arrived(up_to=10),
]


@given(st.lists(st.sampled_from(FAILING), min_size=1, max_size=6), st.sampled_from(STATES))
@settings(max_examples=150, deadline=None)
def test_L_05_peers_that_bring_nothing_new_are_asked_less_than_ten_times_a_second(
    events: list[Event], state: State
) -> None:
    peer = Peer(state=state)
    peer.play(itertools.islice(itertools.cycle(events), 400))
    seconds = peer.at - 1_000.0
    assert len(peer.requests) <= 60 + 10 * seconds, (len(peer.requests), seconds)


def test_a_step_that_halts_or_listens_asks_for_nothing_and_is_not_held_back() -> None:
    peer = Peer(state=LIVE)
    peer.play(NEWER[:REQUESTS_AT_ONCE_MAX])
    peer.play([opened("9999_0"), arrived(change(1, "10000_0"), up_to=10_000)])
    first, second = peer.steps[-2:]
    assert isinstance(first, Listen)
    assert isinstance(second, Deliver)
    assert second.pause_seconds == 0.0


def test_L_05_asking_again_and_renewing_keep_the_rate_too() -> None:
    peer = Peer(state=LIVE, streams=False)
    peer.play(NEWER[: REQUESTS_AT_ONCE_MAX + 10])
    peer.play([answered("5_0", schema=None), Unauthorized()])
    again, renew = peer.steps[-2:]
    assert isinstance(again, Again)
    assert isinstance(renew, RenewToken)
    assert again.pause_seconds > 0.0
    assert renew.pause_seconds > 0.0
