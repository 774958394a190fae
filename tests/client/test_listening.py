"""What news of an open stream do to a place in a log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.event import Arrived, Ending, KeptAlive, Malformed, StreamEnded, Woken
from shapegate_client.listening import SHORT_STREAM_SECONDS
from shapegate_client.state import (
    EMPTY_STREAMS_MAX,
    CatchingUp,
    Guard,
    Live,
    Streaming,
    next_request,
)
from shapegate_client.step import Deliver, Halt, HangUp, Listen, Restart
from shapegate_wire.message import Change, MustRefetch, Operation
from shapegate_wire.offset import Offset
from tests.client.builders import DEFINITION, answered, insert, offset
from tests.client.replay import LIVE, STREAMING, Peer, arrived, change, opened, take

if TYPE_CHECKING:
    from shapegate_client.event import Event

LONG = 100.0


def deliver(state: Streaming, news: Arrived) -> tuple[Deliver, Streaming]:
    found = take(state, news)
    assert isinstance(found, Deliver)
    assert isinstance(found.state, Streaming)
    return found, found.state


def hung_up(state: Streaming, ending: Ending, *, after: float = LONG) -> HangUp:
    found = take(state, StreamEnded(ending), at=state.opened_at + after)
    assert isinstance(found, HangUp)
    return found


def listening(at: str = "10_0") -> Streaming:
    found = take(LIVE, opened(at))
    assert isinstance(found, Listen)
    return found.state


def test_a_comment_of_an_idle_stream_says_that_the_rows_are_up_to_date() -> None:
    found = take(STREAMING, KeptAlive())
    assert isinstance(found, Deliver)
    assert (found.state, found.messages, found.up_to_date) == (STREAMING, (), True)


def test_C_44_a_comment_within_a_batch_commits_nothing() -> None:
    _, state = deliver(STREAMING, arrived(change(1, "20_0")))
    assert take(state, KeptAlive()) == Listen(state=state)


@pytest.mark.parametrize(
    ("header", "news", "expected"),
    [
        ("10_0", [arrived(up_to=10)], "10_0"),
        ("10_0", [arrived(change(1, "20_0"), up_to=20)], "20_0"),
        # The true end of a transaction of three operations; its lsn alone would be behind it.
        ("10_0", [arrived(change(1, "20_0"), change(2, "20_2"), change(3, "20_4"), up_to=20)], "20_4"),
        ("20_4", [arrived(change(1, "20_0"), change(2, "20_2"), up_to=20)], "20_4"),
        ("12_6", [arrived(up_to=12)], "12_6"),
        ("10_0", [arrived(change(1), up_to=30)], "30_0"),
        ("10_0", [arrived(change(1, "20_4"), up_to=20), arrived(up_to=15)], "20_4"),
        ("10_0", [arrived(change(1, "20_4")), arrived(change(2, "20_2"), up_to=20)], "20_4"),
        ("10_0", [arrived(change(1, "1_3"), up_to=10)], "10_0"),
    ],
)
def test_C_45_the_offset_is_the_greatest_of_header_last_operation_and_lsn(
    header: str, news: list[Arrived], expected: str
) -> None:
    state = listening(header)
    for each in news:
        _, state = deliver(state, each)
    assert state.position.offset == offset(expected)
    assert state.position.cursor == "8"


def test_C_44_C_45_before_the_first_up_to_date_the_header_counts_for_nothing() -> None:
    state = listening("30_0")
    assert state.position.offset == offset("10_0")
    part, state = deliver(state, arrived(change(1, "30_0")))
    assert not part.up_to_date
    assert hung_up(state, Ending.CUT).state.position.offset == offset("10_0")


def test_C_45_an_operation_count_beyond_every_offset_does_not_spoil_the_position() -> None:
    huge = replace(change(1, "20_0"), op_position=(1 << 64) - 1)
    _, state = deliver(listening(), arrived(huge, up_to=20))
    assert offset(str(state.position.offset)) == state.position.offset


@pytest.mark.parametrize(("ending", "pause"), [(Ending.CLOSED, 0.0), (Ending.CUT, 0.5), (Ending.SILENT, 0.5)])
@pytest.mark.parametrize("taken_in", [False, True])
def test_C_44_a_half_received_batch_is_dropped_and_asked_for_without_live(
    ending: Ending, pause: float, taken_in: bool
) -> None:
    _, state = deliver(STREAMING, arrived(change(1, "20_0"), up_to=20))
    if taken_in:
        _, state = deliver(state, arrived(change(2, "30_0")))
    found = take(state, StreamEnded(ending, half_received=not taken_in))
    assert isinstance(found, HangUp)
    assert isinstance(found.state, CatchingUp)
    assert found.state.position == state.position
    assert found.state.position.offset == offset("20_0")
    assert (found.reason is None, found.pause_seconds) == (ending is Ending.CLOSED, pause)


def test_a_stream_that_ends_in_good_order_is_followed_by_the_next() -> None:
    _, state = deliver(STREAMING, arrived(change(1, "20_2"), up_to=20))
    for whole in (STREAMING, state):
        found = hung_up(whole, Ending.CLOSED)
        assert isinstance(found.state, Live)
        assert (found.reason, found.pause_seconds) == (None, 0.0)
        request = next_request(found.state, DEFINITION, streams=True)
        assert (request.live_sse, request.offset) == (True, whole.position.offset)


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.SILENT])
def test_C_46_a_stream_that_delivered_and_broke_is_no_failure(ending: Ending) -> None:
    _, state = deliver(STREAMING, arrived(change(1, "20_2"), up_to=20))
    found = hung_up(state, ending, after=0.1)
    assert (found.reason, found.pause_seconds) == (None, 0.0)
    assert found.state.guard.empty_streams == 0
    assert not next_request(found.state, DEFINITION, streams=True).live


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.SILENT])
def test_a_stream_that_broke_without_a_word_is_a_failure(ending: Ending) -> None:
    found = hung_up(STREAMING, ending)
    assert isinstance(found.state, CatchingUp)
    assert found.reason is not None
    assert found.pause_seconds == 0.5


def test_C_46_three_empty_streams_under_a_second_lead_to_long_polls_for_good() -> None:
    peer = Peer(state=LIVE, latency=0.3)
    peer.play([opened(), StreamEnded(Ending.CLOSED)] * EMPTY_STREAMS_MAX)
    assert [request.live_sse for _, request in peer.requests] == [True] * EMPTY_STREAMS_MAX
    peer.play([answered("11_0", schema=None, cursor="9", up_to_date=True)] * 3)
    assert [(request.live, request.live_sse) for _, request in peer.requests[-3:]] == [(True, False)] * 3


def test_C_46_streams_in_between_that_delivered_or_lasted_start_the_count_anew() -> None:
    delivers: list[Event] = [opened(), arrived(up_to=10), StreamEnded(Ending.CLOSED)]
    lasts: list[Event] = [opened(), StreamEnded(Ending.CLOSED)]
    for healthy, seconds in (delivers, 0.0), (lasts, SHORT_STREAM_SECONDS):
        peer = Peer(state=LIVE, latency=0.3)
        peer.play([opened(), StreamEnded(Ending.CLOSED)] * (EMPTY_STREAMS_MAX - 1))
        peer.latency = max(0.3, seconds)
        peer.play(healthy)
        assert peer.state.guard.empty_streams == 0


def test_C_46_streams_that_stay_silent_count_as_empty_however_long() -> None:
    state = replace(STREAMING, guard=Guard(empty_streams=EMPTY_STREAMS_MAX - 1))
    found = hung_up(state, Ending.SILENT)
    live = Live(position=found.state.position, guard=found.state.guard)
    assert not next_request(live, DEFINITION, streams=True).live_sse


def test_must_refetch_on_a_stream_starts_over() -> None:
    found = take(STREAMING, Arrived((insert(1), MustRefetch())))
    assert isinstance(found, Restart)
    assert found.state.guard.expired_handle == "h1"
    assert found.state.guard.cache_buster == "never-used"


def test_C_24_a_sleep_ends_a_stream_and_the_next_request_is_not_live() -> None:
    _, half = deliver(STREAMING, arrived(change(1, "20_0")))
    found = take(half, Woken())
    assert isinstance(found, HangUp)
    assert found.state == CatchingUp(position=STREAMING.position, guard=found.state.guard)
    assert (found.reason, found.pause_seconds) == (None, 0.0)


def test_L_01_a_stream_of_something_else_is_hung_up_later_given_up() -> None:
    found = take(STREAMING, Malformed("html"))
    assert isinstance(found, HangUp)
    assert (found.reason, found.pause_seconds) == ("html", 0.5)
    assert found.state.guard.malformed == 1
    assert isinstance(take(replace(STREAMING, guard=Guard(malformed=4)), Malformed("html")), Halt)


MESSAGES = st.builds(
    lambda row, lsn, op, operation: change(row, f"{lsn}_{op}", operation),
    st.integers(0, 3),
    st.integers(0, 40),
    st.integers(0, 9),
    st.sampled_from(Operation),
) | st.builds(change, st.integers(0, 3))
BATCHES = st.lists(
    st.builds(
        lambda messages, up_to: arrived(*messages, up_to=up_to),
        st.lists(MESSAGES, max_size=4),
        st.none() | st.integers(0, 50),
    ),
    max_size=8,
)


@given(st.integers(10, 30), BATCHES, st.sampled_from(Ending))
@settings(max_examples=200, deadline=None)
def test_C_44_C_45_L_06_only_an_up_to_date_moves_the_offset_and_never_back(
    header: int, batches: list[Arrived], ending: Ending
) -> None:
    state = listening(f"{header}_0")
    greatest, committed = Offset(header, 0), state.position.offset
    for each in batches:
        found, after = deliver(state, each)
        for message in each.messages:
            if isinstance(message, Change) and message.lsn is not None and message.op_position is not None:
                greatest = max(greatest, Offset(message.lsn, message.op_position))
        if found.up_to_date:
            up_to = each.messages[-1]
            greatest = max(greatest, Offset(getattr(up_to, "global_last_seen_lsn", 0), 0))
            committed = greatest
        assert after.position.offset == committed
        state = after
    assert hung_up(state, ending).state.position.offset == committed
