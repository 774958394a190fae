"""Which transactions a table is known to hold, for who waits for a write (REQUIREMENTS C-48, C-49)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_wire.visibility import Visibility

COMMITS_MAX: Final = 1_000
"""Commits that are remembered for each table; a write is waited for within seconds, not hours."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The transactions that one local commit brought."""

    txids: frozenset[int]
    """32-bit ids, as `pg_current_xact_id()::xid` prints them."""
    snapshot: Visibility | None
    """All that a new copy of the table holds; None if it was not read from its start."""

    def has(self, txid: int) -> bool:
        """Say whether what a transaction wrote to the table came with this commit, or before a new copy."""
        return txid in self.txids or (self.snapshot is not None and self.snapshot.sees(txid))


class Acknowledgements:
    """The latest commits of every table of one org, as far as they name transactions."""

    def __init__(self) -> None:
        self._commits: dict[str, deque[Acknowledgement]] = {}

    def add(self, table: str, acknowledgement: Acknowledgement) -> None:
        """Remember a commit."""
        if acknowledgement.txids or acknowledgement.snapshot is not None:
            self._commits.setdefault(table, deque(maxlen=COMMITS_MAX)).append(acknowledgement)

    def has(self, table: str, txid: int) -> bool:
        """Say whether what this transaction wrote to the table is known to be there."""
        return any(commit.has(txid) for commit in self._commits.get(table, ()))

    def forget(self, table: str) -> None:
        """Forget a table, whose rows were removed."""
        self._commits.pop(table, None)

    def clear(self) -> None:
        """Forget everything: it belongs to an org that was left."""
        self._commits.clear()
