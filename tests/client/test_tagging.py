"""Rows with tags in SQLite: what a move hides, and what survives a restart, a copy and a rotation."""

from __future__ import annotations

import datetime
import sqlite3
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from shapegate_client.ddl import staged_name
from shapegate_client.fold import EMPTY, fold
from shapegate_client.rows import apply_batch, replace_rows, stage
from shapegate_client.store import Store
from shapegate_wire.columns import Column
from shapegate_wire.message import Change, MoveIn, MoveOut, MovePattern, Operation
from tests.client.builders import DEFINITION, NO_KEY, delete, insert, key, layout, position, update
from tests.client.crashing import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shapegate_wire.message import Message

LAYOUT = layout()
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
URL = "http://gate"


def tagged(change: Change, *tags: str, active: Sequence[bool]) -> Change:
    return replace(change, tags=tags, active_conditions=tuple(active))


def out(at: int, value: str) -> MoveOut:
    return MoveOut((MovePattern(at, value),))


def back(at: int, value: str) -> MoveIn:
    return MoveIn((MovePattern(at, value),))


@pytest.fixture
def db() -> Iterator[Database]:
    database = Database(sqlite3.connect(":memory:", isolation_level=None))
    database.execute("PRAGMA legacy_alter_table = ON")
    database.table("items").create(LAYOUT.storage, pk="id")
    yield database
    database.close()


def ids(db: Database) -> set[object]:
    return {row["id"] for row in db["items"].rows}


def own_rows(db: Database) -> int:
    """Count what the store keeps of its own about tags."""
    names = [name for name in db.table_names() if name.startswith(("_shapegate_tags_", "_shapegate_slots_"))]
    return sum(db.table(name).count for name in names)


def apply(db: Database, *messages: Message) -> None:
    apply_batch(db, LAYOUT, "items", fold(EMPTY, messages, LAYOUT))


ONE = tagged(insert(1), "a/", "/x", active=(True, True))
"""A row that two subqueries match."""
TWO = tagged(insert(2), "a/", "/y", active=(True, False))
"""A row that the first one matches only."""


@pytest.mark.parametrize(
    ("moves", "left"),
    [
        ((), {1, 2}),
        ((out(0, "a"),), {1}),
        ((out(1, "x"),), {1, 2}),
        ((out(0, "a"), out(1, "x")), set()),
        ((out(0, "other"), out(1, "a")), {1, 2}),
        ((out(1, "y"), out(7, "a")), {1, 2}),
        ((back(1, "y"), out(0, "a")), {1, 2}),
        ((back(1, "y"), out(0, "a"), out(1, "y")), {1}),
        ((out(1, "x"), back(1, "x"), out(0, "a")), {1}),
        ((MoveOut((MovePattern(0, "a"), MovePattern(1, "x"))),), set()),
        ((out(0, "a"), TWO), {1, 2}),
        ((delete(1), out(0, "a"), out(1, "x")), set()),
        ((tagged(update(2), "b/", "/y", active=(True, False)), out(0, "a")), {1, 2}),
        ((update(2, title="new"), out(0, "a")), {1}),
    ],
)
def test_C_40_a_row_goes_with_its_last_disjunct_and_not_before(
    db: Database, moves: tuple[Message, ...], left: set[int]
) -> None:
    apply(db, ONE, TWO)
    apply(db, *moves)
    assert ids(db) == left


def test_C_40_the_same_holds_within_one_batch(db: Database) -> None:
    apply(db, ONE, TWO, out(0, "a"), TWO, out(1, "x"), back(1, "y"), out(0, "a"))
    assert ids(db) == {2}


def test_C_32_C_40_tags_of_a_row_that_is_not_there_are_not_kept(db: Database) -> None:
    apply(db, ONE)
    before = own_rows(db)
    apply(db, tagged(update(9, title="x"), "z/", "/x", active=(True, False)))
    assert own_rows(db) == before


