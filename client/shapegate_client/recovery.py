"""What to do about an answer that cannot be used (PROTOCOL 4.3, 4.4): ask again, later, or start over.

Pure: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shapegate_client.backoff import retry_seconds
from shapegate_client.breaker import guarded, restart
from shapegate_client.errors import BadAnswers, StaleAnswers
from shapegate_client.state import Initial, wake
from shapegate_client.step import Again, Halt, Restart, Wait
from shapegate_wire.message import MustRefetch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_client.breaker import Draw
    from shapegate_client.decode import LogItem
    from shapegate_client.state import Asking, State
    from shapegate_wire.head import ResponseHead

STALE_ANSWERS_MAX: Final = 3
MALFORMED_ANSWERS_MAX: Final = 5


def refuse_head(state: Asking, head: ResponseHead, at: float, draw: Draw) -> Again | Restart | Halt | None:
    """Refuse an answer from another log than the one that was asked for, or from before it."""
    if head.handle == state.guard.expired_handle:
        return on_stale(state, at, draw)
    if isinstance(state, Initial):
        return None
    if head.handle != state.position.handle:
        return rotate(state, head.handle, at, draw)
    if head.offset < state.position.offset:
        return on_stale(state, at, draw)
    return None


def refuse_messages(state: State, messages: Iterable[LogItem], at: float, draw: Draw) -> Restart | None:
    """Refuse messages that end their log."""
    if any(isinstance(message, MustRefetch) for message in messages):
        return rotate(state, None, at, draw)
    return None


def on_stale(state: Asking, at: float, draw: Draw) -> Again | Restart | Halt:
    """Ask past the cache that must have given this answer; in the end blame it (REQUIREMENTS C-16)."""
    guard = replace(state.guard, cache_buster=draw.buster, stale_answers=state.guard.stale_answers + 1)
    if guard.stale_answers <= STALE_ANSWERS_MAX:
        return Again(state=guarded(state, guard))
    if guard.healed:
        return Halt(error=StaleAnswers())
    clean = guarded(state, replace(guard, healed=True))
    return restart(clean, None, guard.expired_handle, at, draw)


def on_malformed(state: Asking, reason: str, draw: Draw) -> Wait | Halt:
    """Ask again later, past caches; give up after several times in a row."""
    malformed = state.guard.malformed + 1
    if malformed >= MALFORMED_ANSWERS_MAX:
        return Halt(error=BadAnswers(malformed, reason))
    guard = replace(state.guard, malformed=malformed, cache_buster=draw.buster)
    return retry(guarded(state, guard), reason, draw)


def retry(state: Asking, reason: str, draw: Draw, *, retry_after: float | None = None) -> Wait:
    """Ask again later, without `live` (REQUIREMENTS C-10)."""
    failures = state.guard.failures + 1
    seconds = retry_seconds(failures, jitter=draw.jitter, retry_after=retry_after)
    again = wake(guarded(state, replace(state.guard, failures=failures)))
    return Wait(state=again, reason=reason, pause_seconds=seconds)


def rotate(state: State, handle: str | None, at: float, draw: Draw) -> Restart:
    """Start over: the handle asked with is dead from now on (PROTOCOL 4.4; REQUIREMENTS C-13 to C-15)."""
    dead = state.guard.expired_handle if isinstance(state, Initial) else state.position.handle
    return restart(state, handle, dead, at, draw)
