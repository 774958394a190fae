"""What news of an open stream do to a client's place in the log of one shape (PROTOCOL 3.6; REPLAY.md).

Pure: no I/O, no clock, no randomness; instants, monotonic in seconds, and the draw of chance are arguments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client.breaker import guarded, paced, slow_reopening
from shapegate_client.event import Arrived, Ending, KeptAlive, Malformed, News, StreamEnded, Woken
from shapegate_client.recovery import on_malformed, refuse_messages, retry
from shapegate_client.state import CatchingUp, Live, Streaming
from shapegate_client.step import Deliver, Halt, HangUp, Listen, Step, Wait
from shapegate_wire.message import Change, UpToDate
from shapegate_wire.offset import Offset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_client.breaker import Draw
    from shapegate_wire.message import Message

SHORT_STREAM_SECONDS: Final = 1.0
_OP_MAX: Final = 10**18 - 1
"""As large an operation counter as an offset can print."""
_FAULTS: Final = {
    Ending.CUT: "it cut a stream off",
    Ending.SILENT: "a stream of it fell silent",
}


def on_news(state: Streaming, news: News, *, at: float, draw: Draw) -> Step:
    """Say what news of the open stream mean; `at` is when they came."""
    return paced(slow_reopening(state, _react(state, news, at, draw), at, draw), at)


def _react(state: Streaming, news: News, at: float, draw: Draw) -> Step:
    match news:
        case Arrived(messages=messages):
            return _on_arrived(state, messages, at, draw)
        case KeptAlive():
            # A server that is silent has sent all that there is (PROTOCOL 3.6).
            return (
                Listen(state=state) if state.partial else Deliver(state=state, messages=(), up_to_date=True)
            )
        case StreamEnded(ending=ending, half_received=half_received):
            if half_received:
                state = replace(state, delivered=True, partial=True)
            return _on_ended(state, ending, at, draw)
        case Malformed(reason=reason):
            return _hung_up(on_malformed(_behind(state), reason, draw))
        case Woken():
            return HangUp(state=_behind(state))
        case never:
            assert_never(never)


def _on_arrived(state: Streaming, messages: tuple[Message, ...], at: float, draw: Draw) -> Step:
    """Take messages in; only their up-to-date moves the position (REQUIREMENTS C-44, C-45)."""
    refused = refuse_messages(state, messages, at, draw)
    if refused is not None:
        return refused
    reached = max([state.reached, *_positions(messages)])
    guard = replace(state.guard, empty_streams=0)
    if not any(isinstance(message, UpToDate) for message in messages):
        heard = replace(state, reached=reached, delivered=True, partial=True, guard=guard)
        return Deliver(state=heard, messages=messages, up_to_date=False)
    guard = replace(guard, failures=0, malformed=0)
    if reached != state.position.offset:
        guard = replace(guard, asked=(), loops=0)
    position = replace(state.position, offset=reached)
    whole = replace(state, position=position, reached=reached, delivered=True, partial=False, guard=guard)
    return Deliver(state=whole, messages=messages, up_to_date=True)


def _positions(messages: Iterable[Message]) -> Iterable[Offset]:
    for message in messages:
        if isinstance(message, UpToDate) and message.global_last_seen_lsn is not None:
            yield Offset(message.global_last_seen_lsn, 0)
        if isinstance(message, Change) and message.lsn is not None and message.op_position is not None:
            yield Offset(message.lsn, min(message.op_position, _OP_MAX))


def _on_ended(state: Streaming, ending: Ending, at: float, draw: Draw) -> HangUp | Halt:
    """Open the next stream, or see first by a plain request how things are (REQUIREMENTS C-46)."""
    short, guard = at - state.opened_at < SHORT_STREAM_SECONDS, state.guard
    if not state.delivered and (short or ending is Ending.SILENT):
        guard = replace(guard, empty_streams=guard.empty_streams + 1)
    behind = _behind(guarded(state, guard))
    if ending is Ending.CLOSED:
        if not short:
            guard = replace(guard, empty_streams=0, failures=0)
        # Electric closes in the midst of a backlog that is longer than a chunk: plain requests bring it all.
        return HangUp(state=behind if state.partial else Live(position=state.position, guard=guard))
    if state.delivered and not state.partial:
        return HangUp(state=behind)
    return _hung_up(retry(behind, _FAULTS[ending], draw))


def _behind(state: Streaming) -> CatchingUp:
    """Return to what is committed; one request without `live` comes next (REQUIREMENTS C-24)."""
    return CatchingUp(position=state.position, guard=state.guard)


def _hung_up(step: Wait | Halt) -> HangUp | Halt:
    if isinstance(step, Halt):
        return step
    assert isinstance(step.state, CatchingUp)  # a stream is open only at a position
    return HangUp(state=step.state, reason=step.reason, pause_seconds=step.pause_seconds)
