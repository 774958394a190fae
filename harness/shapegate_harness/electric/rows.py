"""From row changes to a shape's messages (PROTOCOL 3.1-3.3). Pure: no I/O, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_harness.electric.log import Entry
from shapegate_wire.message import Operation
from shapegate_wire.offset import Offset
from shapegate_wire.shape import Replica

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.transaction import RowChange, RowText, Transaction

Verdicts = Mapping[tuple[int, int], tuple[bool, bool]]
"""By lsn and position of a change: whether the filter holds for the row before and after it."""


Places = tuple[tuple[str, int], ...]
"""Columns by name, and where they stand in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """How a shape shows the rows of its table; made by `project`."""

    relation: Relation
    replica: Replica
    selected: Places
    """All others are left out of the values."""
    primary_key: Places
    """Empty where the table has none."""
    keyed: Places
    """What identifies a row: the primary key, or all columns where there is none."""

    def key(self, row: RowText) -> str:
        """Print the row's key."""
        return "/".join((key_prefix(self.relation), *(_key_part(row[at]) for _, at in self.keyed)))


def project(relation: Relation, *, selected: frozenset[str], replica: Replica) -> Projection:
    """Find the places of the columns once; selected ones are shown by name, as Electric does."""
    at = {name: index for index, name in enumerate(relation.names)}
    primary_key = tuple((name, at[name]) for name in relation.primary_key)
    return Projection(
        relation=relation,
        replica=replica,
        selected=tuple(sorted((name, index) for name, index in at.items() if name in selected)),
        primary_key=primary_key,
        keyed=primary_key or tuple(at.items()),
    )


def key_prefix(relation: Relation) -> str:
    """Print what the keys of all rows of a table begin with; quotes in names are not escaped."""
    return f'"{relation.table.schema}"."{relation.table.name}"'


def _key_part(value: str | None) -> str:
    return "_" if value is None else '"' + value.replace("/", "//") + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A message before it is known whether it is the last of its transaction."""

    operation: Operation
    position: int
    key: str
    value: Mapping[str, str | None]
    old_value: Mapping[str, str | None] | None = None
    key_change: Mapping[str, str] | None = None


def entries(projection: Projection, transaction: Transaction, verdicts: Verdicts | None) -> tuple[Entry, ...]:
    """Print what one transaction means to a shape; `verdicts` is None where it has no filter."""
    drafts: list[_Draft] = []
    for change in transaction.changes.get(projection.relation.oid, ()):
        was, is_ = (True, True) if verdicts is None else verdicts[transaction.lsn, change.position]
        drafts += _drafts(projection, change, was=was, is_=is_)
    return tuple(
        Entry(
            offset=Offset(transaction.lsn, draft.position),
            message=_print(projection.relation, transaction, draft, last=draft is drafts[-1]),
        )
        for draft in drafts
    )


def _drafts(projection: Projection, change: RowChange, *, was: bool, is_: bool) -> Iterable[_Draft]:
    old = change.old if was else None
    new = change.new if is_ else None
    if old is None and new is None:
        return ()
    if old is None:
        assert new is not None
        return (_insert(projection, new, change.position),)
    if new is None:
        return (_delete(projection, old, change.position),)
    return _update(projection, old, new, change.position)


def _insert(
    projection: Projection, row: RowText, position: int, key_change: Mapping[str, str] | None = None
) -> _Draft:
    return _Draft(
        operation=Operation.INSERT,
        position=position,
        key=projection.key(row),
        value=_pick(row, projection.selected),
        key_change=key_change,
    )


def _delete(
    projection: Projection, row: RowText, position: int, key_change: Mapping[str, str] | None = None
) -> _Draft:
    whole = projection.replica is Replica.FULL or not projection.primary_key
    return _Draft(
        operation=Operation.DELETE,
        position=position,
        key=projection.key(row),
        value=_pick(row, projection.selected if whole else projection.primary_key),
        key_change=key_change,
    )


def _update(projection: Projection, old: RowText, new: RowText, position: int) -> Iterable[_Draft]:
    before, after = projection.key(old), projection.key(new)
    if before != after:
        return (
            _delete(projection, old, position, {"key_change_to": after}),
            _insert(projection, new, position + 1, {"key_change_from": before}),
        )
    changed = tuple((name, at) for name, at in projection.selected if old[at] != new[at])
    if not changed:
        return ()
    full = projection.replica is Replica.FULL
    return (
        _Draft(
            operation=Operation.UPDATE,
            position=position,
            key=after,
            value=_pick(new, projection.selected if full else projection.primary_key + changed),
            old_value=_pick(old, changed) if full else None,
        ),
    )


def _pick(row: RowText, shown: Places) -> dict[str, str | None]:
    return {name: row[at] for name, at in shown}


def _print(relation: Relation, transaction: Transaction, draft: _Draft, *, last: bool) -> bytes:
    headers: dict[str, object] = {"last": True} if last else {}
    headers |= {
        "relation": [relation.table.schema, relation.table.name],
        "operation": draft.operation.value,
        "lsn": str(transaction.lsn),
        "op_position": draft.position,
        "txids": [transaction.xid],
    }
    headers |= draft.key_change or {}
    message: dict[str, object] = {"value": draft.value, "key": draft.key, "headers": headers}
    if draft.old_value is not None:
        message["old_value"] = draft.old_value
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
