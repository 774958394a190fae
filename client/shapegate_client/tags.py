"""Why a row belongs to a shape with subqueries, and when it stops to (PROTOCOL 3.5). Pure: no I/O, no clock.

The filter is a choice of disjuncts, each of which needs some numbered conditions. A tag names the row's value
at each position of one disjunct by a salted hash, so the server can say "all rows with this hash at this
position" without naming them (REQUIREMENTS C-40).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shapegate_wire.errors import MalformedResponse

if TYPE_CHECKING:
    from shapegate_wire.message import Change

_PLAIN: Final = "1"
"""The slot of a condition that is no subquery: no move ever names it."""
_SEPARATOR: Final = "/"


@dataclass(frozen=True, slots=True)
class RowTags:
    """What decides whether a row is visible."""

    tags: tuple[str, ...]
    """One per disjunct: a slot for each position, empty where the disjunct does not need it."""
    active: tuple[bool, ...]
    """Whether the condition at each position holds for the row."""

    @property
    def visible(self) -> bool:
        """Whether some disjunct has all of its conditions."""
        return any(
            all(self.active[position] for position, slot in enumerate(tag.split(_SEPARATOR)) if slot)
            for tag in self.tags
        )

    @property
    def slots(self) -> frozenset[tuple[int, str]]:
        """The positions and hashes by which a move can name the row."""
        return frozenset(
            (position, slot)
            for tag in self.tags
            for position, slot in enumerate(tag.split(_SEPARATOR))
            if slot and slot != _PLAIN
        )

    def with_condition(self, position: int, *, holds: bool) -> RowTags:
        """Return a copy in which the condition at a position holds, or does not."""
        active = (*self.active[:position], holds, *self.active[position + 1 :])
        return replace(self, active=active)

    def print(self) -> tuple[str, str]:
        """Print tags and conditions for the store."""
        return json.dumps(self.tags), "".join("1" if holds else "0" for holds in self.active)


def parse_row_tags(tags: str, active: str) -> RowTags:
    """Read what `RowTags.print` prints."""
    return RowTags(tuple(json.loads(tags)), tuple(flag == "1" for flag in active))


def read_row_tags(change: Change) -> RowTags | None:
    """Read the tags of an insert or update; None where it says nothing of them.

    What is sent is all that the row has, so it takes the place of what was held. Raises MalformedResponse
    where tags and conditions do not fit together: rows with half of them could stay too long.
    """
    if not change.tags:
        if change.removed_tags or change.active_conditions:
            raise MalformedResponse("a change speaks of its tags, but does not say which it has")
        return None
    width = change.tags[0].count(_SEPARATOR) + 1
    active = change.active_conditions or (True,) * width
    if len(active) != width or any(tag.count(_SEPARATOR) + 1 != width for tag in change.tags):
        raise MalformedResponse("the tags and conditions of a change differ in length")
    return RowTags(change.tags, active)
