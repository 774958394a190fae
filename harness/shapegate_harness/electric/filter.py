"""A shape's `where`: read into a tree, and printed again from it.

Not a byte of the client's text reaches Postgres: whatever it sent, what is printed is one expression of the
grammar that Electric accepts (PROTOCOL 5). Types are checked later, against the table. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.dnf import check_polarity
from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.parse import parse_tree
from shapegate_harness.electric.printer import print_normal
from shapegate_harness.electric.tree import Column, Param, Select, children, selects, walk
from shapegate_wire import names

if TYPE_CHECKING:
    from shapegate_harness.electric.tree import Node

FILTER_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that the grammar accepts; made by `parse_filter` only."""

    tree: Node

    @property
    def normal(self) -> str:
        """The filter without the accidents of spacing, comments, the case of words and parentheses."""
        return print_normal(self.tree)

    @property
    def params(self) -> tuple[int, ...]:
        """The numbers that it uses as `$n`, ascending."""
        return tuple(sorted({node.number for _, node in walk(self.tree) if isinstance(node, Param)}))

    @property
    def subqueries(self) -> tuple[Select, ...]:
        """Every subquery, at any depth."""
        return selects(self.tree)


def mentioned(tree: Node) -> frozenset[str]:
    """Name the columns that an expression reads from its own table."""
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Column):
            found.add(node.path[-1])
        waiting += children(node)
    return frozenset(found)


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises Rejected with Electric's words where they are known, Failed where it fails."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > FILTER_BYTES_MAX:
        raise rejected(names.WHERE, f"query size {size} is bigger than maximum size {FILTER_BYTES_MAX}")
    tree = parse_tree(text)
    check_polarity(tree)
    return Filter(tree)