def test_C_40_nothing_is_kept_of_rows_that_went(db: Database) -> None:
    apply(db, ONE, TWO)
    apply(db, out(0, "a"), delete(1))
    assert own_rows(db) == 0


def test_a_shape_without_tags_has_no_tables_for_them(db: Database) -> None:
    apply(db, insert(1), delete(2), out(0, "a"))
    assert db.table_names() == ["items"]


def test_C_42_a_new_copy_has_its_own_tags_only(db: Database) -> None:
    apply(db, ONE, TWO)
    stage(db, LAYOUT, copy=False)
    apply_batch(
        db,
        LAYOUT,
        staged_name(LAYOUT),
        fold(EMPTY, [tagged(insert(2), "n/", "/x", active=(True, False))], LAYOUT),
    )
    replace_rows(db, LAYOUT)
    apply(db, out(0, "a"), out(1, "x"))
    assert ids(db) == {2}
    apply(db, out(0, "n"))
    assert ids(db) == set()


def test_C_42_a_new_copy_without_tags_forgets_those_before(db: Database) -> None:
    apply(db, ONE, TWO)
    stage(db, LAYOUT, copy=False)
    apply_batch(db, LAYOUT, staged_name(LAYOUT), fold(EMPTY, [insert(1), insert(2)], LAYOUT))
    replace_rows(db, LAYOUT)
    apply(db, out(0, "a"), out(1, "x"))
    assert ids(db) == {1, 2}
    assert db.table_names() == ["items"]


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        (
            (Column(name="tags", type="text", pk_index=0), Column(name="hash", type="int4", pk_index=1)),
            ("t", "7"),
        ),
        ((Column(name="Active", type="bytea", pk_index=0), Column(name="b", type="text")), ("\\x00ff", "x")),
        (NO_KEY, (None, "x")),
    ],
)
def test_C_40_any_key_can_be_moved(schema: tuple[Column, ...], row: tuple[str | None, ...]) -> None:
    planned = layout(schema)
    value = {column.name: text for column, text in zip(schema, row, strict=True)}
    change = Change(key="k1", operation=Operation.INSERT, value=value, tags=("a",), active_conditions=(True,))
    db = Database(sqlite3.connect(":memory:"))
    try:
        db.table("items").create(planned.storage, pk=planned.key)
        apply_batch(db, planned, "items", fold(EMPTY, [change], planned))
        assert db["items"].count == 1
        assert apply_batch(db, planned, "items", fold(EMPTY, [out(0, "a")], planned)) != ((),)
        assert db["items"].count == 0
    finally:
        db.close()


async def test_C_41_T_01_a_move_out_after_a_restart_removes_the_row(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "s.sqlite3", OWNER)
    await store.register(DEFINITION, URL)
    await store.stage(LAYOUT, fold(EMPTY, [ONE], LAYOUT), begin=True)
    await store.replace(LAYOUT, fold(EMPTY, [TWO], LAYOUT), position(), NOW, begin=False)
    await store.close()
    again = await Store.open(tmp_path / "s.sqlite3", OWNER)
    try:
        removed = await again.apply(LAYOUT, fold(EMPTY, [out(0, "a")], LAYOUT), position("7_0"), NOW)
        assert removed == (((2,),),)
        reader = again.reader()
        assert ids(reader) == {1}
        reader.close()
    finally:
        await again.close()


async def test_C_42_what_a_crash_left_of_a_copys_tags_is_dropped_and_forgetting_drops_all(
    tmp_path: Path,
) -> None:
    store = await Store.open(tmp_path / "s.sqlite3", OWNER)
    await store.register(DEFINITION, URL)
    await store.replace(LAYOUT, fold(EMPTY, [ONE], LAYOUT), position(), NOW, begin=True)
    await store.stage(LAYOUT, fold(EMPTY, [TWO], LAYOUT), begin=True, copy=True)
    await store.close()
    again = await Store.open(tmp_path / "s.sqlite3", OWNER)
    reader = again.reader()
    try:
        assert not [name for name in reader.table_names() if "staged" in name]
        assert own_rows(reader) == 3
        await again.forget(DEFINITION)
        assert not [name for name in reader.table_names() if "items" in name]
    finally:
        reader.close()
        await again.close()


