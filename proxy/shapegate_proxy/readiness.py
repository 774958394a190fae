"""Whether the gate can serve: what it depends on, asked at most once a second however many ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

BELIEVED_SECONDS: Final = 1.0
"""Anybody may ask; the parts behind the gate are asked this often at most."""
READY: Final = frozenset({"ok", "active"})

Check = tuple[str, "Callable[[], Awaitable[str]]"]
"""A name to show, and who says how that part is: one of READY, or a word for what is amiss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How each part is, in a word."""

    parts: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether every part is."""
        return READY.issuperset(self.parts.values())


class Readiness:
    """Asks all parts at once, and remembers for a moment what they said."""

    def __init__(self, checks: tuple[Check, ...], *, monotonic: Callable[[], float]) -> None:
        self._checks = checks
        self._monotonic = monotonic
        self._asking: asyncio.Task[Report] | None = None
        self._asked_at = 0.0

    async def report(self) -> Report:
        """Return how the parts are now, or were less than `BELIEVED_SECONDS` ago."""
        now = self._monotonic()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= BELIEVED_SECONDS):
            self._asking = asyncio.create_task(self._ask(), name="shapegate-readiness")
            self._asked_at = now
        return await asyncio.shield(self._asking)

    async def close(self) -> None:
        """End a question under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> Report:
        said = await asyncio.gather(*(check() for _, check in self._checks))
        return Report(parts={name: word for (name, _), word in zip(self._checks, said, strict=True)})
