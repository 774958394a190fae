"""Whether and when a process that ended is started again. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SPACING_SECONDS: Final = 1.0
"""From one start to the next, at least; twice as long after each start in vain."""
VAIN_MAX: Final = 5
"""So many starts in a row that did not lead to serving are enough to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start again after so long."""

    wait_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """It cannot start."""


def after_end(*, lived_seconds: float, vain: int) -> Restart | GiveUp:
    """Say what follows the end of a process; `vain` counts its last starts that did not lead to serving."""
    if vain >= VAIN_MAX:
        return GiveUp()
    return Restart(wait_seconds=max(0.0, SPACING_SECONDS * 2**vain - lived_seconds))
