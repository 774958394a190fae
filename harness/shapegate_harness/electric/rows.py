"""From row changes to a shape's messages (PROTOCOL 3.1-3.3). Pure: no I/O, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_harness.electric.log import Entry
from shapegate_harness.electric.tags import HIDDEN, SHOWN, Standing
from shapegate_wire.message import Operation
from shapegate_wire.offset import Offset
from shapegate_wire.shape import Replica

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.transaction import RowChange, RowText, Transaction

Standings = Mapping[tuple[int, int], tuple[Standing, Standing]]
"""By lsn and position of a change: how the row stands to the filter before and after it."""


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
    headers: Mapping[str, object]
    """Beyond those that every message has."""
    old_value: Mapping[str, str | None] | None = None


def entries(projection: Projection, transaction: Transaction, standings: Standings | None) -> Iterator[Entry]:
    """Print what one transaction means to a shape, one by one; `standings` is None where it has no filter."""
    waiting: _Draft | None = None
    for change in transaction.changes.get(projection.relation.oid, ()):
        was, is_ = (SHOWN, SHOWN) if standings is None else standings[transaction.lsn, change.position]
        for draft in _drafts(projection, change, was, is_):
            if waiting is not None:
                yield _entry(projection.relation, transaction, waiting, last=False)
            waiting = draft
    if waiting is not None:
        yield _entry(projection.relation, transaction, waiting, last=True)


def _drafts(projection: Projection, change: RowChange, was: Standing, is_: Standing) -> Iterable[_Draft]:
    old = change.old if was.shown else None
    new = change.new if is_.shown else None
    if old is None and new is None:
        return ()
    if old is None:
        assert new is not None
        return (_insert(projection, new, change.position, _marks(is_)),)
    if new is None:
        return (_delete(projection, old, change.position, _marks(was)),)
    return _update(projection, change.position, (old, was), (new, is_))


def _marks(standing: Standing) -> dict[str, object]:
    if not standing.tags:
        return {}
    return {"tags": standing.tags, "active_conditions": standing.active}


def _insert(projection: Projection, row: RowText, position: int, headers: Mapping[str, object]) -> _Draft:
    return _Draft(
        operation=Operation.INSERT,
        position=position,
        key=projection.key(row),
        value=_pick(row, projection.selected),
        headers=headers,
    )


def _delete(projection: Projection, row: RowText, position: int, headers: Mapping[str, object]) -> _Draft:
    whole = projection.replica is Replica.FULL or not projection.primary_key
    return _Draft(
        operation=Operation.DELETE,
        position=position,
        key=projection.key(row),
        value=_pick(row, projection.selected if whole else projection.primary_key),
        headers=headers,
    )


def _update(
    projection: Projection, position: int, before: tuple[RowText, Standing], after: tuple[RowText, Standing]
) -> Iterable[_Draft]:
    (old, was), (new, is_) = before, after
    old_key, new_key = projection.key(old), projection.key(new)
    if old_key != new_key:
        return (
            _delete(projection, old, position, {"key_change_to": new_key, **_marks(was)}),
            _insert(projection, new, position + 1, {"key_change_from": old_key, **_marks(is_)}),
        )
    changed = tuple((name, at) for name, at in projection.selected if old[at] != new[at])
    # A row may move between branches by a column that is not selected; who follows events has to know.
    if not changed and was == is_:
        return ()
    full = projection.replica is Replica.FULL
    headers = _marks(is_)
    if headers:
        headers["removed_tags"] = [tag for tag in was.tags if tag not in is_.tags]
    return (
        _Draft(
            operation=Operation.UPDATE,
            position=position,
            key=new_key,
            value=_pick(new, projection.selected if full else projection.primary_key + changed),
            headers=headers,
            old_value=_pick(old, changed) if full else None,
        ),
    )


def _pick(row: RowText, shown: Places) -> dict[str, str | None]:
    return {name: row[at] for name, at in shown}


def _entry(relation: Relation, transaction: Transaction, draft: _Draft, *, last: bool) -> Entry:
    headers: dict[str, object] = {"last": True} if last else {}
    headers |= {
        "relation": [relation.table.schema, relation.table.name],
        "operation": draft.operation.value,
        "lsn": str(transaction.lsn),
        "op_position": draft.position,
        "txids": [transaction.xid],
    }
    headers |= draft.headers
    message: dict[str, object] = {"value": draft.value, "key": draft.key, "headers": headers}
    if draft.old_value is not None:
        message["old_value"] = draft.old_value
    printed = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return Entry(offset=Offset(transaction.lsn, draft.position), message=printed)


def plain_standing(*, holds: bool) -> Standing:
    """Say how a row stands to a filter without subqueries."""
    return SHOWN if holds else HIDDEN
