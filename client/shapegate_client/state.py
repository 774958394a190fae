"""Where a client stands in the log of one shape, and what it asks there (PROTOCOL 4.1).

Pure: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_wire.offset import BEFORE_ALL, Offset
from shapegate_wire.request import ShapeRequest

if TYPE_CHECKING:
    from shapegate_wire.columns import ShapeSchema
    from shapegate_wire.shape import ShapeDefinition

EMPTY_STREAMS_MAX: Final = 3
"""Event streams in a row that brought nothing, before long polls take their place (REQUIREMENTS C-46)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in one incarnation of a log."""

    handle: str
    offset: Offset
    schema: ShapeSchema
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What is remembered of caches, loops and failing peers."""

    expired_handle: str | None = None
    cache_buster: str | None = None
    stale_answers: int = 0
    healed: bool = False
    """Whether the dead handle was kept out of one clean retry (REQUIREMENTS C-16)."""
    failures: int = 0
    """In a row; what a request without `live` answers at the same offset does not end the row."""
    malformed: int = 0
    """Like `failures`."""
    restarts: int = 0
    """Each one soon after the one before."""
    restarted_at: float = 0.0
    token_renewed: bool = False
    asked: tuple[float, ...] = ()
    """Instants of the latest requests at this offset."""
    loops: int = 0
    empty_streams: int = 0
    booked_until: float = 0.0
    """The instant up to which the requests so far fill the rate that `backoff` allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Initial:
    """Nothing is known of the log: ask for its start."""

    handle: str | None = None
    """Named by a 409; varies the URL only."""
    guard: Guard = Guard()


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchingUp:
    """Somewhere in the log, its end not yet seen."""

    position: Position
    guard: Guard = Guard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """At the end of the log: the next request waits for more, or opens a stream of it."""

    position: Position
    guard: Guard = Guard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """An event stream is open; nothing is asked until it ends."""

    position: Position
    """What is committed: where the log continues if the stream ends now."""
    reached: Offset
    """The greatest position that the next up-to-date vouches for (REQUIREMENTS C-45)."""
    opened_at: float
    delivered: bool = False
    """Whether messages came."""
    partial: bool = False
    """Whether some of them wait for their up-to-date."""
    guard: Guard = Guard()


Asking = Initial | CatchingUp | Live
"""A state whose next event is the answer to a request."""
State = Asking | Streaming


def resume(position: Position | None) -> Asking:
    """Begin at a stored position, with a non-live request first, or at the start of the log."""
    return Initial() if position is None else CatchingUp(position=position)


def wake(state: State) -> Initial | CatchingUp:
    """Continue after a pause: one non-live request comes before going live (REQUIREMENTS C-24)."""
    if isinstance(state, Initial):
        return state
    return CatchingUp(position=state.position, guard=state.guard)


def next_request(state: Asking, definition: ShapeDefinition, *, streams: bool) -> ShapeRequest:
    """Say what to ask in this state; `streams` prefers an event stream to a long poll."""
    guard = state.guard
    expired = None if guard.healed else guard.expired_handle
    if isinstance(state, Initial):
        return ShapeRequest(
            definition=definition,
            offset=BEFORE_ALL,
            handle=state.handle,
            expired_handle=expired,
            cache_buster=guard.cache_buster,
        )
    live = isinstance(state, Live)
    return ShapeRequest(
        definition=definition,
        offset=state.position.offset,
        handle=state.position.handle,
        live=live,
        live_sse=live and streams and guard.empty_streams < EMPTY_STREAMS_MAX,
        cursor=state.position.cursor if live else None,
        expired_handle=expired,
        cache_buster=guard.cache_buster,
    )
