"""Turns for costly filters: one of each org between two looks at everybody else.

Nothing else happens while a filter is read, and the longest takes as long as many plain requests. Who sends
many at once waits behind the own org, not in front of the others (SECURITY I-08).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_wire.request import ShapeRequest

FREE_CHARS_MAX: Final = 256
"""Filters up to here wait for nobody; reading one takes less than the rest of its request."""


def is_costly(asked: ShapeRequest) -> bool:
    """Say whether the filters of a request have to wait for a turn, by what there is to read."""
    texts = [asked.definition.where, *asked.definition.params]
    if asked.subset is not None:
        texts += (asked.subset.where, *asked.subset.params, asked.subset.order_by)
    return sum(len(text) for text in texts if text is not None) > FREE_CHARS_MAX


class Turns:
    """Who waits for a turn, by org; bounded by the requests that are let in."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Kept by who waits for them or has them."""

    def __len__(self) -> int:
        """Count the orgs that have a turn or wait for one."""
        return len(self._locks)

    @asynccontextmanager
    async def turn(self, org: str) -> AsyncIterator[None]:
        """Wait until the org's earlier turns are over and everybody else was looked at.

        The wait ends with the request at the latest, which has a time of its own.
        """
        lock = self._locks.setdefault(org, asyncio.Lock())
        async with lock:
            await asyncio.sleep(0)
            yield
