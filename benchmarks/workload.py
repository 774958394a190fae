"""What users do, and what stands between them and their rows. Pure: no I/O, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Electric:
    """What Electric 1.7 does by default, and what its authors publish; nothing of it was measured here."""

    long_poll_seconds: float = 20.0
    fresh_seconds: float = 60.0
    """`max-age` of all but the start of a log; longer than that no gate keeps anything."""
    start_fresh_seconds: float = 3_600.0
    """`s-maxage` of the start of a log, for an HTTP cache."""
    chunk_bytes: int = 10_485_760
    cursors_apart: bool = True
    """Whether a second answer within one long poll's time moves the cursor ahead by chance (PROTOCOL 2.1).

    Who got another cursor asks for another URL from then on, and shares with nobody who has not.
    """
    cursor_ahead_seconds: float = 1_800.0
    """The mean of it."""
    existing_at_once: int = 10_000
    """Requests with a handle that are admitted at once, held ones among them."""
    changes_per_second: float = 4_000.0
    """Row changes that one instance takes in where filters are of the form `column = constant AND ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What users do."""

    orgs: int = 100
    users: int = 50
    """Of one organization."""
    online: float = 0.4
    """The share of them that follows its shapes at a time."""
    shapes: int = 3
    """Followed by each user at the same time."""
    own: float = 0.0
    """The share of these that nobody else follows: a scope with the user, a filter of the user's own."""
    changes_per_minute: float = 6.0
    """Transactions in one organization; each touches one of its shapes."""
    rows_per_change: float = 1.0
    row_bytes: int = 500
    """Of a change message."""
    initial_bytes: int = 200_000
    """Of one shape from its beginning, log included."""
    reloads_per_hour: float = 2.0
    """How often one user reads all its shapes from the beginning."""
    return_seconds: float = 0.1
    """From an answer to the next request of the same client: the network there and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What stands before Electric."""

    gates: int = 1
    workers: int = 1
    """Processes of each gate."""
    collapse: bool = True
    cache_bytes: int = 64 * 1_024 * 1_024
    """Of each process; 0 keeps nothing."""
    http_cache: bool = False
    """Whether an HTTP cache stands between gates and Electric; it passes live requests on unkept."""
    age_seconds: float = math.inf
    """Since the processes started; their memories fill."""

    @property
    def processes(self) -> int:
        """How many serve in all; they share nothing."""
        return self.gates * self.workers
