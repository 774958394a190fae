"""A filter with subqueries, compiled: its branches, and the tables that they read (PROTOCOL 3.5, 5).

Values are compared by their text, so columns whose text does not decide equality are refused: a development
server that guessed would show rows that the real one does not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.condition import Evaluation, Typed, evaluation_of
from shapegate_harness.electric.dnf import Branches, decompose
from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.tree import Column, Membership, Row
from shapegate_wire import names
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapegate_harness.electric.condition import Condition
    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.members import Value
    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.tree import Node, Select

_BY_TEXT: Final = frozenset(
    [
        "bool",
        "int2",
        "int4",
        "int8",
        "text",
        "varchar",
        "name",
        "uuid",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "bytea",
    ]
)
"""Types whose values are equal where their text is."""
_ODD_COLLATIONS: Final = """
    SELECT a.attname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid::int8 = $1 AND a.attname = ANY($2::text[]) AND NOT c.collisdeterministic
"""


_EVERYTHING: Final = Branches(leaves=(), positions=(), disjuncts=((),))
"""No filter: one disjunct without conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A table and the filter over its rows: the shape's own, or a subquery's."""

    relation: Relation
    branches: Branches
    literals: tuple[str, ...]
    """The condition at each position as SQL, subqueries included."""
    tests: Evaluation | None
    """Those without subqueries, in order of `plain`; None if there are none."""
    plain: tuple[int, ...]
    """The positions that `tests` has."""
    sources: Mapping[int, Source]
    """The subqueries, by leaf."""

    @property
    def columns(self) -> Mapping[int, tuple[str, ...]]:
        """The columns that subqueries are compared with, by leaf."""
        return {leaf: source.left for leaf, source in self.sources.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One subquery."""

    left: tuple[str, ...]
    """The columns of the level above that are compared with it."""
    left_places: tuple[int, ...]
    level: Level
    places: tuple[int, ...]
    """Where its own columns stand in a row of its table."""
    seed: str
    """A statement for its answer, each value with its count in the last column."""
    negated: bool


async def compile_level(connection: Connection, relation: Relation, condition: Condition) -> Level:
    """Compile a condition that has subqueries. Raises Rejected for what cannot be followed."""
    level = _level(relation, condition.typed, condition.typed.tree)
    for each in levels(level):
        await _check_collations(connection, each)
    return level


def levels(level: Level) -> Iterator[Level]:
    """List a level and all below it."""
    yield level
    for source in level.sources.values():
        yield from levels(source.level)


def _level(relation: Relation, typed: Typed, tree: Node | None) -> Level:
    branches = _EVERYTHING if tree is None else decompose(tree)
    literals = []
    plain = []
    for at, position in enumerate(branches.positions):
        leaf = branches.leaves[position.leaf]
        printed = typed.print(leaf)
        literals.append(f"NOT ({printed})" if position.negated else f"({printed})")
        if not isinstance(leaf, Membership):
            plain.append(at)
    negated = {position.leaf: position.negated for position in branches.positions}
    trees = [branches.leaves[branches.positions[at].leaf] for at in plain]
    return Level(
        relation=relation,
        branches=branches,
        literals=tuple(literals),
        tests=evaluation_of(relation, typed, trees, [literals[at] for at in plain]) if plain else None,
        plain=tuple(plain),
        sources={
            index: _source(relation, typed, leaf, negated=negated[index])
            for index, leaf in enumerate(branches.leaves)
            if isinstance(leaf, Membership)
        },
    )


def _source(outer: Relation, typed: Typed, leaf: Membership, *, negated: bool) -> Source:
    items = leaf.left.items if isinstance(leaf.left, Row) else (leaf.left,)
    left = tuple(item.path[0] for item in items if isinstance(item, Column))
    inner = typed.relations[leaf.select.table]
    _check_types(inner, leaf.select)
    return Source(
        left=left,
        left_places=tuple(outer.names.index(name) for name in left),
        level=_level(inner, typed, leaf.select.where),
        places=tuple(inner.names.index(name) for name in leaf.select.columns),
        seed=_seed(typed, leaf.select),
        negated=negated,
    )


def _check_types(relation: Relation, select: Select) -> None:
    for column in relation.columns:
        if column.name in select.columns and (column.dims or column.type_name not in _BY_TEXT):
            raise rejected(
                names.WHERE,
                f"a subquery over column {quote(column.name)} of type {column.sql_type} is not supported by "
                f"this development server: expected one of {', '.join(sorted(_BY_TEXT))}",
            )


async def _check_collations(connection: Connection, level: Level) -> None:
    compared = [name for columns in level.columns.values() for name in columns]
    odd = await connection.fetch(_ODD_COLLATIONS, level.relation.oid, compared) if compared else []
    if odd:
        raise rejected(
            names.WHERE,
            f"a subquery compared with column {quote(odd[0]['attname'])}, whose collation takes unequal "
            "texts for equal, is not supported by this development server",
        )


def _seed(typed: Typed, select: Select) -> str:
    """Print values as the stream does: concat uses the output function, a cast does not."""
    columns = [quote(name) for name in select.columns]
    values = ", ".join(f"CASE WHEN {name} IS NOT NULL THEN concat({name}) END" for name in columns)
    where = "" if select.where is None else f" WHERE {typed.print(select.where)}"
    used = (
        " AND ".join(f"${number}::text IS NOT NULL" for number in range(1, len(typed.values) + 1)) or "true"
    )
    return (
        f"SELECT {values}, count(*) FROM "  # noqa: S608  # printed from a checked tree
        f"(SELECT * FROM {typed.source(select)}{where}) AS {quote('shapegate inner')} "
        f"WHERE {used} GROUP BY {', '.join(columns)}"
    )


async def read_answer(
    connection: Connection, source: Source, values: tuple[str, ...], *, values_max: int
) -> Counter[Value] | None:
    """Read what a subquery returns; None if that is more than `values_max` different values."""
    rows = await connection.fetch(f"{source.seed} LIMIT {values_max + 1}", *values)
    if len(rows) > values_max:
        return None
    found: Counter[Value] = Counter()
    for row in rows:
        *value, count = row.values()
        found[tuple(value)] += count
    return found
