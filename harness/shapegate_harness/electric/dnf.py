"""A filter with subqueries as an OR of ANDs of conditions, each at a position of its own (PROTOCOL 3.5).

NOT is pushed down to the conditions. In Postgres' three-valued logic the filter is true exactly where one
disjunct has all of its conditions true. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.printer import print_normal
from shapegate_harness.electric.tree import Logic, Membership, Node, Not, memberships
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Iterator

POSITIONS_MAX: Final = 64
"""An OR within an AND multiplies positions; each costs a slot in every tag of every row."""

_Signed = tuple[Node, bool]


@dataclass(frozen=True, slots=True)
class Position:
    """One condition in one disjunct."""

    leaf: int
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """A filter in disjunctive form; made by `decompose`."""

    leaves: tuple[Node, ...]
    """Each different condition once; those that are a Membership test a subquery."""
    positions: tuple[Position, ...]
    disjuncts: tuple[tuple[int, ...], ...]
    """Each as the positions that take part in it."""

    def shows(self, active: tuple[bool, ...]) -> bool:
        """Tell whether a row is visible whose conditions hold as given."""
        return any(all(active[position] for position in disjunct) for disjunct in self.disjuncts)


def decompose(tree: Node) -> Branches:
    """Bring a filter into disjunctive form. Raises Rejected if that has too many positions."""
    leaves: dict[str, tuple[int, Node]] = {}
    positions: list[Position] = []
    disjuncts: list[tuple[int, ...]] = []
    for conjunction in _disjunctive(tree, negated=False):
        start = len(positions)
        for leaf, negated in conjunction:
            index, _ = leaves.setdefault(print_normal(leaf), (len(leaves), leaf))
            positions.append(Position(index, negated))
        disjuncts.append(tuple(range(start, len(positions))))
    _check_size(len(positions))
    return Branches(
        leaves=tuple(leaf for _, leaf in leaves.values()),
        positions=tuple(positions),
        disjuncts=tuple(disjuncts),
    )


def _disjunctive(node: Node, *, negated: bool) -> list[list[_Signed]]:
    if isinstance(node, Not):
        return _disjunctive(node.operand, negated=not negated)
    if not isinstance(node, Logic):
        return [[(node, negated)]]
    parts = [_disjunctive(operand, negated=negated) for operand in node.operands]
    if (node.word == "or") is not negated:
        return [conjunction for part in parts for conjunction in part]
    product: list[list[_Signed]] = [[]]
    for part in parts:
        product = [left + right for left in product for right in part]
        _check_size(sum(map(len, product)))
    return product


def _check_size(positions: int) -> None:
    if positions > POSITIONS_MAX:
        raise rejected(
            names.WHERE,
            f"has more than {POSITIONS_MAX} conditions as an OR of ANDs, which this development server does "
            "not follow together with subqueries",
        )


def check_polarity(tree: Node) -> None:
    """Refuse what Electric cannot follow: a subquery with both signs, or within anything but AND, OR, NOT."""
    seen: dict[str, bool] = {}
    signed = list(_signed(tree, negated=False))
    if len(memberships(tree)) > len(signed):
        raise rejected(names.WHERE, "a subquery may stand within AND, OR and NOT only")
    for membership, negated in signed:
        if seen.setdefault(print_normal(membership), negated) != negated:
            raise rejected(names.WHERE, "the same subquery is used both positively and negated")
        if membership.select.where is not None:
            check_polarity(membership.select.where)


def _signed(node: Node, *, negated: bool) -> Iterator[tuple[Membership, bool]]:
    if isinstance(node, Membership):
        yield node, negated
    elif isinstance(node, Not):
        yield from _signed(node.operand, negated=not negated)
    elif isinstance(node, Logic):
        for operand in node.operands:
            yield from _signed(operand, negated=negated)
