"""From messages to commits: what waits in memory, what lies aside, what a commit says of itself."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapegate_client.errors import StoreFailed
from shapegate_client.intake import Intake
from shapegate_client.store import Store
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Change, MoveIn, MoveOut, MovePattern, Operation, SnapshotEnd
from shapegate_wire.visibility import Visibility
from tests.client.builders import DEFINITION, TABLE, delete, insert, position, update
from tests.client.crashing import OWNER
from tests.client.ports import HeldClock
from tests.client.test_tagging import Model, messages, tagged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_client.watch import CommittedBatch
    from shapegate_wire.message import Message


@contextlib.asynccontextmanager
async def opened(path: Path, *, rows_max: int = 100) -> AsyncIterator[tuple[Store, Intake]]:
    store = await Store.open(path, OWNER)
    try:
        await store.register(DEFINITION, "http://gate")
        intake = Intake(TABLE, store, organization_id="acme", clock=HeldClock(), pending_rows_max=rows_max)
        intake.resume(None)
        yield store, intake
    finally:
        await store.close()


def titles(store: Store) -> dict[int, str | None] | None:
    """What a reader sees; None where there is no table."""
    with contextlib.closing(store.reader()) as reader:
        if not reader.table("items").exists():
            return None
        return {row["id"]: row["title"] for row in reader["items"].rows}


async def take(intake: Intake, at: str, *taken: Message, up_to_date: bool = True) -> CommittedBatch | None:
    return await intake.take(taken, position(at), up_to_date=up_to_date)


async def test_L_02_C_39_nothing_is_visible_before_up_to_date_and_then_all_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_0", insert(1), insert(2), up_to_date=False)
        assert titles(store) is None
        await take(intake, "0_inf", delete(1))
        assert titles(store) == {2: "title"}
        await take(intake, "5_0", insert(3), up_to_date=False)
        assert titles(store) == {2: "title"}
        await take(intake, "6_0")
        assert titles(store) == {2: "title", 3: "title"}


async def test_L_07_more_rows_than_the_bound_wait_on_disk(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3", rows_max=3) as (store, intake):
        for start in range(0, 30, 3):
            await take(intake, f"0_{start}", *map(insert, range(start, start + 3)), up_to_date=False)
            assert len(intake.held) == 0
        assert titles(store) is None
        await take(intake, "0_inf")
        assert titles(store) == dict.fromkeys(range(30), "title")
        await take(intake, "5_0", *map(delete, range(3)), up_to_date=False)
        assert len(intake.held) == 0
        assert titles(store) == dict.fromkeys(range(30), "title")
        await take(intake, "6_0", insert(99))
        assert titles(store) == dict.fromkeys([*range(3, 30), 99], "title")


async def test_L_04_C_18_a_restart_keeps_the_rows_before_until_the_new_copy_is_complete(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "s.sqlite3", rows_max=2) as (store, intake):
        await take(intake, "0_inf", insert(1))
        await take(intake, "5_0", insert(2), insert(3), up_to_date=False)
        intake.restart()
        await take(intake, "0_0", insert(8), insert(9), up_to_date=False)
        assert titles(store) == {1: "title"}
        batch = await take(intake, "0_inf")
        assert batch is not None
        assert batch.replaced
        assert titles(store) == {8: "title", 9: "title"}


async def test_C_44_what_is_discarded_comes_again_and_leaves_no_trace(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3", rows_max=2) as (store, intake):
        await take(intake, "0_inf", insert(1))
        await take(intake, "5_0", insert(2), insert(3), up_to_date=False)
        intake.discard()
        await take(intake, "5_0", insert(4))
        assert titles(store) == {1: "title", 4: "title"}


async def test_L_01_a_message_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf", insert(1))
        broken = Change(key="k", operation=Operation.UPDATE, value={"id": "one"})
        with pytest.raises(MalformedResponse):
            await take(intake, "5_0", delete(1), broken)
        await take(intake, "5_0")
        assert titles(store) == {1: "title"}


async def test_a_part_that_could_not_be_put_aside_stops_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    async with opened(path, rows_max=1) as (store, intake):
        await take(intake, "0_inf", insert(1))
        with contextlib.closing(sqlite3.connect(path)) as theirs:
            theirs.execute("CREATE VIEW _shapegate_staged_items AS SELECT 1")
        await take(intake, "5_0", insert(2), up_to_date=False)
        with pytest.raises(StoreFailed):
            await take(intake, "6_0", insert(3))
        assert titles(store) == {1: "title"}


async def test_C_48_a_commit_says_which_rows_and_transactions_it_holds(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (_, intake):
        loaded = await take(intake, "0_inf", insert(1), insert(2), SnapshotEnd(xmin=7, xmax=9, xip_list=(8,)))
        assert loaded is not None
        assert (loaded.replaced, loaded.inserted) == (True, ())
        assert loaded.snapshot == Visibility(xmin=7, xmax=9, running=frozenset({8}))
        hidden = tagged(insert(5), "a", active=(True,))
        out = MoveOut((MovePattern(0, "a"),))
        changed = Change(key="k6", operation=Operation.DELETE, value={"id": "6"}, txids=(41, 42))
        batch = await take(
            intake,
            "7_0",
            insert(3),
            update(3, title="x"),
            update(1, title="y"),
            delete(2),
            hidden,
            out,
            changed,
        )
        assert batch is not None
        assert not batch.replaced
        assert batch.inserted == ((3,),)
        assert batch.updated == ((1,),)
        assert set(batch.deleted) == {(2,), (5,), (6,)}
        assert batch.txids == {41, 42}
        assert batch.offset == "7_0"


async def test_C_48_the_end_of_a_move_in_acknowledges_nothing(tmp_path: Path) -> None:
    """It saw transactions whose changes of other rows may still come."""
    async with opened(tmp_path / "s.sqlite3", rows_max=2) as (_, intake):
        await take(intake, "0_inf", insert(1))
        moved = (MoveIn((MovePattern(0, "a"),)), tagged(insert(2), "a", active=(True,)))
        end = SnapshotEnd(xmin=7, xmax=9)
        batch = await take(intake, "7_0", *moved, end)
        assert batch is not None
        assert not batch.acknowledges(5)
        await take(intake, "8_0", *moved, end, up_to_date=False)
        aside = await take(intake, "9_0", end)
        assert aside is not None
        assert aside.replaced
        assert not aside.acknowledges(5)


async def test_a_poll_without_news_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf", insert(1))
        before = await store.shapes()
        assert await take(intake, "0_inf") is None
        assert await store.shapes() == before


@given(st.lists(messages(), max_size=25), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_L_03_L_07_any_bound_and_any_split_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, history: list[Message], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("split") / "s.sqlite3"
    async with opened(path, rows_max=data.draw(st.integers(1, 6))) as (store, intake):
        model, start = Model(), 0
        await take(intake, "0_inf")
        while start < len(history):
            end = data.draw(st.integers(start + 1, len(history)))
            at_end = data.draw(st.booleans()) or end == len(history)
            await take(intake, f"{end}_0", *history[start:end], up_to_date=at_end)
            for message in history[start:end]:
                model.take(message)
            if at_end:
                assert titles(store) == {row: title for row, (title, _, _) in model.rows.items()}
            start = end
