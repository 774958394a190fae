"""Changes of partitions as changes of the partitioned table, too. Pure: no I/O, no clock.

Postgres publishes a row under the name of the partition that holds it, so that shapes of a partition can be
followed beside those of the whole table; Electric does the same. A row that moves from one partition to
another is deleted here and inserted there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shapegate_harness.electric.transaction import RowChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shapegate_harness.electric.relation import Partition, Relation
    from shapegate_harness.electric.transaction import RowText, Transaction


def roots(relations: Iterable[Relation]) -> tuple[Relation, ...]:
    """Find the partitioned tables, each once."""
    found = {relation.oid: relation for relation in relations if relation.partitions is not None}
    return tuple(found.values())


def have_partitions(relations: Iterable[Relation], now: Mapping[int, tuple[Partition, ...]]) -> bool:
    """Tell whether tables still have the partitions they were looked up with: one more may bring rows."""
    return all(root.partitions == now[root.oid] for root in roots(relations))


def with_roots(
    transactions: Iterable[Transaction], partitioned: Sequence[Relation]
) -> tuple[Transaction, ...]:
    """Give transactions the changes of partitioned tables beside those of their partitions."""
    if not partitioned:
        return tuple(transactions)
    return tuple(_with_roots(transaction, partitioned) for transaction in transactions)


def _with_roots(transaction: Transaction, partitioned: Sequence[Relation]) -> Transaction:
    changes = dict(transaction.changes)
    truncated, incomplete = set(transaction.truncated), set(transaction.incomplete)
    for root in partitioned:
        found: list[RowChange] = []
        for part in root.partitions or ():
            found += _changes(transaction, root, part)
            if part.oid in transaction.truncated:
                truncated.add(root.oid)
            if part.oid in transaction.incomplete or not _is_known(transaction, root, part):
                incomplete.add(root.oid)
        if found:
            changes[root.oid] = tuple(sorted(found, key=lambda change: change.position))
    return replace(
        transaction, changes=changes, truncated=frozenset(truncated), incomplete=frozenset(incomplete)
    )


def _is_known(transaction: Transaction, root: Relation, part: Partition) -> bool:
    """Tell whether rows of a partition still come as they were looked up."""
    types = {(column.name, column.type_oid, column.type_mod) for column in root.columns}
    return all(
        published.identity_full
        and tuple(column.name for column in published.columns) == part.columns
        and {(column.name, column.type_oid, column.type_mod) for column in published.columns} == types
        for published in transaction.relations
        if published.oid == part.oid
    )


def _changes(transaction: Transaction, root: Relation, part: Partition) -> Iterable[RowChange]:
    changes = transaction.changes.get(part.oid, ())
    if part.columns == root.names:
        return changes
    order = tuple(part.columns.index(name) for name in root.names)
    return (
        RowChange(position=change.position, old=_ordered(change.old, order), new=_ordered(change.new, order))
        for change in changes
    )


def _ordered(row: RowText | None, order: Sequence[int]) -> RowText | None:
    return None if row is None else tuple(row[index] for index in order)
