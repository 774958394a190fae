"""Where the development Electric answers otherwise than the recorded one, and why.

Each exchange that is listed has to differ in exactly the named places, so that the list stays true: a test
fails when one differs in more, in less, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One exchange that is answered otherwise."""

    scenario: str
    step: int
    places: tuple[str, ...]
    """As `compare.Difference` names them."""
    reason: str


_POSITION: Final = (
    "The up-to-date of a live answer tells how far the stream was read. The real one tells the position of "
    "the shape's own log, which moves in and out do not advance; it is lower, and promises less."
)
_SLOT: Final = (
    "A temporary slot ends with its connection, and no history is kept: all shapes begin anew. The real one "
    "has a permanent slot and storage."
)
DEVIATIONS: Final = (
    Deviation(
        scenario="s11_subquery",
        step=5,
        places=("body[3].headers.global_last_seen_lsn",),
        reason=_POSITION,
    ),
    Deviation(
        scenario="s11_subquery",
        step=9,
        places=("body[1].headers.global_last_seen_lsn",),
        reason=_POSITION,
    ),
    Deviation(
        scenario="s11_subquery",
        step=15,
        places=("body[3].headers.global_last_seen_lsn",),
        reason=_POSITION,
    ),
    Deviation(scenario="s18_pg_down", step=12, places=("status 200 -> 409",), reason=_SLOT),
    Deviation(scenario="s18_pg_down", step=14, places=("status 200 -> 409",), reason=_SLOT),
)


def places(scenario: str) -> dict[int, tuple[str, ...]]:
    """Give what differs in a scenario, by step."""
    return {each.step: each.places for each in DEVIATIONS if each.scenario == scenario}
