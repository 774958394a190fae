"""How the development Electric behaves; every bound and every wait in one place."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectricSettings:
    """The defaults are Electric's own (PROTOCOL 7) where it has one."""

    publication: str = "electric_publication_default"
    long_poll_seconds: float = 20.0
    """How long a live request is held; an offset beyond the log is held for half of it."""
    chunk_bytes: int = 10 * 1024 * 1024
    """A snapshot chunk ends with the row that fills it."""
    ready_seconds: float = 5.0
    """How long a request waits for Postgres before its 503."""
    snapshot_seconds: float = 120.0
    filter_seconds: float = 5.0
    """A filter that takes longer over one batch of changes loses its shapes (409)."""
    lock_seconds: float = 5.0
    """How long a new shape waits for a table that a migration holds."""
    table_check_seconds: float = 1.0
    """A dropped or renamed table is noticed within this time after it happened."""
    connections_max: int = 4
    """Postgres connections for new shapes, beside the reader's one."""
    shapes_max: int = 1_000
    """One more evicts the shape that was asked for longest ago (409), as ELECTRIC_MAX_SHAPES does."""
    log_bytes_max: int = 256 * 1024 * 1024
    """A shape whose changes outgrow this rotates (409): logs live in memory."""
    now: Callable[[], float] = time.time
    """Unix seconds; for handles and cursors."""
    jitter: Callable[[int, int], int] = random.randint
    """A number between two bounds, both included; for cursors that must move."""
