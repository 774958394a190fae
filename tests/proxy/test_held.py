"""Requests under way: what ends them, and whom it does not end."""

from __future__ import annotations

import asyncio

import pytest

from shapegate_proxy.errors import GateStopping, InvalidToken, SessionsUnavailable
from shapegate_proxy.held import HeldRequests


async def wait_within(
    held: HeldRequests, session: str | None, *, live: bool, waiting: bool = True, seconds: float = 60.0
) -> None:
    async with held.hold(session=session, seconds=seconds) as hold:
        if live:
            held.mark_live(hold, while_=lambda: waiting)
        await asyncio.Event().wait()


async def started(*waiting: asyncio.Task[None]) -> None:
    """Let tasks run up to where they wait."""
    await asyncio.wait(waiting, timeout=0.01)


async def test_P_46_it_ends_when_its_time_is_up() -> None:
    held = HeldRequests()
    with pytest.raises(InvalidToken):
        await wait_within(held, "s", live=False, seconds=0.001)
    assert held.sessions == frozenset()


async def test_I_21_the_end_of_a_session_ends_its_requests_only() -> None:
    held = HeldRequests()
    ours, theirs = (asyncio.create_task(wait_within(held, name, live=True)) for name in ("ours", "theirs"))
    await started(ours, theirs)
    assert held.sessions == {"ours", "theirs"}
    held.end_sessions({"ours"}, SessionsUnavailable)
    with pytest.raises(SessionsUnavailable):
        await ours
    assert not theirs.done()
    theirs.cancel()
    await asyncio.wait([theirs])
    assert held.sessions == frozenset()


async def test_a_stop_gives_live_requests_back_and_lets_others_finish() -> None:
    held, done = HeldRequests(), asyncio.Event()

    async def other() -> None:
        async with held.hold(session="b", seconds=60):
            await done.wait()

    live = asyncio.create_task(wait_within(held, "a", live=True))
    finishing = asyncio.create_task(other())
    await started(live, finishing)
    assert (held.count, held.live_count) == (2, 1)
    stop = asyncio.create_task(held.drain(finish_seconds=60))
    with pytest.raises(GateStopping):
        await live
    with pytest.raises(GateStopping):
        await wait_within(held, "late", live=True)
    assert not stop.done()
    done.set()
    await finishing
    await asyncio.wait_for(stop, 5)
    assert (held.count, held.live_count) == (0, 0)


async def test_a_stop_lets_a_long_poll_finish_whose_answer_is_under_way() -> None:
    held = HeldRequests()
    answering = asyncio.create_task(wait_within(held, "a", live=True, waiting=False))
    await started(answering)
    stop = asyncio.create_task(held.drain(finish_seconds=60))
    await started(answering, stop)
    assert not answering.done()
    answering.cancel()
    await asyncio.wait_for(stop, 5)


async def test_a_stop_ends_whatever_is_left_when_its_time_is_up() -> None:
    held = HeldRequests()
    endless = asyncio.create_task(wait_within(held, "a", live=False))
    await started(endless)
    await held.drain(finish_seconds=0)
    with pytest.raises(GateStopping):
        await endless


async def test_a_gate_without_requests_stops_at_once() -> None:
    await asyncio.wait_for(HeldRequests().drain(finish_seconds=60), 5)


async def test_a_timeout_of_somebody_else_stays_one() -> None:
    held = HeldRequests()
    with pytest.raises(TimeoutError):
        async with held.hold(session=None, seconds=60):
            raise TimeoutError


async def test_a_client_that_goes_away_stays_a_cancellation() -> None:
    held = HeldRequests()
    waiting = asyncio.create_task(wait_within(held, "s", live=True))
    await started(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_I_21_a_request_without_a_task_is_cut_once_and_refused_in_its_task() -> None:
    held, cuts = HeldRequests(), list[str]()
    ours, theirs = held.hold(session="ours", seconds=60), held.hold(session="theirs", seconds=60)
    ours.begin(lambda: cuts.append("ours"))
    theirs.begin(lambda: cuts.append("theirs"))
    assert held.sessions == {"ours", "theirs"}
    for refusal in (SessionsUnavailable, GateStopping):
        held.end_sessions({"ours"}, refusal)
    assert cuts == ["ours"]
    with pytest.raises(SessionsUnavailable):
        async with ours:
            raise AssertionError
    assert held.count == 1
    assert held.sessions == {"theirs"}
    theirs.over()
    theirs.over()
    assert held.count == 0


async def test_P_46_a_request_without_a_task_ends_with_its_token() -> None:
    held, cut = HeldRequests(), asyncio.Event()
    hold = held.hold(session=None, seconds=0.01)
    hold.begin(cut.set)
    await asyncio.wait_for(cut.wait(), 5)
    with pytest.raises(InvalidToken):
        async with hold:
            raise AssertionError
    assert held.count == 0


async def test_a_request_that_is_over_is_ended_by_nothing() -> None:
    held, cuts = HeldRequests(), list[str]()
    hold = held.hold(session="s", seconds=0.01)
    hold.begin(lambda: cuts.append("cut"))
    hold.over()
    held.end_sessions({"s"}, SessionsUnavailable)
    await held.drain(finish_seconds=0)
    assert (cuts, hold._timer is not None and hold._timer.cancelled()) == ([], True)


async def test_I_21_a_request_that_goes_on_in_a_task_is_ended_there() -> None:
    held, cuts = HeldRequests(), list[str]()
    hold = held.hold(session="s", seconds=60)
    hold.begin(lambda: cuts.append("cut"))

    async def go_on() -> None:
        async with hold:
            await asyncio.Event().wait()

    waiting = asyncio.create_task(go_on())
    await started(waiting)
    assert held.count == 1
    held.end_sessions({"s"}, SessionsUnavailable)
    with pytest.raises(SessionsUnavailable):
        await waiting
    assert (cuts, held.count) == ([], 0)


async def test_a_stop_waits_for_requests_without_a_task_and_cuts_those_that_take_too_long() -> None:
    held, cuts = HeldRequests(), list[str]()
    quick, slow = held.hold(session=None, seconds=60), held.hold(session=None, seconds=60)
    quick.begin(lambda: cuts.append("quick"))
    slow.begin(lambda: cuts.append("slow"))
    stop = asyncio.create_task(held.drain(finish_seconds=0.05))
    await asyncio.wait([stop], timeout=0.01)
    assert (stop.done(), cuts) == (False, [])
    quick.over()
    await asyncio.wait_for(stop, 5)
    assert cuts == ["slow"]
    slow.over()
