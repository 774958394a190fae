"""The local store on real files."""

from __future__ import annotations

import datetime
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from shapegate_client.errors import (
    StoreDamaged,
    StoreFailed,
    StoreLocked,
    StoreMismatch,
    StoreMissing,
    UnsafeName,
)
from shapegate_client.fold import EMPTY, fold
from shapegate_client.home import Home, StoreOwner
from shapegate_client.store import Store, open_reader
from shapegate_wire.columns import Column
from shapegate_wire.message import Change, Operation
from shapegate_wire.shape import ShapeDefinition
from tests.client.builders import DEFINITION, NO_KEY, SCHEMA, delete, insert, layout, position, update

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

OWNER = StoreOwner(issuer="i", user_id="u", organization_id="acme")
OTHER = StoreOwner(issuer="i", user_id="u", organization_id="globex")
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
URL = "http://gate"
LAYOUT = layout()


def titles(db: Database) -> dict[int, str | None]:
    return {row["id"]: row["title"] for row in db["items"].rows}


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def filled(path: Path, *rows: int) -> Store:
    """A store whose shape was read once."""
    store = await Store.open(path, OWNER)
    await store.register(DEFINITION, URL)
    batch = fold(EMPTY, [insert(row, f"title {row}") for row in rows], LAYOUT)
    await store.replace(LAYOUT, batch, position("0_inf"), NOW, begin=True)
    return store


async def test_T_01_rows_and_position_are_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "a b.sqlite3"
    store = await filled(path, 1, 2)
    batch = fold(EMPTY, [delete(1), update(2, title="x"), insert(3, "new")], LAYOUT)
    await store.apply(LAYOUT, batch, position("7_0", cursor="9"), NOW)
    await store.close()
    again = await Store.open(path, OWNER)
    try:
        assert await again.register(DEFINITION, URL) == position("7_0", cursor="9")
        reader = again.reader()
        assert titles(reader) == {2: "x", 3: "new"}
        assert reader.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        reader.close()
    finally:
        await again.close()


