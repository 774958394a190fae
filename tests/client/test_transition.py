"""What each answer does to a place in a log: every state and every event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.errors import (
    BadAnswers,
    HeadersMissing,
    RequestLoop,
    ShapeRefused,
    StaleAnswers,
    TokenRejected,
    UnsupportedShape,
)
from shapegate_client.event import (
    Conflict,
    Event,
    Failed,
    HeadersLost,
    Malformed,
    NoContent,
    OutOfBounds,
    Rejected,
    Unauthorized,
)
from shapegate_client.state import CatchingUp, Guard, Initial, Live, State, next_request, resume, wake
from shapegate_client.transition import Again, Deliver, Draw, Halt, RenewToken, Restart, Step, Wait, on_event
from shapegate_wire.columns import Column
from shapegate_wire.message import Change, MoveOut, MustRefetch, Operation
from tests.client.builders import DEFINITION, DRAW, NO_KEY, SCHEMA, answered, insert, offset, position

INITIAL = Initial()
CATCHING_UP = CatchingUp(position=position("10_0"))
LIVE = Live(position=position("10_0", cursor="7"))
STATES: tuple[State, ...] = (INITIAL, CATCHING_UP, LIVE)
REJECTED = Rejected(status=403, code="forbidden", message="no")
TAGGED = Change(key="k", operation=Operation.INSERT, value={}, tags=("h",))


def step(state: State, event: Event, *, at: float = 0.0, draw: Draw = DRAW) -> Step:
    return on_event(state, event, asked_at=at, draw=draw)


def deliver(state: State, event: Event, *, at: float = 0.0) -> Deliver:
    found = step(state, event, at=at)
    assert isinstance(found, Deliver)
    return found


def restart(state: State, event: Event) -> Restart:
    found = step(state, event)
    assert isinstance(found, Restart)
    return found


TABLE: list[tuple[Event, tuple[type[Step], type[Step], type[Step]]]] = [
    # event                                          initial     catching up  live
    (answered("10_0", insert(1)), (Deliver, Deliver, Deliver)),
    (answered("20_0", insert(1), up_to_date=True), (Deliver, Deliver, Deliver)),
    (answered("5_0"), (Deliver, Again, Again)),
    (answered("20_0", handle="h2"), (Deliver, Restart, Restart)),
    (answered("20_0", schema=NO_KEY), (Deliver, Restart, Restart)),
    (answered("20_0", MustRefetch()), (Restart, Restart, Restart)),
    (answered("20_0", MoveOut(())), (Halt, Halt, Halt)),
    (answered("20_0", TAGGED), (Halt, Halt, Halt)),
    (NoContent(), (Wait, Deliver, Deliver)),
    (Conflict("h2"), (Restart, Restart, Restart)),
    (Conflict(None), (Restart, Restart, Restart)),
    (OutOfBounds(), (Restart, Restart, Restart)),
    (Unauthorized(), (RenewToken, RenewToken, RenewToken)),
    (REJECTED, (Halt, Halt, Halt)),
    (Failed(reason="cut"), (Wait, Wait, Wait)),
    (Malformed("html"), (Wait, Wait, Wait)),
    (HeadersLost(("electric-offset",)), (Halt, Halt, Halt)),
]


@pytest.mark.parametrize(
    ("state", "event", "kind"),
    [(state, event, kinds[i]) for event, kinds in TABLE for i, state in enumerate(STATES)],
)
def test_every_state_takes_every_event(state: State, event: Event, kind: type[Step]) -> None:
    assert isinstance(step(state, event), kind)


def test_C_01_C_04_a_log_begins_at_minus_one_without_live_or_handle() -> None:
    assert next_request(INITIAL, DEFINITION).to_query() == [("table", "items"), ("offset", "-1")]


def test_C_02_C_03_the_next_request_follows_the_header_also_where_no_rows_came() -> None:
    after = deliver(INITIAL, answered("0_0")).state
    assert isinstance(after, CatchingUp)
    request = next_request(after, DEFINITION)
    assert (request.offset, request.handle, request.live) == (offset("0_0"), "h1", False)


def test_C_05_C_06_a_live_request_says_true_and_echoes_the_latest_cursor() -> None:
    after = deliver(LIVE, answered("11_0", schema=None, cursor="8", up_to_date=True)).state
    assert next_request(after, DEFINITION).to_query()[-2:] == [("live", "true"), ("cursor", "8")]


def test_C_07_a_live_answer_without_news_is_asked_again_without_delay() -> None:
    found = deliver(LIVE, answered("10_0", schema=None, cursor="8", up_to_date=True))
    assert isinstance(found.state, Live)
    assert found.pause_seconds == 0.0


@pytest.mark.parametrize("state", [CATCHING_UP, LIVE])
def test_C_22_a_204_is_up_to_date_at_the_same_place(state: CatchingUp | Live) -> None:
    found = deliver(state, NoContent())
    assert found.up_to_date
    assert isinstance(found.state, Live)
    assert found.state.position == state.position


def test_C_30_the_schema_outlives_answers_that_carry_none() -> None:
    after = deliver(LIVE, answered("11_0", schema=None, up_to_date=True)).state
    assert after.position.schema == SCHEMA


def test_a_changed_nullability_is_no_changed_schema() -> None:
    loosened = tuple(replace(column, not_null=False) for column in SCHEMA)
    assert isinstance(step(CATCHING_UP, answered("20_0", schema=loosened)), Deliver)


def test_L_09_an_added_column_reads_the_log_anew() -> None:
    wider = (*SCHEMA, Column(name="new", type="text"))
    assert isinstance(step(CATCHING_UP, answered("20_0", schema=wider)), Restart)


@pytest.mark.parametrize("handle", ["h2", "h1", None])
def test_C_13_C_14_C_15_a_409_starts_over_with_its_handle_a_new_buster_and_the_dead_handle(
    handle: str | None,
) -> None:
    request = next_request(restart(LIVE, Conflict(handle)).state, DEFINITION)
    assert request.to_query()[1:] == [
        ("offset", "-1"),
        *([("handle", handle)] if handle else []),
        ("expired_handle", "h1"),
        ("cache-buster", "never-used"),
    ]


def test_C_14_the_buster_is_new_each_time_and_gone_after_a_good_answer() -> None:
    first = restart(LIVE, Conflict(None)).state
    second = step(first, Conflict(None), draw=Draw(jitter=0.5, buster="second"))
    assert isinstance(second, Restart)
    assert second.state.guard.cache_buster == "second"
    after = deliver(second.state, answered("0_0", handle="h2")).state
    request = next_request(after, DEFINITION)
    assert (request.cache_buster, request.expired_handle) == (None, "h1")


def test_C_15_C_16_a_dead_handle_is_never_applied_and_ends_after_three_retries_and_one_clean_one() -> None:
    state: State = restart(LIVE, Conflict("h2")).state
    kinds: list[type[Step]] = []
    clean = None
    for at in range(10):
        found = step(state, answered("0_0", insert(1), handle="h1"), at=float(at))
        kinds.append(type(found))
        if isinstance(found, Halt):
            assert isinstance(found.error, StaleAnswers)
            break
        assert isinstance(found, Again | Restart)
        state = found.state
        if isinstance(found, Restart):
            clean = next_request(state, DEFINITION)
    assert kinds == [Again, Again, Again, Restart, Halt]
    assert clean is not None
    assert clean.expired_handle is None


def test_C_17_five_answers_without_progress_reset_then_pause_then_end() -> None:
    state: State = CATCHING_UP
    seen: list[type[Step]] = []
    at, paused = 0.0, 0.0
    for _ in range(60):
        at += 0.01
        found = step(state, answered("10_0"), at=at)
        if isinstance(found, Halt):
            assert isinstance(found.error, RequestLoop)
            break
        if not isinstance(found, Deliver):
            seen.append(type(found))
        if isinstance(found, Wait):
            paused += found.seconds
            at += found.seconds
        assert not isinstance(found, RenewToken)
        state = found.state
    else:
        pytest.fail("the loop was never broken")
    assert seen == [Restart, Wait, Wait, Wait]
    assert paused > 0


def test_L_05_a_live_request_that_is_answered_at_once_again_and_again_is_slowed_but_goes_on() -> None:
    state: State = LIVE
    pauses = []
    at = 0.0
    for _ in range(40):
        found = deliver(state, answered("10_0", schema=None, cursor="7", up_to_date=True), at=at)
        pauses.append(found.pause_seconds)
        at += 0.01 + found.pause_seconds
        state = found.state
    assert isinstance(state, Live)
    assert max(pauses) > 0.0
    assert max(pauses) <= 1.0


def test_L_05_a_slow_loop_of_409s_backs_off() -> None:
    state: State = LIVE
    pauses = []
    for at in range(6):
        found = step(state, Conflict(None), at=float(at))
        assert isinstance(found, Restart)
        pauses.append(found.pause_seconds)
        state = found.state
    assert pauses == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0]


def test_C_19_an_offset_out_of_bounds_starts_over_and_blames_no_handle() -> None:
    state = restart(CATCHING_UP, OutOfBounds()).state
    assert state.guard.expired_handle is None
    assert state.guard.cache_buster == "never-used"


@pytest.mark.parametrize("state", STATES)
def test_C_20_a_401_renews_once_and_asks_the_same(state: State) -> None:
    found = step(state, Unauthorized())
    assert isinstance(found, RenewToken)
    assert next_request(found.state, DEFINITION) == next_request(state, DEFINITION)
    again = step(found.state, Unauthorized(), at=9.0)
    assert isinstance(again, Halt)
    assert isinstance(again.error, TokenRejected)


def test_C_20_a_good_answer_allows_the_next_renewal() -> None:
    found = step(LIVE, Unauthorized())
    assert isinstance(found, RenewToken)
    after = deliver(found.state, answered("10_0", schema=None, up_to_date=True)).state
    assert isinstance(step(after, Unauthorized()), RenewToken)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (REJECTED, ShapeRefused),
        (HeadersLost(("electric-offset",)), HeadersMissing),
        (answered("20_0", TAGGED), UnsupportedShape),
    ],
)
def test_C_08_what_cannot_help_to_ask_again_ends_with_its_own_error(
    event: Event, error: type[Exception]
) -> None:
    found = step(LIVE, event)
    assert isinstance(found, Halt)
    assert isinstance(found.error, error)


def test_C_10_failures_back_off_from_the_same_offset_and_never_before_retry_after() -> None:
    state: State = CATCHING_UP
    waits = []
    for at in range(7):
        found = step(state, Failed(reason="cut"), at=float(at))
        assert isinstance(found, Wait)
        waits.append(found.seconds)
        state = found.state
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
    floor = step(LIVE, Failed(reason="503", retry_after=100.0))
    assert isinstance(floor, Wait)
    assert floor.seconds == 100.0


def test_C_21_five_unusable_answers_in_a_row_end_with_the_reason() -> None:
    state: State = CATCHING_UP
    for at in range(4):
        found = step(state, Malformed("html"), at=float(at))
        assert isinstance(found, Wait)
        state = found.state
    last = step(state, Malformed("html"), at=9.0)
    assert isinstance(last, Halt)
    assert isinstance(last.error, BadAnswers)


def test_C_24_after_a_failure_or_a_pause_a_non_live_request_comes_first() -> None:
    found = step(LIVE, Failed(reason="cut"))
    assert isinstance(found, Wait)
    assert not next_request(found.state, DEFINITION).live
    assert wake(LIVE) == CatchingUp(position=LIVE.position)
    assert not next_request(resume(position()), DEFINITION).live


def test_L_06_a_new_handle_without_a_409_is_a_new_shape() -> None:
    state = restart(LIVE, answered("20_0", handle="h2", schema=None)).state
    assert state.guard.expired_handle == "h1"


EVENTS = st.sampled_from([event for event, _ in TABLE] + [answered("20_0", handle="h1", up_to_date=True)])


@given(
    st.lists(st.tuples(EVENTS, st.floats(0, 3), st.floats(0, 1, exclude_max=True)), max_size=40),
    st.sampled_from(STATES),
)
@settings(max_examples=100, deadline=None)
def test_L_05_L_06_whatever_comes_offsets_never_go_back_and_requests_stay_legal(
    events: list[tuple[Event, float, float]], state: State
) -> None:
    at = 0.0
    for event, seconds, jitter in events:
        at += seconds
        before = state
        found = step(state, event, at=at, draw=Draw(jitter=jitter, buster="b"))
        if isinstance(found, Halt):
            return
        state = found.state
        request = next_request(state, DEFINITION)
        assert not (request.live and isinstance(state, Initial))
        assert (request.handle is not None) or isinstance(state, Initial)
        if not isinstance(before, Initial) and not isinstance(state, Initial):
            assert before.position.handle == state.position.handle
            assert before.position.offset <= state.position.offset
        if isinstance(found, Wait):
            assert found.seconds >= 0
            at += found.seconds


def test_a_guard_is_clean_at_first() -> None:
    assert Guard() == INITIAL.guard