@dataclass
class Model:
    """Rows with tags as a naive reader of PROTOCOL 3.5 keeps them: all in memory, each move a full scan."""

    rows: dict[int, tuple[str | None, list[list[str]], list[bool]]] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        if isinstance(message, Change):
            row = int(str(message.value["id"]))
            tags, active = [tag.split("/") for tag in message.tags], list(message.active_conditions)
            if message.operation is Operation.DELETE:
                self.rows.pop(row, None)
            elif message.operation is Operation.INSERT:
                self.rows[row] = (message.value["title"], tags, active)
            elif row in self.rows:
                title, held, before = self.rows[row]
                self.rows[row] = (
                    message.value.get("title", title),
                    tags or held,
                    active or before,
                )
        elif isinstance(message, MoveIn | MoveOut):
            for pattern in message.patterns:
                for row, (_, tags, active) in list(self.rows.items()):
                    if any(slots[pattern.position] == pattern.value for slots in tags):
                        active[pattern.position] = isinstance(message, MoveIn)
                        if not any(
                            all(active[at] for at, slot in enumerate(slots) if slot) for slots in tags
                        ):
                            del self.rows[row]


HASHES = st.sampled_from("ab")


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message of a shape whose filter is `(0 in A) or (1 in B and plain)`."""
    row = draw(st.integers(1, 4))
    first, second = draw(HASHES), draw(HASHES)
    tags = (f"{first}//", f"/{second}/1")
    active = draw(
        st.sampled_from([(True, True, True), (True, False, True), (False, True, True), (True, True, False)])
    )
    match draw(st.integers(0, 5)):
        case 0 | 1:
            return tagged(insert(row, draw(st.sampled_from("xyz"))), *tags, active=active)
        case 2:
            changed = update(row, title=draw(st.sampled_from("xyz")))
            return tagged(changed, *tags, active=active) if draw(st.booleans()) else changed
        case 3:
            return delete(row)
        case 4:
            patterns = draw(
                st.lists(st.builds(MovePattern, st.integers(0, 1), HASHES), min_size=1, max_size=2)
            )
            return MoveOut(tuple(patterns))
        case _:
            return MoveIn((MovePattern(draw(st.integers(0, 1)), draw(HASHES)),))


@given(st.lists(messages(), max_size=25), st.data())
@settings(max_examples=200, deadline=None)
def test_C_40_C_41_any_history_of_tags_and_moves_gives_the_rows_of_the_naive_reader(
    history: list[Message], data: st.DataObject
) -> None:
    db = Database(sqlite3.connect(":memory:", isolation_level=None))
    db.execute("PRAGMA legacy_alter_table = ON")
    db.table("items").create(LAYOUT.storage, pk="id")
    model = Model()
    start = 0
    try:
        while start < len(history):
            end = data.draw(st.integers(start + 1, len(history)))
            batch = fold(EMPTY, history[start:end], LAYOUT)
            if data.draw(st.booleans()):
                stage(db, LAYOUT, copy=True)
                apply_batch(db, LAYOUT, staged_name(LAYOUT), batch)
                replace_rows(db, LAYOUT)
            else:
                apply_batch(db, LAYOUT, "items", batch)
            for message in history[start:end]:
                model.take(message)
            assert {row["id"]: row["title"] for row in db["items"].rows} == {
                row: title for row, (title, _, _) in model.rows.items()
            }
            start = end
    finally:
        db.close()


def test_C_35_the_key_of_a_log_is_never_parsed() -> None:
    odd = Change(key='"public"."We.ird/T"/"a//b"c"/_', operation=Operation.INSERT, value=insert(1).value)
    assert key(1) != odd.key
    batch = fold(
        EMPTY, [odd, replace(odd, operation=Operation.UPDATE, value={"id": "1", "title": "n"})], LAYOUT
    )
    assert len(batch) == 1