async def test_L_11_every_file_of_a_store_is_closed_to_others(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1)
    try:
        modes = modes_in(tmp_path)
    finally:
        await store.close()
    assert set(modes) == {"s.sqlite3", "s.sqlite3-wal", "s.sqlite3-shm", "s.sqlite3.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await filled(path, 1)
    try:
        with pytest.raises(StoreLocked):
            await Store.open(path, OWNER)
        reader = open_reader(path, OWNER)
        assert titles(reader) == {1: "title 1"}
        reader.close()
    finally:
        await store.close()
    after = open_reader(path, OWNER)
    assert titles(after) == {1: "title 1"}
    after.close()


async def test_a_reader_cannot_write_even_where_it_tries_to_turn_that_off(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1)
    reader = store.reader()
    try:
        for statement in ("DELETE FROM items", "PRAGMA query_only = OFF", "DELETE FROM items"):
            if statement.startswith("PRAGMA"):
                reader.conn.execute(statement)
                continue
            with pytest.raises(sqlite3.OperationalError):
                reader.conn.execute(statement)
        assert titles(reader) == {1: "title 1"}
    finally:
        reader.close()
        await store.close()


async def test_C_18_T_10_a_copy_in_preparation_shows_nothing_until_it_is_complete(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1, 2)
    reader = store.reader()
    try:
        await store.stage(LAYOUT, fold(EMPTY, [insert(8)], LAYOUT), begin=True)
        await store.stage(LAYOUT, fold(EMPTY, [insert(9)], LAYOUT), begin=False)
        assert set(titles(reader)) == {1, 2}
        await store.replace(
            LAYOUT, fold(EMPTY, [insert(10)], LAYOUT), position("5_0", "h2"), NOW, begin=False
        )
        assert set(titles(reader)) == {8, 9, 10}
        assert not [name for name in reader.table_names() if "staged" in name]
    finally:
        reader.close()
        await store.close()


async def test_a_copy_left_by_a_crash_is_dropped_and_the_rows_before_stay(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await filled(path, 1)
    await store.stage(LAYOUT, fold(EMPTY, [insert(8)], LAYOUT), begin=True)
    await store.close()
    again = await Store.open(path, OWNER)
    reader = again.reader()
    try:
        assert await again.register(DEFINITION, URL) == position("0_inf")
        assert set(titles(reader)) == {1}
        assert not [name for name in reader.table_names() if "staged" in name]
    finally:
        reader.close()
        await again.close()


async def test_a_copy_can_begin_with_the_present_rows(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1, 2)
    reader = store.reader()
    try:
        await store.stage(LAYOUT, fold(EMPTY, [delete(1)], LAYOUT), begin=True, copy=True)
        await store.replace(LAYOUT, fold(EMPTY, [insert(3)], LAYOUT), position("5_0"), NOW, begin=False)
        assert set(titles(reader)) == {2, 3}
    finally:
        reader.close()
        await store.close()


async def test_T_02_a_position_of_another_definition_or_server_is_not_continued(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1)
    try:
        assert await store.register(DEFINITION, URL) == position("0_inf")
        assert await store.register(DEFINITION, "http://other") is None
        assert await store.register(DEFINITION, "http://other") is None
        narrower = ShapeDefinition(table="items", columns=("id",))
        assert await store.register(narrower, "http://other") is None
        reader = store.reader()
        assert titles(reader) == {1: "title 1"}
        reader.close()
    finally:
        await store.close()


async def test_T_02_a_store_of_another_owner_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    await (await filled(path, 1)).close()
    with pytest.raises(StoreMismatch):
        await Store.open(path, OTHER)
    with pytest.raises(StoreMismatch):
        open_reader(path, OTHER)
    await (await Store.open(path, OWNER)).close()


async def test_a_store_of_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    await (await filled(path, 1)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreMismatch, match="99"):
        await Store.open(path, OWNER)


async def test_a_damaged_store_says_that_it_holds_copies_only(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"this was a database once " * 100)
    with pytest.raises(StoreDamaged, match="sync again"):
        await Store.open(path, OWNER)
    with pytest.raises(StoreDamaged):
        open_reader(path, OWNER)
    with pytest.raises(StoreMissing):
        open_reader(tmp_path / "none.sqlite3", OWNER)


async def test_L_09_a_changed_schema_replaces_the_table_and_keeps_views_and_what_still_fits(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.sqlite3"
    store = await filled(path, 1)
    theirs = sqlite3.connect(path)
    theirs.executescript(
        "CREATE TABLE mine (id); INSERT INTO mine VALUES (1); CREATE VIEW seen AS SELECT title FROM items;"
        "CREATE INDEX by_title ON items (title); CREATE INDEX by_done ON items (done);"
    )
    theirs.close()
    changed = layout((*SCHEMA[:2], Column(name="new", type="jsonb")))
    change = Change(key="k4", operation=Operation.INSERT, value={"id": "4", "title": "four", "new": "{}"})
    batch = fold(EMPTY, [change], changed)
    try:
        await store.replace(changed, batch, position("5_0"), NOW, begin=True)
        reader = store.reader()
        assert list(reader["items"].rows) == [{"id": 4, "new": "{}", "title": "four"}]
        assert list(reader.query("SELECT * FROM seen")) == [{"title": "four"}]
        assert list(reader["mine"].rows) == [{"id": 1}]
        assert [index.name for index in reader.table("items").indexes] == ["by_title"]
        reader.close()
    finally:
        await store.close()


async def test_a_new_copy_of_the_same_columns_keeps_indexes_and_triggers(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await filled(path, 1)
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE INDEX by_title ON items (title)")
    theirs.close()
    try:
        await store.replace(LAYOUT, fold(EMPTY, [insert(2)], LAYOUT), position("5_0", "h2"), NOW, begin=True)
        reader = store.reader()
        assert [index.name for index in reader.table("items").indexes] == ["by_title"]
        reader.close()
    finally:
        await store.close()


async def test_a_table_without_a_key_takes_equal_rows_and_nulls(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "s.sqlite3", OWNER)
    planned = layout(NO_KEY)
    changes = [
        Change(key=key, operation=Operation.INSERT, value={"a": None, "b": "x"}) for key in ("k1", "k2")
    ]
    try:
        await store.register(DEFINITION, URL)
        await store.replace(planned, fold(EMPTY, changes, planned), position("0_inf"), NOW, begin=True)
        reader = store.reader()
        assert [row["_key"] for row in reader["items"].rows] == ["k1", "k2"]
        reader.close()
    finally:
        await store.close()


async def test_L_08_a_table_of_the_users_own_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await Store.open(path, OWNER)
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE Items (mine)")
    theirs.close()
    try:
        with pytest.raises(UnsafeName, match="of its own"):
            await store.register(DEFINITION, URL)
        await store.register(ShapeDefinition(table="users"), URL)
        with pytest.raises(UnsafeName, match="case only"):
            await store.register(ShapeDefinition(table='"Users"'), URL)
    finally:
        await store.close()


async def test_forgetting_removes_rows_and_position(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1)
    try:
        await store.forget(DEFINITION)
        assert await store.shapes() == ()
        reader = store.reader()
        assert not reader.table("items").exists()
        reader.close()
    finally:
        await store.close()


async def test_a_batch_that_fails_midway_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await filled(path, 1)
    theirs = sqlite3.connect(path)
    theirs.execute(
        "CREATE TRIGGER full BEFORE INSERT ON items WHEN new.id = 9 "
        "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    theirs.close()
    try:
        with pytest.raises(StoreFailed, match="disk full"):
            await store.apply(LAYOUT, fold(EMPTY, [delete(1), insert(9)], LAYOUT), position("7_0"), NOW)
        assert await store.register(DEFINITION, URL) == position("0_inf")
        reader = store.reader()
        assert set(titles(reader)) == {1}
        reader.close()
    finally:
        await store.close()


async def test_a_closed_store_says_so_and_closes_twice(tmp_path: Path) -> None:
    store = await filled(tmp_path / "s.sqlite3", 1)
    await store.close()
    await store.close()
    with pytest.raises(StoreFailed, match="closed"):
        await store.shapes()


async def test_T_03_two_orgs_behind_one_url_do_not_share_a_position(tmp_path: Path) -> None:
    home = Home(tmp_path)
    acme = await filled(home.store_path(OWNER), 1)
    globex = await Store.open(home.store_path(OTHER), OTHER)
    try:
        assert await globex.register(DEFINITION, URL) is None
        assert await acme.register(DEFINITION, URL) == position("0_inf")
        reader = globex.reader()
        assert not reader.table("items").exists()
        reader.close()
    finally:
        await acme.close()
        await globex.close()
