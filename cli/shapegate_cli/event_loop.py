"""The event loop that a server runs on: uvloop where it is wanted and installed, else asyncio's own."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")

COLLECT_AFTER: Final = (5_000, 10, 10)
"""Python's own are 700, 10 and 10 (gc.set_threshold). Much more lets pile up what callers left behind."""


def run(main: Coroutine[object, object, _T], *, uvloop: bool) -> _T:
    """Run to the end on a loop of its own, as `asyncio.run` does, for a server that is all of its process."""
    _let_be()
    with asyncio.Runner(loop_factory=_factory() if uvloop else None) as runner:
        return runner.run(main)


def _let_be() -> None:
    """Let the collector leave alone what was loaded, and look for cycles less often.

    It looks at all that lives, and thousands of requests may be held. A server makes few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:  # It is no dependency on every system.
        return None
    return new_event_loop
