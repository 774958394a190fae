"""The event loop that a server runs on: uvloop where it is wanted and installed, else asyncio's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")


def run(main: Coroutine[object, object, _T], *, uvloop: bool) -> _T:
    """Run to the end on a loop of its own, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=_factory() if uvloop else None) as runner:
        return runner.run(main)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:  # It is no dependency on every system.
        return None
    return new_event_loop
