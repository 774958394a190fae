"""Requests under way: what ends them, and whom it does not end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.errors import GateStopping, InvalidToken, SessionsUnavailable
from shapegate_proxy.held import HeldRequests

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapegate_proxy.errors import Refused


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


@dataclass(eq=False)
class Quick:
    """A request without a task."""

    session: str | None = None
    ended: list[Callable[[], Refused]] = field(default_factory=list)
    tasked: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, refusal: Callable[[], Refused]) -> None:
        self.ended.append(refusal)

    def take_task(self) -> None:
        self.tasked.set()


async def test_I_21_the_end_of_a_session_ends_its_requests_without_a_task() -> None:
    held, ours, theirs, nobodys = HeldRequests(), Quick("ours"), Quick("theirs"), Quick()
    for quick in (ours, theirs, nobodys):
        held.add_brief(quick)
    assert (set(held.sessions), held.count, held.live_count) == ({"ours", "theirs"}, 3, 0)
    held.end_sessions({"ours"}, SessionsUnavailable)
    assert [quick.ended for quick in (ours, theirs, nobodys)] == [[SessionsUnavailable], [], []]
    held.discard_brief(ours)
    held.discard_brief(ours)
    assert (set(held.sessions), held.count) == ({"theirs"}, 2)


async def test_P_46_a_request_without_a_task_has_one_before_its_token_may_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shapegate_proxy.held.LOOK_SECONDS", 0.01)
    held, over, slow = HeldRequests(), Quick(), Quick()
    held.add_brief(over)
    held.add_brief(slow)
    held.discard_brief(over)
    await asyncio.wait_for(slow.tasked.wait(), 5)
    assert not over.tasked.is_set()
    held.discard_brief(slow)
    later = Quick()
    held.add_brief(later)  # Whether or not anybody looks just now.
    await asyncio.wait_for(later.tasked.wait(), 5)


async def test_a_stop_waits_for_requests_without_a_task_and_ends_those_that_take_too_long() -> None:
    held, quick, slow = HeldRequests(), Quick(), Quick()
    held.add_brief(quick)
    stop = asyncio.create_task(held.drain(finish_seconds=60))
    await asyncio.wait([stop], timeout=0.01)
    assert not stop.done()
    held.discard_brief(quick)
    await asyncio.wait_for(stop, 5)
    held.add_brief(slow)
    await held.drain(finish_seconds=0)
    assert (quick.ended, slow.ended) == ([], [GateStopping])
