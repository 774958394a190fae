"""A process that dies, a power cut, a write that fails: at every point the store holds one of its commits."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import sqlite3
import struct
from typing import TYPE_CHECKING, Final

import pytest

from shapegate_client.errors import StoreFailed
from shapegate_client.fold import EMPTY, fold
from shapegate_client.store import Store, open_reader
from shapegate_wire.columns import Column
from shapegate_wire.message import MoveOut, MovePattern
from tests.client.builders import DEFINITION, SCHEMA, delete, insert, layout, position, update
from tests.client.crashing import OWNER
from tests.client.test_tagging import tagged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from shapegate_wire.message import Message

NOW: Final = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
LAYOUT: Final = layout()
WIDER: Final = layout((*SCHEMA, Column(name="new", type="text")))
WAL_HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24

State = tuple[str | None, tuple[tuple[object, ...], ...]]
"""The stored offset and the rows."""


async def load(store: Store) -> None:
    batch = fold(
        EMPTY, [tagged(insert(n, "x" * 300), f"h{n % 3}", active=(True,)) for n in range(60)], LAYOUT
    )
    await store.replace(LAYOUT, batch, position("0_inf"), NOW, begin=True)


async def change(store: Store) -> None:
    messages: list[Message] = [
        update(1, title="new"),
        delete(2),
        insert(70),
        MoveOut((MovePattern(0, "h0"),)),
    ]
    await store.apply(LAYOUT, fold(EMPTY, messages, LAYOUT), position("1_0"), NOW)


async def put_aside(store: Store) -> None:
    with contextlib.closing(sqlite3.connect(store.path)) as theirs:
        theirs.execute("CREATE INDEX IF NOT EXISTS by_done ON items (done)")
    batch = fold(EMPTY, [insert(n, "second") for n in range(40)], LAYOUT)
    await store.stage(LAYOUT, batch, begin=True, copy=False)


async def replace(store: Store) -> None:
    await store.replace(LAYOUT, fold(EMPTY, [insert(99)], LAYOUT), position("2_0", "h2"), NOW, begin=False)


async def change_columns(store: Store) -> None:
    await store.replace(WIDER, fold(EMPTY, [], WIDER), position("3_0", "h3"), NOW, begin=True)


STEPS: Final[tuple[Callable[[Store], Awaitable[None]], ...]] = (
    load,
    change,
    put_aside,
    replace,
    change_columns,
)


@contextlib.asynccontextmanager
async def registered(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path, OWNER)
    try:
        await store.register(DEFINITION, "http://gate")
        yield store
    finally:
        await store.close()


def read(path: Path) -> State:
    """What a reader sees, after the file was found sound."""
    with contextlib.closing(open_reader(path, OWNER)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (stored,) = db.execute("SELECT offset FROM _shapegate_shapes").fetchone() or (None,)
        rows = db.execute("SELECT * FROM items ORDER BY id").fetchall() if db.table("items").exists() else []
    return stored, tuple(rows)


async def reopened(path: Path) -> State:
    """The same, after a writer has tidied up."""
    store = await Store.open(path, OWNER)
    await store.close()
    return read(path)


def torn(path: Path, folder: Path) -> Iterator[Path]:
    """Copy a store as a power cut leaves it: its log ends at, or in the middle of, any of its frames."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    (page_bytes,) = struct.unpack_from(">I", log, 8)
    frame = FRAME_HEADER_BYTES + page_bytes
    for number, at in enumerate(range(WAL_HEADER_BYTES, len(log), frame)):
        for end in (at, at + FRAME_HEADER_BYTES // 2, at + frame // 2, at + frame):
            copy = folder / f"{number} {end}.sqlite3"
            shutil.copy(path, copy)
            copy.with_name(f"{copy.name}-wal").write_bytes(log[:end])
            yield copy


async def test_L_10_T_01_a_power_cut_at_any_frame_of_the_log_leaves_one_of_the_commits(
    tmp_path: Path,
) -> None:
    path, copies = tmp_path / "s.sqlite3", tmp_path / "torn"
    copies.mkdir()
    async with registered(path) as store:
        committed = [read(path)]
        for step in STEPS:
            await step(store)
            committed.append(read(path))
        found = [await reopened(copy) for copy in torn(path, copies)]
    # In their order, and none left out: every commit has a frame that completes it.
    order = [committed.index(state) for state in found]
    assert order == sorted(order)
    assert set(found) == set(committed)


@pytest.mark.parametrize("step", STEPS)
async def test_L_10_L_01_a_write_that_fails_anywhere_changes_nothing_and_can_be_done_again(
    tmp_path: Path, step: Callable[[Store], Awaitable[None]]
) -> None:
    path = tmp_path / "s.sqlite3"
    async with registered(path) as store:
        for earlier in STEPS[: STEPS.index(step)]:
            await earlier(store)
        before, failures, operations = read(path), 0, 1
        while True:
            await failing_after(store, operations)
            try:
                await step(store)
            except StoreFailed:
                await failing_after(store, None)
                assert read(path) == before
                failures, operations = failures + 1, operations + 1 + operations // 3
            else:
                break
        await failing_after(store, None)
        assert failures > 10
        done = read(path)
    assert await reopened(path) == done


async def failing_after(store: Store, operations: int | None) -> None:
    """Let SQLite fail once after that many of its own operations, as a full disk would; None ends that."""
    answers = iter([1])

    def arm() -> None:
        connection = store._db.conn
        if operations is None:
            connection.set_progress_handler(None, 0)
        else:
            connection.set_progress_handler(lambda: next(answers, 0), operations)

    await store._run(arm)
