"""An org's table as Postgres has it, each of its states, and the logs of a shape of it (PROTOCOL 3).

Pure: no I/O, no clock, no randomness.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never

from shapegate_wire.offset import SNAPSHOT_END
from tests.client.stateful.operation import Admit, Delete, Insert, Kind, Operation, Rekey, Update
from tests.client.stateful.shape_log import RELATION, Column, Log, Message, headers_of

Row = Mapping[str, str | None]
State = tuple[frozenset[str], frozenset[tuple[tuple[str, str | None], ...]]]
"""The columns of the shape and its rows."""
LSN_STEP: Final = 10
COLUMNS: Final[tuple[Column, ...]] = (
    Column(name="id", type="int8", not_null=True),
    Column(name="title", type="text"),
    Column(name="done", type="bool"),
    Column(name="team", type="text"),
    Column(name="owner", type="text"),
)
TESTED: Final = ("team", "owner")
"""The columns that the two subqueries are about, by position."""


class Org:
    """One org's table, its history, and the shape's logs."""

    def __init__(self, name: str, kind: Kind, *, messages_per_page: int) -> None:
        self.name = name
        self.kind = kind
        self.columns = COLUMNS
        self.rows: dict[int, dict[str, str | None]] = {}
        self.admitted: tuple[set[str], set[str]] = ({"red"}, {"ann"})
        self.lsn = 100
        self.messages_per_page = messages_per_page
        self.history: list[State] = [self.state()]
        self.logs: dict[str, Log] = {}
        self.log = self._new_log()

    def state(self) -> State:
        """What a client of the shape should show now."""
        shown = [row for row in self.rows.values() if self._is_visible(row)]
        return (
            frozenset(column.name for column in self.columns),
            frozenset(
                tuple(sorted((name, _canonical(value)) for name, value in row.items())) for row in shown
            ),
        )

    def commit(self, operations: tuple[Operation, ...]) -> None:
        """Run one transaction."""
        self.lsn += LSN_STEP
        changes: list[tuple[int, Message]] = []
        admitted = (set(self.admitted[0]), set(self.admitted[1]))
        for number, operation in enumerate(operations):
            messages = self._do(operation, admitted)
            changes += [(2 * number + part, message) for part, message in enumerate(messages)]
        for op, message in changes:
            headers_of(message)["op_position"] = op
        if changes:
            headers_of(changes[-1][1])["last"] = True
        events = self._move(admitted) if self.kind is Kind.TAGGED else []
        self.log.append(changes, self.lsn, events)
        self.history.append(self.state())
        self.log.boundaries.append((self.log.end, len(self.history) - 1))

    def truncate(self) -> None:
        self.rows.clear()
        self.history.append(self.state())
        self.rotate()

    def alter(self) -> None:
        """Add a column, change its type, drop it again; the log ends."""
        extra = [column for column in self.columns if column.name == "extra"]
        if not extra:
            self.columns = (*self.columns, Column(name="extra", type="int4"))
            for row in self.rows.values():
                row["extra"] = "7"
        elif extra[0].type == "int4":
            self.columns = (*COLUMNS, Column(name="extra", type="text"))
        else:
            self.columns = COLUMNS
            for row in self.rows.values():
                del row["extra"]
        self.history.append(self.state())
        self.rotate()

    def set_not_null(self) -> None:
        """Change whether titles may be null, which does not end the log (PROTOCOL 3.9)."""
        self.columns = tuple(
            replace(column, not_null=not column.not_null) if column.name == "title" else column
            for column in self.columns
        )
        self.log.columns = self.columns

    def rotate(self) -> None:
        """End the log; a new one begins with what is there."""
        self.log.retired = True
        self.log = self._new_log()

    def compact(self) -> None:
        if self.kind is not Kind.TAGGED:
            self.log.compact()

    def _new_log(self) -> Log:
        handle = f"{self.name}{len(self.logs) + 1}-17"
        snapshot = [
            self._insert(_spelt_as_in_snapshots(row), handle, {})
            for row in self.rows.values()
            if self._is_visible(row)
        ]
        snapshot.append({"headers": _snapshot_end(self.lsn)})
        log = Log(
            handle,
            self.columns,
            self.kind is not Kind.KEYLESS,
            snapshot,
            self.messages_per_page,
            boundaries=[(SNAPSHOT_END, len(self.history) - 1)],
        )
        self.logs[handle] = log
        return log

    def _do(self, operation: Operation, admitted: tuple[set[str], set[str]]) -> list[Message]:
        match operation:
            case Insert(id=id_) if id_ not in self.rows:
                title = None if operation.title is None else f"{self.name} {operation.title}"
                row: dict[str, str | None] = {
                    "id": str(id_),
                    "title": title,
                    "done": "f",
                    "team": operation.team,
                    "owner": operation.owner,
                }
                self.rows[id_] = row | dict.fromkeys(self._extra(), "7")
                return self._change(None, self.rows[id_])
            case Update(id=id_, column=column) if id_ in self.rows:
                old = dict(self.rows[id_])
                value = operation.value
                self.rows[id_][column] = f"{self.name} {value}" if column == "title" and value else value
                return self._change(old, self.rows[id_])
            case Delete(id=id_) if id_ in self.rows:
                return self._change(self.rows.pop(id_), None)
            case Rekey(id=id_, new_id=new_id) if id_ in self.rows and new_id not in self.rows:
                old = self.rows.pop(id_)
                self.rows[new_id] = {**old, "id": str(new_id)}
                return self._change(old, self.rows[new_id])
            case Admit(position=position, value=value):
                (admitted[position].add if operation.admitted else admitted[position].discard)(value)
                return []
            case Insert() | Update() | Delete() | Rekey():
                return []
            case never:
                assert_never(never)

    def _extra(self) -> list[str]:
        return [column.name for column in self.columns if column.name == "extra"]

    def _change(self, old: Row | None, new: Row | None) -> list[Message]:
        """Say what the shape's log has of a change of one row."""
        was = old if old is not None and self._is_visible(old) else None
        now = dict(new) if new is not None and self._is_visible(new) else None
        headers: Message = {"lsn": str(self.lsn), "txids": [self.lsn // LSN_STEP]}
        if was == now:
            return []
        if was is None and now is not None:
            return [self._insert(now, self.log.handle, headers)]
        if was is not None and now is None:
            return [self._delete(was, headers)]
        assert was is not None
        assert now is not None
        if self.key(was) != self.key(now):
            return [
                self._delete(was, {**headers, "key_change_to": self.key(now)}),
                self._insert(now, self.log.handle, {**headers, "key_change_from": self.key(was)}),
            ]
        return [self._update(was, now, headers)]

    def _insert(self, row: Row, handle: str, headers: Message) -> Message:
        marks = {"operation": "insert", "relation": RELATION, **headers, **self._marks(row, handle)}
        return {"key": self.key(row), "value": dict(row), "headers": marks}

    def _delete(self, row: Row, headers: Message) -> Message:
        value = {"id": row["id"]} if self.kind in (Kind.PLAIN, Kind.TAGGED) else dict(row)
        return {
            "key": self.key(row),
            "value": value,
            "headers": {"operation": "delete", "relation": RELATION, **headers},
        }

    def _update(self, was: Row, now: Row, headers: Message) -> Message:
        changed = {name: value for name, value in now.items() if was[name] != value}
        marks = self._marks(now, self.log.handle)
        if marks and marks["tags"] != (before := self._marks(was, self.log.handle)["tags"]):
            marks["removed_tags"] = before
        message: Message = {
            "key": self.key(now),
            "value": dict(now) if self.kind is Kind.FULL else {"id": now["id"], **changed},
            "headers": {"operation": "update", "relation": RELATION, **headers, **marks},
        }
        if self.kind is Kind.FULL:
            message["old_value"] = {name: was[name] for name in changed}
        return message

    def _move(self, admitted: tuple[set[str], set[str]]) -> list[Message]:
        """Let values leave and enter the subqueries, and say what the log has of it."""
        left = [(at, value) for at in (0, 1) for value in sorted(self.admitted[at] - admitted[at])]
        entered = [(at, value) for at in (0, 1) for value in sorted(admitted[at] - self.admitted[at])]
        for at, value in left:
            self.admitted[at].discard(value)
        hidden = [row for row in self.rows.values() if not self._is_visible(row)]
        for at, value in entered:
            self.admitted[at].add(value)
        events: list[Message] = []
        if left:
            events.append(self._event("move-out", left))
        if entered:
            events.append(self._event("move-in", entered))
            events += [
                self._insert(_spelt_as_in_snapshots(row), self.log.handle, {"is_move_in": True})
                for row in hidden
                if self._is_visible(row)
            ]
            events.append({"headers": _snapshot_end(self.lsn)})
        return events

    def _event(self, name: str, values: list[tuple[int, str]]) -> Message:
        patterns = [{"pos": at, "value": _hash(self.log.handle, value)} for at, value in values]
        return {"headers": {"event": name, "patterns": patterns, "txids": [self.lsn // LSN_STEP]}}

    def _marks(self, row: Row, handle: str) -> Message:
        if self.kind is not Kind.TAGGED:
            return {}
        team, owner = (_hash(handle, row[name]) for name in TESTED)
        return {
            "tags": [f"{team}/", f"/{owner}"],
            "active_conditions": [row[name] in self.admitted[at] for at, name in enumerate(TESTED)],
        }

    def _is_visible(self, row: Row) -> bool:
        if self.kind is not Kind.TAGGED:
            return True
        return any(row[name] in self.admitted[at] for at, name in enumerate(TESTED))

    def key(self, row: Row) -> str:
        """Name a row as the log does."""
        if self.kind is not Kind.KEYLESS:
            return f'"public"."items"/"{row["id"]}"'
        spelt = {**row, "done": {"true": "t", "false": "f"}.get(str(row["done"]), row["done"])}
        parts = ["_" if value is None else f'"{value}"' for _name, value in sorted(spelt.items())]
        return "/".join(['"public"."items"', *parts])


def _hash(handle: str, value: str | None) -> str:
    return hashlib.sha256(json.dumps([handle, value]).encode()).hexdigest()[:8]


def _spelt_as_in_snapshots(row: Row) -> Row:
    return {**row, "done": {"t": "true", "f": "false", None: None}[row["done"]]}


def _canonical(value: str | None) -> str | None:
    return {"t": "1", "f": "0"}.get(value, value) if value is not None else None


def _snapshot_end(lsn: int) -> Message:
    return {"control": "snapshot-end", "xmin": str(lsn), "xmax": str(lsn), "xip_list": []}
