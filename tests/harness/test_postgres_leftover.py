from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_harness.postgres import EmbeddedPostgres
from shapegate_harness.postgres.errors import FolderInUse
from shapegate_harness.postgres.leftover import serves
from tests.harness.postgres_builders import Owner, alive, eventually

if TYPE_CHECKING:
    from pathlib import Path


def foreign_pid_file(pid: int) -> str:
    return f"{pid}\n/elsewhere\n1760000000\n5432\n\n127.0.0.1\n  1234567         7\nready   \n"


def dead_pid() -> int:
    with subprocess.Popen(("/bin/sh", "-c", "exit 0")) as process:
        pass
    return process.pid


async def write_a_row(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()


async def read_the_row(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT answer FROM kept")
    finally:
        await connection.close()


async def test_the_server_ends_when_its_owner_is_killed_and_the_folder_is_free(new_folder: Path) -> None:
    owner = await Owner.start(new_folder)
    with pytest.raises(FolderInUse) as caught:
        await EmbeddedPostgres.start(new_folder, durable=False)
    assert caught.value.pid == owner.process.pid
    await write_a_row(owner.url)
    await owner.end(signal.SIGKILL)
    await eventually(lambda: not alive(owner.guard_pid) and not serves(owner.pid, new_folder / "data"))
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        assert await read_the_row(postgres.url()) == 42


async def test_a_start_right_after_the_owner_was_killed_waits_for_the_old_server(new_folder: Path) -> None:
    owner = await Owner.start(new_folder)
    await write_a_row(owner.url)
    await owner.end(signal.SIGKILL)
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        assert not serves(owner.pid, new_folder / "data")
        assert await read_the_row(postgres.url()) == 42


async def test_a_server_that_outlived_owner_and_guard_is_stopped_by_the_next_start(new_folder: Path) -> None:
    owner = await Owner.start(new_folder)
    await write_a_row(owner.url)
    os.kill(owner.guard_pid, signal.SIGKILL)
    await owner.end(signal.SIGKILL)
    assert serves(owner.pid, new_folder / "data")
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        assert not serves(owner.pid, new_folder / "data")
        assert await read_the_row(postgres.url()) == 42


async def test_a_start_right_after_the_server_itself_was_killed_recovers_the_data(new_folder: Path) -> None:
    owner = await Owner.start(new_folder)
    await write_a_row(owner.url)
    os.kill(owner.pid, signal.SIGKILL)
    await owner.end(signal.SIGKILL)
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        assert await read_the_row(postgres.url()) == 42


async def test_a_pid_file_of_a_dead_another_or_no_process_does_not_hinder(new_folder: Path) -> None:
    async with EmbeddedPostgres.open(new_folder, durable=False):
        pass
    foreign = os.getpid()  # alive, of the same account when not root, and no Postgres
    for text in (foreign_pid_file(dead_pid()), foreign_pid_file(foreign), "", "nonsense"):
        (new_folder / "data" / "postmaster.pid").write_text(text)
        async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
            assert serves(postgres.pid, new_folder / "data")


async def test_only_a_postgres_on_this_data_folder_is_taken_for_one(
    postgres: EmbeddedPostgres, open_folder: Path, tmp_path: Path
) -> None:
    assert serves(postgres.pid, (open_folder / "postgres" / "data").resolve())
    assert not serves(postgres.pid, tmp_path)
    assert not serves(os.getpid(), (open_folder / "postgres" / "data").resolve())
    assert not serves(dead_pid(), (open_folder / "postgres" / "data").resolve())
