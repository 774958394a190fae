"""Switch and logout where the process dies midway: the next session finishes or undoes them."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shapegate_client import Session, ShapeDefinition, Step
from shapegate_client.errors import NotLoggedIn
from shapegate_client.store import Store, open_reader
from tests.client.builders import DEFINITION
from tests.client.crashing import OWNER, KeptCredentials
from tests.client.servers import Gate, served

if TYPE_CHECKING:
    from sqlite_utils import Database

ROOT = Path(__file__).parents[2]
WAIT = 15.0
BEFORE = (Step.JOURNALED, Step.QUIESCED, Step.AUTHORIZED)
AFTER = (Step.ADOPTED, Step.CLEARED, Step.SUBSCRIBED, Step.PUBLISHED)


def gate_with_rows() -> Gate:
    gate = Gate()
    gate.create("acme", "items", {1: "a1"})
    gate.create("globex", "items", {2: "g2"})
    return gate


async def crash(home: Path, url: str, what: str, step: Step) -> None:
    (home / "credentials.json").write_text("logged in")  # a test
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.client.crashing", str(home), url, what, step.name, cwd=ROOT
    )
    async with asyncio.timeout(WAIT):
        assert await process.wait() == -signal.SIGKILL


def stores_in(home: Path) -> int:
    return len(list(home.glob("stores/*/*.sqlite3")))


def titles(db: Database) -> set[str]:
    return {row["title"] for row in db["items"].rows}


@pytest.mark.parametrize("step", BEFORE)
async def test_a_crash_before_the_adoption_leaves_the_old_org(tmp_path: Path, step: Step) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url:
        await crash(tmp_path, url, "purge", step)
        async with Session.open(url, KeptCredentials(tmp_path), home=tmp_path) as session:
            assert session.principal.organization.id == "acme"
            assert titles(session.db) == {"a1"}
            assert not (tmp_path / "journal.json").exists()  # a test


@pytest.mark.parametrize("step", AFTER)
@pytest.mark.parametrize("what", ["switch", "purge"])
async def test_a_crash_after_the_adoption_is_finished_by_the_next_session(
    tmp_path: Path, what: str, step: Step
) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url:
        await crash(tmp_path, url, what, step)
        async with Session.open(url, KeptCredentials(tmp_path), home=tmp_path) as session:
            assert session.principal.organization.id == "globex"
            assert [shape.name for shape in await session.stored()] == ["items"]
            assert stores_in(tmp_path) == (1 if what == "purge" else 2)
            assert not (tmp_path / "journal.json").exists()  # a test
            await session.subscribe(ShapeDefinition(table="items"))
            await session.up_to_date(timeout=WAIT)
            assert titles(session.db) == {"g2"}


@pytest.mark.parametrize("step", [Step.JOURNALED, Step.QUIESCED, Step.ROWS_REMOVED, Step.TOKENS_REMOVED])
async def test_T_06_a_logout_that_died_midway_is_finished_by_the_next_session(
    tmp_path: Path, step: Step
) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url:
        await crash(tmp_path, url, "logout", step)
        with pytest.raises(NotLoggedIn):
            await Session.start(url, KeptCredentials(tmp_path), home=tmp_path)
    assert stores_in(tmp_path) == 0
    assert not (tmp_path / "credentials.json").exists()  # a test
    assert not (tmp_path / "journal.json").exists()  # a test


async def test_L_10_a_kill_between_or_inside_of_commits_leaves_rows_and_position_of_one_batch(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.sqlite3"
    last = 0
    for commits in (1, 7, 20, 33):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.client.crashing", "apply", str(path)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(WAIT):
            for _ in range(commits):
                said = int(await process.stdout.readline())
            process.kill()
            await process.communicate()
        db = open_reader(path, OWNER)
        try:
            rows = {row["id"]: row["title"] for row in db["items"].rows}
            assert db.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        finally:
            db.close()
        store = await Store.open(path, OWNER)
        at = await store.register(DEFINITION, "http://gate")
        await store.close()
        assert at is not None
        assert at.offset.lsn >= said > last
        assert rows[0] == str(at.offset.lsn)
        assert set(rows) == set(range(at.offset.lsn + 1))
        last = at.offset.lsn


async def python(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.client.crashing", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_T_10_L_02_readers_of_other_processes_see_whole_states_while_one_process_writes(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "s.sqlite3")
    writer = await python("apply", path)
    try:
        assert writer.stdout is not None
        async with asyncio.timeout(60):
            assert await writer.stdout.readline() == b"1\n"
            readers = [await python("read", path, "20") for _ in range(3)]
            second = await python("apply", path)
            _, refusal = await second.communicate()
            drained = asyncio.create_task(writer.stdout.read())
            for reader in readers:
                _, err = await reader.communicate()
                assert (reader.returncode, err) == (0, b"")
    finally:
        writer.kill()
        await writer.wait()
    assert b"StoreLocked" in refusal
    assert await drained
