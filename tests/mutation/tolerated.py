"""Survivors that are tolerated, each with its reason (survivors.toml). Pure: no I/O, no clock."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.mutation.mutants import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEYS: Final = {"module", "function", "line", "becomes", "reason"}


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A mutant that no test can or should notice, and why."""

    mutant: Mutant
    reason: str


def parse_tolerated(text: str) -> tuple[Tolerated, ...]:
    """Read survivors.toml. Raises ValueError, which names the entry that is not as expected."""
    found: list[Tolerated] = []
    for number, entry in enumerate(tomllib.loads(text).get("survivor", []), start=1):
        if set(entry) != _KEYS or not entry["reason"].strip() or not entry["becomes"]:
            raise ValueError(f"survivor {number} has {sorted(entry)}: expected {sorted(_KEYS)}, none empty")
        found += [
            Tolerated(
                Mutant(entry["module"], entry["function"], entry["line"].strip(), becomes.strip()),
                entry["reason"],
            )
            for becomes in entry["becomes"]
        ]
    return tuple(found)


def unexplained(alive: Iterable[Mutant], tolerated: Iterable[Tolerated]) -> list[Mutant]:
    """Find the survivors that have no reason."""
    return sorted(set(alive) - {entry.mutant for entry in tolerated})


def outdated(alive: Iterable[Mutant], tolerated: Iterable[Tolerated]) -> list[Tolerated]:
    """Find the reasons whose mutant is noticed now, or is no more."""
    still = set(alive)
    return [entry for entry in tolerated if entry.mutant not in still]
