"""Where a policy and a database do not agree, before anybody's request finds out. Pure: no I/O, no clock.

A problem is what Electric would refuse, what would raise on data or what would compare in two ways; a warning
is what costs time or leaves rows out (REQUIREMENTS P-16, S-07, S-08; SECURITY I-06).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from shapegate_proxy.scope import Both, Compared, Either, IsNull, Within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapegate_proxy.catalogue import Catalogue, CatalogueColumn, CatalogueTable
    from shapegate_proxy.policy import Policy, TablePolicy
    from shapegate_proxy.scope import Condition
    from shapegate_wire.identifier import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement, with what to do about it."""

    table: TableName
    is_problem: bool
    """Whether requests would fail or go wrong; else it is a warning."""
    text: str


def compare(policy: Policy, catalogue: Catalogue) -> tuple[Finding, ...]:
    """List what does not agree, problems of a table before its warnings, tables by name."""
    found: list[Finding] = []
    for name in sorted(policy.tables):
        granted, table = policy.tables[name], catalogue.tables.get(name)
        if table is None:
            found.append(_missing(name))
        else:
            found += _compare_table(granted, table, catalogue)
    for name in sorted(policy.lookups):
        table = catalogue.tables.get(name)
        if table is None:
            found.append(_missing(name))
        else:
            found += [_problem(name, text) for text in _compare_types(policy.lookups[name], table, catalogue)]
    return tuple(found)


def type_names(policy: Policy) -> frozenset[str]:
    """Name every type that the policy spells, for the database to look up."""
    columns = [*policy.lookups.values()]
    columns += [part for granted in policy.tables.values() for part in (granted.columns, granted.hidden)]
    return frozenset(type_ for part in columns for type_ in part.values())


def _compare_table(granted: TablePolicy, table: CatalogueTable, catalogue: Catalogue) -> Iterator[Finding]:
    columns = {**granted.columns, **granted.hidden}
    problems = [*_unfit(granted, table), *_compare_types(columns, table, catalogue)]
    problems += _collations(granted, table)
    if not catalogue.sends_generated_columns:
        problems += [
            f"{name} is generated, which Postgres before 18 does not replicate: leave it out"
            for name in granted.columns
            if name in table.columns and table.columns[name].generated
        ]
    yield from (_problem(table.table, text) for text in problems)
    yield from (_warning(table.table, text) for text in _costly(granted, table))


def _unfit(granted: TablePolicy, table: CatalogueTable) -> Iterator[str]:
    if not table.is_synced_kind:
        yield f"is a {table.kind}: expected a table, Electric syncs nothing else"
    elif not table.key:
        yield "has no primary key: expected one, by which clients tell rows apart"
    for name in table.key:
        if name not in granted.columns:
            yield f"its key {name} is not synced: expected all of the primary key, which Electric needs"


def _compare_types(columns: Mapping[str, str], table: CatalogueTable, catalogue: Catalogue) -> Iterator[str]:
    for name, type_ in columns.items():
        column = table.columns.get(name)
        if column is None:
            yield f"has no column {name}: expected one of {', '.join(table.columns)}"
        elif catalogue.type_ids.get(type_) is None:
            yield f"{name} has type {type_!r}, which the database does not know: expected {column.type!r}"
        elif catalogue.type_ids[type_] != column.type_id:
            yield f"{name} has type {type_!r}: it is {column.type!r} in the database"


def _collations(granted: TablePolicy, table: CatalogueTable) -> Iterator[str]:
    """Find columns whose comparison can raise on a filter that the gate accepts (SECURITY I-06)."""
    collated = [
        column for name in granted.columns if (column := table.columns.get(name)) and _is_text(column)
    ]
    for column in collated:
        if not column.deterministic:
            yield (
                f"{column.name} has the collation {column.collation}, which is not deterministic: LIKE can "
                "raise on it; leave the column out or change its collation"
            )
    differing = sorted({column.collation or "the database's" for column in collated})
    if len(differing) > 1:
        yield (
            f"its text columns have the collations {', '.join(differing)}: comparing two of them raises in "
            "Postgres; sync columns of one collation only"
        )


def _is_text(column: CatalogueColumn) -> bool:
    return column.type in ("text", "varchar")


def _costly(granted: TablePolicy, table: CatalogueTable) -> Iterator[str]:
    if not table.sends_old_rows:
        yield (
            "its replica identity is not FULL: Electric sets it where it owns the table; else run "
            f"ALTER TABLE {table.table.to_sql()} REPLICA IDENTITY FULL"
        )
    for name in dict.fromkeys(scoped_columns(granted.scope.condition)):
        column = table.columns.get(name)
        if column is not None and column.nullable and name not in _null_columns(granted.scope.condition):
            yield f"{name} scopes it and may be NULL: such rows are nobody's and are not synced"
    for name in dict.fromkeys(_unindexed(granted.scope.condition, table.leading)):
        if name in table.columns:
            yield f"{name} scopes it and no index begins with it: each first snapshot reads the whole table"


def _unindexed(condition: Condition, leading: frozenset[str]) -> tuple[str, ...]:
    """Name the columns for which an index is missing: AND needs one for some part, OR one for each."""
    match condition:
        case Compared() | Within() | IsNull():
            return () if condition.column in leading else (condition.column,)
        case Both():
            return min((_unindexed(item, leading) for item in condition.items), key=len)
        case Either():
            return tuple(name for item in condition.items for name in _unindexed(item, leading))
        case _:
            assert_never(condition)


def scoped_columns(condition: Condition) -> Iterator[str]:
    """Name the columns of the table itself that the condition compares, in order."""
    match condition:
        case Compared() | Within():
            yield condition.column
        case IsNull():
            pass
        case Both() | Either():
            for item in condition.items:
                yield from scoped_columns(item)
        case _:
            assert_never(condition)


def _null_columns(condition: Condition) -> frozenset[str]:
    """Name the columns whose NULL the condition selects on purpose."""
    match condition:
        case IsNull():
            return frozenset({condition.column})
        case Compared() | Within():
            return frozenset()
        case Both() | Either():
            return frozenset().union(*(_null_columns(item) for item in condition.items))
        case _:
            assert_never(condition)


def _missing(name: TableName) -> Finding:
    return _problem(name, "is not in the database: expected a table of this schema and name")


def _problem(table: TableName, text: str) -> Finding:
    return Finding(table=table, is_problem=True, text=text)


def _warning(table: TableName, text: str) -> Finding:
    return Finding(table=table, is_problem=False, text=text)
