"""How many requests may be under way at the same time (PROTOCOL 4.3, ELECTRIC_MAX_CONCURRENT_REQUESTS).

Held requests and event streams keep their place as long as they last, as Electric's do.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_harness.electric.settings import ElectricSettings

_RETRY_SECONDS: Final = (6, 10)


class Admission:
    """Counts the requests under way, of those that know a shape and those that do not apart."""

    def __init__(self, settings: ElectricSettings) -> None:
        self._limits = {"initial": settings.initial_requests_max, "existing": settings.existing_requests_max}
        self._taken = dict.fromkeys(self._limits, 0)
        self._jitter = settings.jitter

    @contextmanager
    def place(self, *, existing: bool) -> Iterator[None]:
        """Keep a place within the block. Raises Overloaded if there is none."""
        kind = "existing" if existing else "initial"
        if self._taken[kind] >= self._limits[kind]:
            raise Overloaded(kind, self._limits[kind], retry_after_seconds=self._jitter(*_RETRY_SECONDS))
        self._taken[kind] += 1
        try:
            yield
        finally:
            self._taken[kind] -= 1
