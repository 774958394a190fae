"""The replay machine under test: examples of every state and event, and a peer that answers at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args

from shapegate_client.breaker import Draw
from shapegate_client.event import (
    Answer,
    Arrived,
    Conflict,
    Ending,
    Event,
    Failed,
    HeadersLost,
    KeptAlive,
    Malformed,
    News,
    NoContent,
    OutOfBounds,
    Rejected,
    StreamEnded,
    StreamOpened,
    Unauthorized,
    Woken,
)
from shapegate_client.listening import on_news
from shapegate_client.recovery import MALFORMED_ANSWERS_MAX, STALE_ANSWERS_MAX
from shapegate_client.state import Asking, CatchingUp, Guard, Initial, Live, State, Streaming, next_request
from shapegate_client.step import Halt, Step
from shapegate_client.transition import on_answer
from shapegate_wire.head import ResponseHead
from shapegate_wire.message import Change, MustRefetch, Operation, UpToDate
from tests.client.builders import DEFINITION, DRAW, NO_KEY, answered, insert, offset, position

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_wire.message import Message
    from shapegate_wire.request import ShapeRequest

INITIAL = Initial()
CATCHING_UP = CatchingUp(position=position("10_0"))
LIVE = Live(position=position("10_0", cursor="7"))
STREAMING = Streaming(position=position("10_0", cursor="7"), reached=offset("10_0"), opened_at=0.0)
STATES: tuple[State, ...] = (INITIAL, CATCHING_UP, LIVE, STREAMING)
REJECTED = Rejected(status=403, code="forbidden", message="no")


def change(row: int, at: str | None = None, operation: Operation = Operation.INSERT) -> Change:
    """A change as a log has it after the snapshot, at a position."""
    made = insert(row) if operation is Operation.INSERT else replace(insert(row), operation=operation)
    return made if at is None else replace(made, lsn=offset(at).lsn, op_position=offset(at).op)


def arrived(*messages: Message, up_to: int | None = None) -> Arrived:
    """News of a stream, up to date at a log sequence number, or a part."""
    return Arrived(messages if up_to is None else (*messages, UpToDate(up_to)))


def opened(at: str = "10_0", *, handle: str = "h1", cursor: str = "8") -> StreamOpened:
    return StreamOpened(ResponseHead(handle=handle, offset=offset(at), cursor=cursor, up_to_date=True))


ANSWERS: tuple[Answer, ...] = (
    answered("10_0", insert(1)),
    answered("20_0", insert(1), up_to_date=True),
    answered("5_0"),
    answered("20_0", handle="h2"),
    answered("20_0", handle="h0"),
    answered("20_0", schema=NO_KEY),
    answered("20_0", MustRefetch()),
    answered("20_0", schema=None, up_to_date=True),
    opened("10_0"),
    opened("5_0"),
    opened("10_0", handle="h2"),
    NoContent(),
    Conflict("h2"),
    Conflict(None),
    OutOfBounds(),
    Unauthorized(),
    REJECTED,
    Failed(reason="cut"),
    Failed(reason="503", retry_after=100.0),
    Malformed("html"),
    HeadersLost(("electric-offset",)),
    Woken(),
)
NEWS: tuple[News, ...] = (
    arrived(change(1, "20_0")),
    arrived(change(1, "20_0"), up_to=20),
    arrived(up_to=10),
    Arrived((insert(1), MustRefetch())),
    KeptAlive(),
    *(StreamEnded(ending) for ending in Ending),
    *(StreamEnded(ending, half_received=True) for ending in Ending),
    Malformed("html"),
    Woken(),
)
EVENTS: dict[type[State], tuple[Event, ...]] = {
    **dict.fromkeys(get_args(Asking), ANSWERS),
    Streaming: NEWS,
}
KINDS: dict[type[State], tuple[type[Event], ...]] = {
    **dict.fromkeys(get_args(Asking), get_args(Answer)),
    Streaming: get_args(News),
}
GUARDS = (
    Guard(),
    Guard(expired_handle="h0"),
    Guard(expired_handle="h0", stale_answers=STALE_ANSWERS_MAX),
    Guard(expired_handle="h0", stale_answers=STALE_ANSWERS_MAX, healed=True),
    Guard(malformed=MALFORMED_ANSWERS_MAX - 1),
    Guard(token_renewed=True),
    Guard(failures=9, restarts=9, empty_streams=3),
)
"""Calm ones: loops are broken on top of what each event does (`breaker`)."""


def take(state: State, event: Event, *, at: float = 0.0, draw: Draw = DRAW) -> Step:
    """Let an event happen, an answer as soon as it was asked for."""
    if isinstance(state, Streaming):
        assert isinstance(event, get_args(News))
        return on_news(state, event, at=at, draw=draw)
    assert isinstance(event, get_args(Answer))
    return on_answer(state, event, asked_at=at, at=at, draw=draw)


def observed() -> dict[type[Event], dict[type[State], set[str]]]:
    """What the code does: the steps that each event leads to in each state, over all examples."""
    table: dict[type[Event], dict[type[State], set[str]]] = {}
    for kind in get_args(Event):
        for state in (*STATES, replace(STREAMING, delivered=True, partial=True)):
            for event in EVENTS[type(state)]:
                if type(event) is kind:
                    cell = table.setdefault(kind, {}).setdefault(type(state), set())
                    for guard in GUARDS:
                        cell.add(type(take(replace(state, guard=guard), event, at=100.0)).__name__)
    return table


@dataclass
class Peer:
    """Something that answers without end; time moves by the client's own pauses and by `latency`."""

    state: State = INITIAL
    at: float = 1_000.0
    latency: float = 0.0
    jitter: float = 0.5
    streams: bool = True
    requests: list[tuple[float, ShapeRequest]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def play(self, events: Iterable[Event]) -> None:
        """Let each event happen that can happen in the state at hand; ends with a Halt."""
        for event in events:
            if not isinstance(event, KINDS[type(self.state)]):
                continue
            if not isinstance(self.state, Streaming):
                self.requests.append((self.at, next_request(self.state, DEFINITION, streams=self.streams)))
            asked_at = self.at
            self.at += self.latency
            draw = Draw(jitter=self.jitter, buster=f"buster-{len(self.steps)}")
            if isinstance(self.state, Streaming):
                assert isinstance(event, get_args(News))
                step = on_news(self.state, event, at=self.at, draw=draw)
            else:
                assert isinstance(event, get_args(Answer))
                step = on_answer(self.state, event, asked_at=asked_at, at=self.at, draw=draw)
            self.steps.append(step)
            if isinstance(step, Halt):
                return
            self.state = step.state
            self.at += getattr(step, "pause_seconds", 0.0)
