"""What keeps requests from running wild: loops are broken, every step keeps a rate (C-17; L-05).

Pure: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar, assert_never

from shapegate_client.backoff import book, pace_seconds, retry_seconds
from shapegate_client.errors import RequestLoop
from shapegate_client.state import Asking, Guard, Initial, State, Streaming
from shapegate_client.step import Again, Deliver, Halt, HangUp, Listen, RenewToken, Restart, Step, Wait

RESTARTS_AT_ONCE_MAX: Final = 2
"""Restarts that follow each other soon; each one after that waits first (SECURITY L-05)."""
CALM_SECONDS: Final = 60.0
"""A restart that long after the one before is the first of its row."""
LOOP_REQUESTS: Final = 5
LOOP_SECONDS: Final = 0.5
LOOPS_MAX: Final = 5
LOOP_PAUSE_SECONDS_MAX: Final = 5.0
LIVE_PAUSE_SECONDS_MAX: Final = 1.0
"""Kept short: a live loop may be a server with a very short long poll, whose rows still matter."""

S = TypeVar("S", bound=State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The chance that one event may use."""

    jitter: float
    """Uniform in [0, 1)."""
    buster: str
    """Text that was never used before."""


def guarded(state: S, guard: Guard) -> S:
    """Return the same place with another guard."""
    return replace(state, guard=guard)


def counted(state: Asking, asked_at: float) -> Asking:
    """Note a request."""
    recent = (*_recent(state, asked_at), asked_at)[-LOOP_REQUESTS:]
    booked = book(state.guard.booked_until, asked_at)
    return guarded(state, replace(state.guard, asked=recent, booked_until=booked))


def restart(state: State, handle: str | None, dead: str | None, at: float, draw: Draw) -> Restart:
    """Start over, after a pause if that was done often of late; `dead` is never to be applied again."""
    before = state.guard
    restarts = before.restarts + 1 if at - before.restarted_at <= CALM_SECONDS else 1
    over = restarts - RESTARTS_AT_ONCE_MAX
    guard = replace(before, cache_buster=draw.buster, restarts=restarts, restarted_at=at)
    if dead != before.expired_handle:
        guard = replace(guard, expired_handle=dead, healed=False, stale_answers=0)
    if not isinstance(state, Initial):
        guard = replace(guard, asked=())
    return Restart(
        state=Initial(handle=handle, guard=guard),
        pause_seconds=retry_seconds(over, jitter=draw.jitter) if over > 0 else 0.0,
    )


def break_loop(state: Asking, step: Step, at: float, draw: Draw) -> Step:
    """Turn a step that would ask the same at once, once too often, into a reset, a pause or an end."""
    if len(state.guard.asked) < LOOP_REQUESTS or not _repeats(step):
        return step
    if isinstance(step, Deliver) and step.up_to_date:
        return _slower(step, draw)
    loops = state.guard.loops + 1
    if loops >= LOOPS_MAX:
        return Halt(error=RequestLoop())
    later = replace(state.guard, loops=loops, asked=(), cache_buster=draw.buster)
    if loops == 1:
        # The dead handle is kept from the caches, not forgotten: it is still never applied.
        return restart(
            guarded(state, replace(later, healed=True)), None, state.guard.expired_handle, at, draw
        )
    pause = _pause_seconds(loops, draw, LOOP_PAUSE_SECONDS_MAX)
    return Wait(
        state=guarded(state, later), reason="it answers at once without progress", pause_seconds=pause
    )


def slow_reopening(state: Streaming, step: Step, at: float, draw: Draw) -> Step:
    """Let a step that would open one stream after another at the same place wait a little."""
    if isinstance(step, HangUp) and len(_recent(state, at)) >= LOOP_REQUESTS and _repeats(step):
        return _slower(step, draw)
    return step


def paced(step: Step, at: float) -> Step:
    """Hold the next request back until the rate allows it; `at` is the present instant."""
    if isinstance(step, Listen | Halt) or isinstance(step.state, Streaming):
        return step
    seconds = pace_seconds(step.state.guard.booked_until, at)
    return replace(step, pause_seconds=max(step.pause_seconds, seconds)) if seconds else step


def _recent(state: State, at: float) -> tuple[float, ...]:
    return tuple(asked_at for asked_at in state.guard.asked if at - asked_at <= LOOP_SECONDS)


def _slower(step: Deliver | HangUp, draw: Draw) -> Deliver | HangUp:
    guard = replace(step.state.guard, loops=step.state.guard.loops + 1)
    seconds = _pause_seconds(guard.loops, draw, LIVE_PAUSE_SECONDS_MAX)
    if isinstance(step, Deliver):
        return replace(step, state=guarded(step.state, guard), pause_seconds=seconds)
    return replace(step, state=guarded(step.state, guard), pause_seconds=seconds)


def _pause_seconds(loops: int, draw: Draw, most: float) -> float:
    return min(most, (0.5 + draw.jitter / 2) * min(LOOP_PAUSE_SECONDS_MAX, 0.1 * 2.0 ** min(loops, 16)))


def _repeats(step: Step) -> bool:
    match step:
        case Deliver():
            return bool(step.state.guard.asked)
        case Restart() | HangUp():
            return step.pause_seconds == 0.0
        case Again() | RenewToken():
            return True
        case Listen() | Wait() | Halt():
            return False
        case never:
            assert_never(never)
