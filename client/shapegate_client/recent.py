"""The transactions of the latest commits of one shape, to tell whether a snapshot is older than its rows.

Postgres sends a transaction to who follows it a moment before it shows it to others: longer where it waits
for a standby. So a snapshot that was asked for after a change had arrived may lack that change.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_client.clock import Clock
    from shapegate_wire.visibility import Visibility

COMMITS_MAX: Final = 1_000
SECONDS_MAX: Final = 600.0
"""By then every snapshot shows them; 32-bit ids of long ago would be taken for later ones."""


class Recent:
    """What the latest commits brought, as far as they name transactions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._commits: deque[tuple[float, frozenset[int]]] = deque(maxlen=COMMITS_MAX)

    def add(self, txids: frozenset[int]) -> None:
        """Remember the 32-bit ids of a commit."""
        if txids:
            self._commits.append((self._clock.monotonic(), txids))

    def seen_by(self, visibility: Visibility) -> bool:
        """Tell whether a snapshot shows all that the latest commits brought."""
        since = self._clock.monotonic() - SECONDS_MAX
        while self._commits and self._commits[0][0] < since:
            self._commits.popleft()
        return all(map(visibility.sees, (txid for _, txids in self._commits for txid in txids)))
