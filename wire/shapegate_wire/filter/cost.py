"""What the filter of a shape may cost, which Electric judges anew for every change, one after the other.

Electric makes a regular expression of each LIKE, `.*` of each `%`. With two of them before its end it tries
every pair of places in a long text; with one, every place, each as far as the pattern goes. The shapes of
all orgs wait meanwhile (SECURITY I-08). A subset is judged once, by Postgres, and is not bound here.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_wire.errors import WireError
from shapegate_wire.filter import tree
from shapegate_wire.filter.refused import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

LIKES_MAX: Final = 20
WILDCARDS_MAX: Final = 1
"""Before the end of a pattern; one at its end takes the rest without a search."""
SEARCHED_CHARS_MAX: Final = 500
"""Of all patterns together that are searched for: twenty columns and a word of 23 letters."""

_UNESCAPED: Final = re.compile(r"\\.|(%)", re.DOTALL)


class FilterTooCostly(WireError):
    """A filter of the grammar that is too dear for a shape; a subset may have it."""

    def __init__(self, seen: str, expected: str, advice: str) -> None:
        super().__init__(f"{seen}: expected {expected} in the filter of a shape; {advice}")


def check_cost(filter: tree.Filter) -> None:  # noqa: A002  # the word of the domain
    """Bound what Electric spends on a filter for each change. Raises FilterTooCostly."""
    patterns = [like.pattern.text for like in _likes(filter.condition)]
    if len(patterns) > LIKES_MAX:
        raise FilterTooCostly(f"{len(patterns)} LIKEs", f"at most {LIKES_MAX}", "a subset may have more")
    searched_chars = 0
    for pattern in patterns:
        wildcards = _wildcards(pattern)
        if wildcards > WILDCARDS_MAX:
            seen = f"the pattern {shown(pattern)} has {wildcards} % before its end"
            raise FilterTooCostly(seen, f"at most {WILDCARDS_MAX}", "a subset may have ten")
        searched_chars += len(pattern) if wildcards else 0
    if searched_chars > SEARCHED_CHARS_MAX:
        seen = f"patterns with a % before their end have {searched_chars} characters"
        raise FilterTooCostly(seen, f"at most {SEARCHED_CHARS_MAX} together", "a subset may have more")


def _wildcards(pattern: str) -> int:
    """Count the `%` before the end; an escaped one is a letter."""
    ends = [found.end() for found in _UNESCAPED.finditer(pattern) if found[1]]
    return sum(end < len(pattern) for end in ends)


def _likes(item: tree.Condition) -> Iterator[tree.Like]:
    match item:
        case tree.Like():
            yield item
        case tree.Both() | tree.Either():
            for part in item.items:
                yield from _likes(part)
        case tree.Not() | tree.Tested():
            yield from _likes(item.item)
        case (
            tree.Truth()
            | tree.Flag()
            | tree.NullTested()
            | tree.Compared()
            | tree.Distinct()
            | tree.Quantified()
            | tree.ArrayCompared()
        ):
            return
        case _:
            assert_never(item)
