"""Which logs Electric said to be gone, for answers that were asked for before. Pure: no I/O, no clock."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from shapegate_wire import names

if TYPE_CHECKING:
    from yarl import URL

SHAPES_MAX: Final = 10_000
_DEFINITION: Final = (
    *(f"{name}=" for name in (names.TABLE, names.COLUMNS, names.WHERE, names.REPLICA, names.LOG)),
    names.PARAMS,
)
"""How the parameters begin that belong to it, in a query as yarl prints it."""


def shape_of(url: URL) -> bytes:
    """Hash what makes a shape at Electric, whatever part of its log or subset of its rows is asked for.

    A list of what belongs to it: with a parameter that is not known here, two shapes count as one, and what
    is said of one is taken to be said of both.
    """
    parts = url.raw_query_string.split("&")
    told = sorted(part for part in parts if part.startswith(_DEFINITION))
    return hashlib.blake2b("&".join(told).encode(), digest_size=16).digest()


class _Rotation(NamedTuple):
    number: int
    """Of the last word on this shape."""
    present: str | None
    """The handle of the log that it said to be present."""
    changed: int
    """Number of the last word that differed from the one before; 0 if none did."""


class Rotations:
    """The last word on each shape whose logs, or some of them, were said to be gone lately."""

    def __init__(self, shapes_max: int = SHAPES_MAX) -> None:
        self._shapes_max = shapes_max
        self._last: OrderedDict[bytes, _Rotation] = OrderedDict()
        self._forgotten = 0
        """The number of the last word that is not remembered any more."""
        self.count = 0
        """How many there were; who asks now remembers it."""

    def tell(self, shape: bytes, *, present: str | None) -> None:
        """Note that logs of this shape are gone, all but the one that is `present`."""
        self.count += 1
        before = self._last.pop(shape, None)
        changed = 0
        if before is not None:
            changed = before.changed if before.present == present else self.count
        self._last[shape] = _Rotation(self.count, present, changed)
        if len(self._last) > self._shapes_max:
            self._forgotten = self._last.popitem(last=False)[1].number

    def allow(self, shape: bytes, handle: str, *, since: int) -> bool:
        """Say whether an answer of this log, asked for at the count `since`, may be kept.

        Not if the log was said to be gone meanwhile, or if that is not remembered. Of two words that differ
        the later may have been said earlier, so of what was asked for before both nothing is kept.
        """
        if self._forgotten > since:
            return False
        last = self._last.get(shape)
        if last is None or last.number <= since:
            return True
        return last.present == handle and last.changed <= since
