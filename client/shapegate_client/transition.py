"""What each answer does to a client's place in the log of one shape (PROTOCOL 4.3, 4.4).

Pure: no I/O, no clock, no randomness; the instant of a request and the draw of chance are arguments. A step
says all that is to be done; whoever carries it out decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client.backoff import retry_seconds
from shapegate_client.errors import (
    BadAnswers,
    ClientError,
    HeadersMissing,
    RequestLoop,
    ShapeRefused,
    StaleAnswers,
    TokenRejected,
    UnsupportedShape,
)
from shapegate_client.event import (
    Answered,
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
from shapegate_client.state import CatchingUp, Guard, Initial, Live, Position, State, wake
from shapegate_wire import names
from shapegate_wire.message import Change, MoveOut, MustRefetch, UpToDate

if TYPE_CHECKING:
    from shapegate_wire.columns import ShapeSchema
    from shapegate_wire.message import Message

STALE_ANSWERS_MAX: Final = 3
MALFORMED_ANSWERS_MAX: Final = 5
RESTARTS_AT_ONCE_MAX: Final = 2
"""Restarts without an up-to-date between them; each one after that waits first (SECURITY L-05)."""
LOOP_REQUESTS: Final = 5
LOOP_SECONDS: Final = 0.5
LOOPS_MAX: Final = 5
LOOP_PAUSE_SECONDS_MAX: Final = 5.0
LIVE_PAUSE_SECONDS_MAX: Final = 1.0
"""Kept short: a live loop may be a server with a very short long poll, whose rows still matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The chance that one event may use."""

    jitter: float
    """Uniform in [0, 1)."""
    buster: str
    """Text that was never used before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Take the messages in; at up-to-date, commit all that is pending together with the position."""

    state: CatchingUp | Live
    messages: tuple[Message, ...]
    up_to_date: bool
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Drop what is pending and read the log anew; committed rows stay readable until it is complete."""

    state: Initial
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Ask again at once."""

    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Ask again after a pause; `reason` says what the peer did."""

    state: State
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewToken:
    """Get another token, then ask the same."""

    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop for good."""

    error: ClientError


Step = Deliver | Restart | Again | Wait | RenewToken | Halt


def on_event(state: State, event: Event, *, asked_at: float, draw: Draw) -> Step:
    """Say what the answer to `next_request(state)` means; `asked_at` is monotonic, in seconds."""
    recent = tuple(at for at in state.guard.asked if asked_at - at <= LOOP_SECONDS)
    counted = _guarded(state, replace(state.guard, asked=(*recent, asked_at)[-LOOP_REQUESTS:]))
    return _break_loop(counted, _react(counted, event, draw), draw)


def _react(state: State, event: Event, draw: Draw) -> Step:
    match event:
        case Answered():
            return _on_answer(state, event, draw)
        case NoContent():
            return _on_no_content(state, draw)
        case Conflict(handle=handle):
            return _rotate(state, handle, draw)
        case OutOfBounds():
            return _restart(state, None, state.guard.expired_handle, draw)
        case Unauthorized():
            if state.guard.token_renewed:
                return Halt(error=TokenRejected())
            return RenewToken(state=_guarded(state, replace(state.guard, token_renewed=True)))
        case Rejected(status=status, code=code, message=message):
            return Halt(error=ShapeRefused(status=status, code=code, message=message))
        case Failed(reason=reason, retry_after=retry_after):
            return _retry(state, reason, draw, retry_after=retry_after)
        case Malformed(reason=reason):
            return _on_malformed(state, reason, draw)
        case HeadersLost(names=names):
            return Halt(error=HeadersMissing(names))
        case never:
            assert_never(never)


def _on_answer(state: State, answer: Answered, draw: Draw) -> Step:
    head, guard = answer.head, state.guard
    if head.handle == guard.expired_handle:
        return _on_stale(state, draw)
    if not isinstance(state, Initial):
        if head.handle != state.position.handle:
            return _rotate(state, head.handle, draw)
        if head.offset < state.position.offset:
            return _on_stale(state, draw)
        if head.schema is not None and _types(head.schema) != _types(state.position.schema):
            return _restart(state, None, guard.expired_handle, draw)
    if any(isinstance(message, MustRefetch) for message in answer.messages):
        return _rotate(state, None, draw)
    if any(_needs_tags(message) for message in answer.messages):
        return Halt(error=UnsupportedShape())
    known = None if isinstance(state, Initial) else state.position
    schema = known.schema if known else head.schema
    if schema is None:
        return Halt(error=HeadersMissing((names.ELECTRIC_SCHEMA,)))
    position = Position(
        handle=head.handle,
        offset=head.offset,
        schema=schema,
        cursor=head.cursor or (known.cursor if known else None),
    )
    at_end = head.up_to_date or any(isinstance(message, UpToDate) for message in answer.messages)
    return _advance(state, position, answer.messages, at_end=at_end)


def _advance(state: State, position: Position, messages: tuple[Message, ...], *, at_end: bool) -> Deliver:
    moved = isinstance(state, Initial) or position.offset != state.position.offset
    progress = moved or (at_end and not isinstance(state, Live))
    guard = Guard(
        expired_handle=state.guard.expired_handle,
        asked=() if progress else state.guard.asked,
        loops=0 if progress and at_end else state.guard.loops,
        restarts=0 if at_end else state.guard.restarts,
        healed=state.guard.healed and not at_end,
    )
    after = Live(position=position, guard=guard) if at_end else CatchingUp(position=position, guard=guard)
    return Deliver(state=after, messages=messages, up_to_date=at_end)


def _on_no_content(state: State, draw: Draw) -> Step:
    """Accept a 204 as up-to-date (REQUIREMENTS C-22); at the start of a log it says nothing at all."""
    if isinstance(state, Initial):
        return _on_malformed(state, "a 204 came for the start of the log", draw)
    return _advance(state, state.position, (), at_end=True)


def _on_stale(state: State, draw: Draw) -> Step:
    guard = replace(
        state.guard, cache_buster=draw.buster, stale_answers=state.guard.stale_answers + 1, failures=0
    )
    if guard.stale_answers <= STALE_ANSWERS_MAX:
        return Again(state=_guarded(state, guard))
    if guard.healed:
        return Halt(error=StaleAnswers())
    return Restart(state=Initial(guard=replace(guard, healed=True)))


def _on_malformed(state: State, reason: str, draw: Draw) -> Step:
    malformed = state.guard.malformed + 1
    if malformed >= MALFORMED_ANSWERS_MAX:
        return Halt(error=BadAnswers(malformed, reason))
    guard = replace(state.guard, malformed=malformed, cache_buster=draw.buster)
    return _retry(_guarded(state, guard), reason, draw)


def _retry(state: State, reason: str, draw: Draw, *, retry_after: float | None = None) -> Wait:
    failures = state.guard.failures + 1
    seconds = retry_seconds(failures, jitter=draw.jitter, retry_after=retry_after)
    return Wait(
        state=wake(_guarded(state, replace(state.guard, failures=failures))), seconds=seconds, reason=reason
    )


def _rotate(state: State, handle: str | None, draw: Draw) -> Restart:
    """Start over: the handle asked with is dead from now on (PROTOCOL 4.4; REQUIREMENTS C-13 to C-15)."""
    dead = state.guard.expired_handle if isinstance(state, Initial) else state.position.handle
    return _restart(state, handle, dead, draw)


def _restart(state: State, handle: str | None, dead: str | None, draw: Draw) -> Restart:
    restarts = state.guard.restarts + 1
    over = restarts - RESTARTS_AT_ONCE_MAX
    guard = replace(state.guard, expired_handle=dead, cache_buster=draw.buster, restarts=restarts)
    if not isinstance(state, Initial):
        guard = replace(guard, asked=())
    return Restart(
        state=Initial(handle=handle, guard=guard),
        pause_seconds=retry_seconds(over, jitter=draw.jitter) if over > 0 else 0.0,
    )


def _break_loop(state: State, step: Step, draw: Draw) -> Step:
    """Turn a step that would ask the same at once, once too often, into a reset, a pause or an end (C-17)."""
    if len(state.guard.asked) < LOOP_REQUESTS or not _repeats(step):
        return step
    loops = state.guard.loops + 1
    pause = (0.5 + draw.jitter / 2) * min(LOOP_PAUSE_SECONDS_MAX, 0.1 * 2.0 ** min(loops, 16))
    if isinstance(step, Deliver) and isinstance(state, Live):
        slower = replace(step.state.guard, loops=loops)
        return replace(
            step, state=_delivered(step.state, slower), pause_seconds=min(pause, LIVE_PAUSE_SECONDS_MAX)
        )
    if loops >= LOOPS_MAX:
        return Halt(error=RequestLoop())
    if loops == 1:
        return Restart(state=Initial(guard=Guard(cache_buster=draw.buster, loops=loops)))
    later = replace(state.guard, loops=loops, asked=(), cache_buster=draw.buster)
    return Wait(state=_guarded(state, later), seconds=pause, reason="it answers at once without progress")


def _repeats(step: Step) -> bool:
    match step:
        case Deliver():
            return bool(step.state.guard.asked)
        case Restart():
            return step.pause_seconds == 0.0
        case Again() | RenewToken():
            return True
        case Wait() | Halt():
            return False
        case never:
            assert_never(never)


def _guarded(state: State, guard: Guard) -> State:
    return replace(state, guard=guard)


def _delivered(state: CatchingUp | Live, guard: Guard) -> CatchingUp | Live:
    return replace(state, guard=guard)


def _types(schema: ShapeSchema) -> frozenset[tuple[str, str, int, int | None]]:
    """What of a schema decides the local table; nullability may change inside of a log (PROTOCOL 3.9)."""
    return frozenset((column.name, column.type, column.dims, column.pk_index) for column in schema)


def _needs_tags(message: Message) -> bool:
    return isinstance(message, MoveOut) or (isinstance(message, Change) and bool(message.tags))
