"""Where a client stands in the log of one shape, and what it asks there (PROTOCOL 4.1).

Pure: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_wire.offset import BEFORE_ALL, Offset
from shapegate_wire.request import ShapeRequest

if TYPE_CHECKING:
    from shapegate_wire.columns import ShapeSchema
    from shapegate_wire.shape import ShapeDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in one incarnation of a log."""

    handle: str
    offset: Offset
    schema: ShapeSchema
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What was seen since the last up-to-date that caches, loops and failing peers could cause."""

    expired_handle: str | None = None
    cache_buster: str | None = None
    stale_answers: int = 0
    healed: bool = False
    """Whether the dead handle was kept out of one clean retry (REQUIREMENTS C-16)."""
    failures: int = 0
    malformed: int = 0
    restarts: int = 0
    token_renewed: bool = False
    asked: tuple[float, ...] = ()
    """Instants of the latest requests at this offset."""
    loops: int = 0


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
    """At the end of the log: the next request waits for more."""

    position: Position
    guard: Guard = Guard()


State = Initial | CatchingUp | Live


def resume(position: Position | None) -> State:
    """Begin at a stored position, with a non-live request first, or at the start of the log."""
    return Initial() if position is None else CatchingUp(position=position)


def wake(state: State) -> State:
    """Continue after a pause: one non-live request comes before going live (REQUIREMENTS C-24)."""
    return CatchingUp(position=state.position, guard=state.guard) if isinstance(state, Live) else state


def next_request(state: State, definition: ShapeDefinition) -> ShapeRequest:
    """Say what to ask in this state."""
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
        cursor=state.position.cursor if live else None,
        expired_handle=expired,
        cache_buster=guard.cache_buster,
    )
