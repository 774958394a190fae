"""What each answer does to a place in a log."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.errors import ClientError, HeadersMissing, ShapeRefused, TokenRejected
from shapegate_client.event import Answer, Event, Failed, HeadersLost, NoContent, Unauthorized, Woken
from shapegate_client.state import CatchingUp, Initial, Live, State, next_request, resume, wake
from shapegate_client.step import Again, Deliver, Halt, Listen, RenewToken, Restart, Wait
from shapegate_wire.columns import Column
from shapegate_wire.message import MustRefetch
from tests.client.builders import DEFINITION, SCHEMA, answered, offset, position
from tests.client.replay import (
    CATCHING_UP,
    EVENTS,
    INITIAL,
    KINDS,
    LIVE,
    REJECTED,
    STATES,
    Peer,
    observed,
    opened,
    take,
)


def deliver(state: State, event: Event, *, at: float = 0.0) -> Deliver:
    found = take(state, event, at=at)
    assert isinstance(found, Deliver)
    return found


def test_every_state_takes_every_event_and_none_is_without_an_example() -> None:
    assert {type(state) for state in STATES} == set(get_args(State))
    for state in STATES:
        assert {type(event) for event in EVENTS[type(state)]} == set(KINDS[type(state)])
    for kind, cells in observed().items():
        for state in STATES:
            assert (kind in KINDS[type(state)]) == bool(cells.get(type(state))), (kind, state)


def test_C_01_C_04_a_log_begins_at_minus_one_without_live_or_handle() -> None:
    request = next_request(INITIAL, DEFINITION, streams=True)
    assert request.to_query() == [("table", "items"), ("offset", "-1")]


def test_C_01_a_log_is_read_without_live_until_its_end_was_seen() -> None:
    peer = Peer(streams=False)
    peer.play([answered("0_0"), answered("0_1"), answered("0_inf", up_to_date=True), answered("0_inf")])
    assert [(str(request.offset), request.live) for _, request in peer.requests] == [
        ("-1", False),
        ("0_0", False),
        ("0_1", False),
        ("0_inf", True),
    ]


def test_C_02_C_03_the_next_request_follows_the_header_also_where_no_rows_came() -> None:
    after = deliver(INITIAL, answered("0_0")).state
    assert isinstance(after, CatchingUp)
    request = next_request(after, DEFINITION, streams=True)
    assert (request.offset, request.handle, request.live) == (offset("0_0"), "h1", False)


def test_C_05_C_06_a_live_request_says_true_and_echoes_the_latest_cursor() -> None:
    after = deliver(LIVE, answered("11_0", schema=None, cursor="8", up_to_date=True)).state
    assert isinstance(after, Live)
    request = next_request(after, DEFINITION, streams=False)
    assert request.to_query()[-2:] == [("live", "true"), ("cursor", "8")]


def test_C_07_a_live_answer_without_news_is_asked_again_without_delay() -> None:
    found = deliver(LIVE, answered("10_0", schema=None, cursor="8", up_to_date=True))
    assert isinstance(found.state, Live)
    assert found.pause_seconds == 0.0


def test_C_22_a_204_is_up_to_date_at_the_same_place() -> None:
    found = deliver(LIVE, NoContent())
    assert found.up_to_date
    assert isinstance(found.state, Live)
    assert found.state.position == LIVE.position


@pytest.mark.parametrize("state", [INITIAL, CATCHING_UP])
def test_C_22_L_02_a_204_before_the_end_of_the_log_does_not_complete_what_was_read(
    state: Initial | CatchingUp,
) -> None:
    found = take(state, NoContent())
    assert isinstance(found, Wait)
    assert found.state.guard.malformed == 1


def test_C_30_the_schema_outlives_answers_and_streams_that_carry_none() -> None:
    after = deliver(LIVE, answered("11_0", schema=None, up_to_date=True)).state
    assert after.position.schema == SCHEMA
    stream = take(LIVE, opened())
    assert isinstance(stream, Listen)
    assert stream.state.position.schema == SCHEMA
    assert deliver(LIVE, NoContent()).state.position.schema == SCHEMA


def test_a_changed_nullability_is_no_changed_schema() -> None:
    loosened = tuple(replace(column, not_null=False) for column in SCHEMA)
    assert isinstance(take(CATCHING_UP, answered("20_0", schema=loosened)), Deliver)


def test_L_09_an_added_column_reads_the_log_anew() -> None:
    wider = (*SCHEMA, Column(name="new", type="text"))
    assert isinstance(take(CATCHING_UP, answered("20_0", schema=wider)), Restart)


@pytest.mark.parametrize("state", [INITIAL, CATCHING_UP, LIVE])
def test_C_20_a_401_renews_once_and_asks_the_same(state: Initial | CatchingUp | Live) -> None:
    found = take(state, Unauthorized())
    assert isinstance(found, RenewToken)
    before = next_request(state, DEFINITION, streams=True)
    assert next_request(found.state, DEFINITION, streams=True) == before
    again = take(found.state, Unauthorized(), at=9.0)
    assert isinstance(again, Halt)
    assert isinstance(again.error, TokenRejected)


@pytest.mark.parametrize("good", [answered("10_0", schema=None, up_to_date=True), opened()])
def test_C_20_a_good_answer_or_an_open_stream_allows_the_next_renewal(good: Answer) -> None:
    found = take(LIVE, Unauthorized())
    assert isinstance(found, RenewToken)
    after = take(found.state, good)
    assert isinstance(after, Deliver | Listen)
    assert isinstance(take(wake(after.state), Unauthorized()), RenewToken)


@pytest.mark.parametrize(
    ("event", "error"), [(REJECTED, ShapeRefused), (HeadersLost(("electric-offset",)), HeadersMissing)]
)
@pytest.mark.parametrize("state", [INITIAL, CATCHING_UP, LIVE])
def test_C_08_C_10_L_05_what_cannot_help_to_ask_again_ends_with_its_own_error(
    state: State, event: Event, error: type[ClientError]
) -> None:
    found = take(state, event)
    assert isinstance(found, Halt)
    assert isinstance(found.error, error)


def test_C_24_after_a_failure_a_pause_or_a_sleep_a_non_live_request_comes_first() -> None:
    for event in (Failed(reason="cut"), Woken()):
        found = take(LIVE, event)
        assert isinstance(found, Wait | Again)
        assert not next_request(found.state, DEFINITION, streams=True).live
    assert wake(LIVE) == CatchingUp(position=LIVE.position)
    assert not next_request(resume(position()), DEFINITION, streams=True).live


def test_C_24_waking_often_costs_no_position() -> None:
    peer = Peer(state=LIVE)
    peer.play([Woken()] * 50)
    assert all(isinstance(step, Again) for step in peer.steps)
    assert isinstance(peer.state, CatchingUp)
    assert peer.state.position == LIVE.position


def test_L_06_a_new_handle_without_a_409_is_a_new_shape() -> None:
    for event in (answered("20_0", handle="h2", schema=None), opened(handle="h2")):
        found = take(LIVE, event)
        assert isinstance(found, Restart)
        assert found.state.guard.expired_handle == "h1"


def test_a_must_refetch_in_a_body_starts_over() -> None:
    found = take(CATCHING_UP, answered("20_0", MustRefetch()))
    assert isinstance(found, Restart)
    assert found.state.guard.expired_handle == "h1"


def test_a_stream_begins_where_the_log_was_and_takes_over_its_cursor() -> None:
    found = take(LIVE, opened("12_3", cursor="9"), at=5.0)
    assert isinstance(found, Listen)
    assert found.state.position == position("10_0", cursor="9")
    assert (found.state.reached, found.state.opened_at) == (offset("12_3"), 5.0)


@given(
    st.lists(st.sampled_from([event for events in EVENTS.values() for event in events]), max_size=60),
    st.sampled_from(STATES),
    st.floats(0, 3),
    st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=200, deadline=None)
def test_C_04_C_15_L_06_whatever_comes_offsets_never_go_back_and_requests_stay_legal(
    events: list[Event], state: State, latency: float, jitter: float
) -> None:
    peer = Peer(state=state, latency=latency, jitter=jitter)
    for event in events:
        before, dead, count = peer.state, peer.state.guard.expired_handle, len(peer.steps)
        peer.play([event])
        if len(peer.steps) == count:
            continue
        step = peer.steps[-1]
        if isinstance(step, Halt):
            return
        if isinstance(step, Deliver):
            assert step.state.position.handle != dead or dead is None
            assert step.up_to_date or not isinstance(step.state, Live)
        if not isinstance(before, Initial) and not isinstance(step, Restart):
            assert not isinstance(peer.state, Initial)
            assert before.position.handle == peer.state.position.handle
            assert before.position.offset <= peer.state.position.offset
    for _, request in peer.requests:
        assert not (request.live and str(request.offset) == "-1")
        assert request.live or not request.live_sse
        assert request.handle is not None or str(request.offset) == "-1"


def test_a_stream_is_asked_for_only_where_one_is_wished() -> None:
    assert not next_request(LIVE, DEFINITION, streams=False).live_sse
    assert next_request(LIVE, DEFINITION, streams=True).to_query()[-4:] == [
        ("live", "true"),
        ("live_sse", "true"),
        ("experimental_live_sse", "true"),
        ("cursor", "7"),
    ]
    for state in (INITIAL, CATCHING_UP):
        assert not next_request(state, DEFINITION, streams=True).live
