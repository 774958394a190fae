"""From messages to commits: what waits in memory, what lies aside, what a commit says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapegate_client.errors import StoreFailed
from shapegate_client.fold import Load
from shapegate_client.inserts import Inserts, Misread, look_for_inserts
from shapegate_client.intake import PART_ROWS, Intake, SubsetBehind
from shapegate_client.store import Store
from shapegate_client.watch import CommittedBatch
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import (
    Change,
    MoveIn,
    MoveOut,
    MovePattern,
    Operation,
    SnapshotEnd,
    SubsetRows,
    UpToDate,
)
from shapegate_wire.visibility import Visibility
from tests.client.builders import DEFINITION, SCHEMA, TABLE, delete, insert, position, update
from tests.client.crashing import OWNER
from tests.client.ports import HeldClock
from tests.client.test_tagging import Model, messages, tagged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

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


def part(ids: Iterable[int], **odd: str) -> Inserts:
    """A part of a snapshot that was not read yet; `odd` is in its middle row."""
    values = [{"id": str(row), "title": f"title {row}", "done": "t"} for row in ids]
    values[len(values) // 2] |= odd
    headers = {"operation": "insert", "relation": ["public", "items"]}
    printed = [{"key": f"k{value['id']}", "value": value, "headers": headers} for value in values]
    body = json.dumps(printed, separators=(",", ":")).encode()
    found = look_for_inserts(body, len(body), SCHEMA)
    assert found is not None
    return found


async def test_a_new_copy_takes_rows_in_smaller_parts(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3", rows_max=10 * PART_ROWS) as (store, intake):
        ids = range(PART_ROWS)
        await intake.take([part(ids)], position("0_0"), up_to_date=False)
        assert len(intake.held) == 0
        await take(intake, "0_inf")
        assert titles(store) == {n: f"title {n}" for n in ids}
        await take(intake, "5_0", *map(delete, ids), up_to_date=False)
        assert len(intake.held) == PART_ROWS


@pytest.mark.parametrize("up_to_date", [False, True])
@pytest.mark.parametrize("rows_max", [10, 1_000_000])
async def test_L_01_a_part_that_is_misread_has_changed_nothing(
    tmp_path: Path, rows_max: int, *, up_to_date: bool
) -> None:
    async with opened(tmp_path / "s.sqlite3", rows_max=rows_max) as (store, intake):
        await intake.take([part(range(20))], position("0_0"), up_to_date=False)
        held = intake.held
        with pytest.raises(Misread):
            await intake.take([part(range(600), done="maybe")], position("0_1"), up_to_date=up_to_date)
        assert titles(store) is None
        assert intake.held is held
        await intake.take([part(range(10, 30))], position("0_1"), up_to_date=True)
        assert titles(store) == {n: f"title {n}" for n in range(30)}


async def test_what_waits_in_memory_was_read_before(tmp_path: Path) -> None:
    """An answer that was misread is to be known as such before the next one is asked for."""
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await intake.take([part(range(5))], position("0_0"), up_to_date=False)
        (step,) = intake.held.steps
        assert isinstance(step, Load)
        assert step.rows.read is not None
        await take(intake, "0_inf")
        assert titles(store) == {n: f"title {n}" for n in range(5)}


async def test_the_keys_of_inserts_that_replace_nothing_are_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf", insert(1))
        batch = await intake.take([part(range(2, 4))], position("5_0"), up_to_date=True)
        assert batch is not None
        assert batch.inserted == ((2,), (3,))
        with pytest.raises(Misread):
            await intake.take([part(range(4, 6), id="x")], position("6_0"), up_to_date=True)
        assert titles(store) == {1: "title", 2: "title 2", 3: "title 3"}


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


async def test_a_part_that_could_not_be_put_aside_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    async with opened(path, rows_max=1) as (store, intake):
        await take(intake, "0_inf", insert(1))
        with contextlib.closing(sqlite3.connect(path)) as theirs:
            theirs.execute("CREATE VIEW _shapegate_staged_items AS SELECT 1")
        with pytest.raises(StoreFailed):
            await take(intake, "5_0", insert(2), up_to_date=False)
        assert titles(store) == {1: "title"}
        await take(intake, "6_0", insert(3))
        assert titles(store) == {1: "title", 3: "title"}


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


def subset(*rows: Change, xmin: int = 10, running: tuple[int, ...] = (), lsn: int = 500) -> SubsetRows:
    """Rows as of a moment at which all transactions below 20 had begun."""
    return SubsetRows(rows=rows, end=SnapshotEnd(xmin=xmin, xmax=20, xip_list=running), database_lsn=lsn)


async def put(intake: Intake, rows: SubsetRows) -> CommittedBatch | SubsetBehind:
    async with intake.held_still():
        return await intake.take_subset(rows)


def by(txid: int, change: Change) -> Change:
    return replace(change, txids=(txid,))


async def test_C_47_rows_of_a_subset_do_not_go_back_in_time_also_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf")
        batch = await put(intake, subset(insert(1, "new"), insert(2, "new"), running=(12,)))
        assert isinstance(batch, CommittedBatch)
        assert batch.inserted == ((1,), (2,))
        assert titles(store) == {1: "new", 2: "new"}
        seen = await take(intake, "5_0", by(11, update(1, title="old")), by(11, delete(2)), UpToDate(300))
        assert titles(store) == {1: "new", 2: "new"}
        assert seen is not None
        assert seen.acknowledges(11)
        resumed = Intake(TABLE, store, organization_id="acme", clock=HeldClock(), pending_rows_max=100)
        resumed.resume(position("5_0"), await store.ahead(DEFINITION))
        await take(resumed, "6_0", by(19, update(1, title="old")), by(12, update(2, title="newer")))
        assert titles(store) == {1: "new", 2: "newer"}
        await take(resumed, "7_0", by(20, delete(1)), UpToDate(500))
        assert titles(store) == {2: "newer"}
        assert await store.ahead(DEFINITION) == ()


async def test_C_47_a_snapshot_that_lacks_what_the_stream_has_brought_is_not_taken(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf", insert(1))
        await take(intake, "5_0", by(12, delete(1)))
        assert await put(intake, subset(insert(1), running=(12,))) == SubsetBehind()
        assert titles(store) == {}
        await put(intake, subset(insert(2)))
        assert await put(intake, subset(insert(2, "older"), running=(11,))) == SubsetBehind()
        assert titles(store) == {2: "title"}


async def test_C_47_a_subset_waits_for_the_up_to_date_of_what_is_pending(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        putting = asyncio.create_task(put(intake, subset(insert(1, "subset"))))
        await take(intake, "0_0", insert(1, "snapshot"), up_to_date=False)
        assert not putting.done()
        await take(intake, "0_inf")
        await putting
        assert titles(store) == {1: "subset"}


async def test_C_47_nothing_is_taken_in_while_a_subset_is_on_its_way(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf")
        async with intake.held_still():
            taking = asyncio.create_task(take(intake, "5_0", by(30, delete(1))))
            await intake.take_subset(subset(insert(1)))
            assert not taking.done()
        await taking
        assert titles(store) == {}


async def test_C_47_C_44_what_is_discarded_is_dropped_again_when_it_comes_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf")
        await put(intake, subset(insert(1, "new")))
        moved_in = insert(1, "moved in")
        await take(intake, "5_0", moved_in, up_to_date=False)
        intake.discard()
        await take(intake, "6_0", by(15, update(1, title="old")))
        assert titles(store) == {1: "new"}
        await take(intake, "7_0", moved_in, by(15, update(1, title="again")))
        assert titles(store) == {1: "again"}


async def test_C_47_L_04_a_new_copy_knows_nothing_of_subsets_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf")
        await put(intake, subset(insert(1, "subset")))
        async with intake.held_still():
            intake.restart()
            await intake.take_subset(subset(insert(2, "subset")))
            assert titles(store) == {1: "subset", 2: "subset"}
        await take(intake, "0_0", by(15, insert(1, "copy")), up_to_date=False)
        batch = await take(intake, "0_inf")
        assert batch is not None
        assert batch.replaced
        assert titles(store) == {1: "copy"}
        assert await store.ahead(DEFINITION) == ()


@pytest.mark.parametrize("turns", range(8))
async def test_C_47_a_cancelled_caller_leaves_no_rows_without_their_note(tmp_path: Path, turns: int) -> None:
    async with opened(tmp_path / "s.sqlite3") as (store, intake):
        await take(intake, "0_inf")
        putting = asyncio.create_task(put(intake, subset(insert(1, "new"))))
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        await asyncio.wait([putting])
        noted = await store.ahead(DEFINITION)
        assert titles(store) == ({1: "new"} if noted else {})
        await take(intake, "5_0", by(11, insert(1, "old")))
        assert titles(store) == {1: "new" if noted else "old"}


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
