"""What each answer does to a client's place in the log of one shape (PROTOCOL 4.3, 4.4; REPLAY.md).

Pure: no I/O, no clock, no randomness; instants, monotonic in seconds, and the draw of chance are arguments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from shapegate_client.breaker import break_loop, counted, guarded, paced, restart
from shapegate_client.errors import HeadersMissing, ShapeRefused, TokenRejected
from shapegate_client.event import (
    Answer,
    Answered,
    Conflict,
    Failed,
    HeadersLost,
    Malformed,
    NoContent,
    OutOfBounds,
    Rejected,
    StreamOpened,
    Unauthorized,
    Woken,
)
from shapegate_client.recovery import on_malformed, refuse_head, refuse_messages, retry, rotate
from shapegate_client.state import Asking, CatchingUp, Initial, Live, Position, Streaming, wake
from shapegate_client.step import Again, Deliver, Halt, Listen, RenewToken, Step
from shapegate_wire import names
from shapegate_wire.message import UpToDate

if TYPE_CHECKING:
    from shapegate_client.breaker import Draw
    from shapegate_client.decode import LogItem
    from shapegate_client.state import Guard
    from shapegate_wire.columns import ShapeSchema
    from shapegate_wire.head import ResponseHead


def on_answer(state: Asking, answer: Answer, *, asked_at: float, at: float, draw: Draw) -> Step:
    """Say what the answer to `next_request(state)` means; it was asked at one instant and came at another."""
    asking = counted(state, asked_at)
    step = _react(asking, answer, at, draw)
    if not isinstance(answer, Woken):
        step = break_loop(asking, step, at, draw)
    return paced(step, at)


def _react(state: Asking, answer: Answer, at: float, draw: Draw) -> Step:
    match answer:
        case Answered():
            return _on_answered(state, answer, at, draw)
        case StreamOpened(head=head):
            return _on_opened(state, head, at, draw)
        case NoContent():
            return _on_no_content(state, draw)
        case Conflict(handle=handle):
            return rotate(state, handle, at, draw)
        case OutOfBounds():
            return restart(state, None, state.guard.expired_handle, at, draw)
        case Unauthorized():
            if state.guard.token_renewed:
                return Halt(error=TokenRejected())
            return RenewToken(state=guarded(state, replace(state.guard, token_renewed=True)))
        case Rejected(status=status, code=code, message=message):
            return Halt(error=ShapeRefused(status=status, code=code, message=message))
        case Failed(reason=reason, retry_after=retry_after):
            return retry(state, reason, draw, retry_after=retry_after)
        case Malformed(reason=reason):
            return on_malformed(state, reason, draw)
        case HeadersLost(names=names):
            return Halt(error=HeadersMissing(names))
        case Woken():
            return Again(state=wake(state))
        case never:
            assert_never(never)


def _on_answered(state: Asking, answer: Answered, at: float, draw: Draw) -> Step:
    head = answer.head
    refused = refuse_head(state, head, at, draw)
    if refused is not None:
        return refused
    known = None if isinstance(state, Initial) else state.position
    if known and head.schema is not None and _types(head.schema) != _types(known.schema):
        return restart(state, None, state.guard.expired_handle, at, draw)
    refused = refuse_messages(state, answer.messages, at, draw)
    if refused is not None:
        return refused
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


def _advance(state: Asking, position: Position, messages: tuple[LogItem, ...], *, at_end: bool) -> Deliver:
    moved = isinstance(state, Initial) or position.offset != state.position.offset
    guard = _trusting(state.guard, at_end=at_end)
    if moved:
        guard = replace(guard, asked=(), loops=0 if at_end else guard.loops)
    if moved or isinstance(state, Live):
        guard = replace(guard, failures=0, malformed=0)
    after = Live(position=position, guard=guard) if at_end else CatchingUp(position=position, guard=guard)
    return Deliver(state=after, messages=messages, up_to_date=at_end)


def _trusting(guard: Guard, *, at_end: bool) -> Guard:
    """Forget the suspicions that an answer which fits has dispelled."""
    return replace(
        guard, cache_buster=None, stale_answers=0, token_renewed=False, healed=guard.healed and not at_end
    )


def _on_opened(state: Asking, head: ResponseHead, at: float, draw: Draw) -> Step:
    if not isinstance(state, Live):
        return on_malformed(state, "an event stream came that was not asked for", draw)
    refused = refuse_head(state, head, at, draw)
    if refused is not None:
        return refused
    return Listen(
        state=Streaming(
            position=replace(state.position, cursor=head.cursor),
            reached=head.offset,
            opened_at=at,
            guard=_trusting(state.guard, at_end=True),
        )
    )


def _on_no_content(state: Asking, draw: Draw) -> Step:
    """Accept a 204 as up-to-date where the end of the log was seen before (REQUIREMENTS C-22).

    Anywhere else messages may wait for theirs, and half of a state would be shown (SECURITY L-02).
    """
    if not isinstance(state, Live):
        return on_malformed(state, "a 204 came before the end of the log", draw)
    return _advance(state, state.position, (), at_end=True)


def _types(schema: ShapeSchema) -> frozenset[tuple[str, str, int, int | None]]:
    """What of a schema decides the local table; nullability may change inside of a log (PROTOCOL 3.9)."""
    return frozenset((column.name, column.type, column.dims, column.pk_index) for column in schema)
