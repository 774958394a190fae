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
    """A chunk, of a snapshot or of changes, ends with the message that fills it."""
    sse_keep_alive_seconds: float = 21.0
    """An event stream says that it lives after this much silence."""
    sse_seconds: float = 60.0
    """An event stream ends after this time."""
    send_seconds: float = 30.0
    """A reader of an event stream that takes nothing for so long is cut off (ELECTRIC_TCP_SEND_TIMEOUT)."""
    body_bytes_max: int = 8_000_000
    """A larger body of a POST is answered with 413."""
    body_seconds: float = 15.0
    """How long the body of a POST may take to arrive."""
    subset_bytes_max: int = 256 * 1024 * 1024
    """A subset with more than this is refused: it is collected before it is sent."""
    initial_requests_max: int = 300
    """Requests without the handle of a followed shape at the same time; more get 503."""
    existing_requests_max: int = 10_000
    """The same of requests with one. Held requests and event streams count while they last."""
    requests_per_connection_max: int | None = 50
    """A connection is closed after this many answers without a word, as Electric's is; None never closes."""
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
    members_max: int = 100_000
    """A shape with a subquery that returns more different values than this is refused, or rotates (409)."""
    log_bytes_max: int = 256 * 1024 * 1024
    """A shape whose changes outgrow this rotates (409): logs live in memory."""
    logs_bytes_max_total: int = 1024 * 1024 * 1024
    """When all logs, snapshots included, outgrow this, the shape asked for longest ago rotates (409)."""
    faults: bool = False
    """Whether tests may order faults at `/__faults`; without it the endpoint does not exist."""
    now: Callable[[], float] = time.time
    """Unix seconds; for handles and cursors."""
    jitter: Callable[[int, int], int] = random.randint
    """A number between two bounds, both included; for cursors that must move."""
