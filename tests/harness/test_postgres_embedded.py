from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

import shapegate_harness
from shapegate_harness.postgres import EmbeddedPostgres
from shapegate_harness.postgres.binaries import wheel_binaries
from shapegate_harness.postgres.errors import FolderInUse, FolderUnusable, VersionMismatch
from shapegate_harness.postgres.leftover import serves
from tests.harness.postgres_builders import (
    OWNER,
    Owner,
    alive,
    eventually,
    made,
    mode,
    needs_root,
    needs_user,
    open_descriptors,
    owner,
    read,
)

if TYPE_CHECKING:
    from tests.conftest import CreateDatabase


async def fetch_value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_the_server_has_what_logical_replication_needs_and_loses_no_commit(
    postgres: EmbeddedPostgres,
) -> None:
    connection = await asyncpg.connect(postgres.url())
    names = (
        "wal_level",
        "synchronous_commit",
        "listen_addresses",
        "unix_socket_directories",
        "password_encryption",
    )
    values = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in names}
    await connection.close()
    assert values == {
        "wal_level": "logical",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
    }


async def test_databases_are_utf_8_and_sort_by_code_point(database_url: str) -> None:
    query = "SELECT pg_encoding_to_char(encoding) || ' ' || datlocale FROM pg_database WHERE datname = "
    assert await fetch_value(database_url, query + "current_database()") == "UTF8 C.UTF-8"
    assert await fetch_value(database_url, "SELECT upper('é') || ('Z' < 'a')::text") == "Étrue"


async def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url(password="postgres"))


async def test_a_url_carries_any_name_and_password(
    postgres: EmbeddedPostgres, create_database: CreateDatabase
) -> None:
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("""CREATE ROLE "a/b:c@d" LOGIN PASSWORD 'p?q#r s%'""")
    await connection.close()
    database = urlsplit(await create_database()).path[1:]
    url = postgres.url(database, "a/b:c@d", "p?q#r s%")
    assert await fetch_value(url, "SELECT current_user") == "a/b:c@d"
    connection = await asyncpg.connect(postgres.url())
    await connection.execute('DROP ROLE "a/b:c@d"')
    await connection.close()


async def test_a_second_start_keeps_the_data_and_the_password(new_folder: Path) -> None:
    async with EmbeddedPostgres.open(new_folder) as first:
        assert await fetch_value(first.url(), "SHOW fsync") == "on"
        await fetch_value(first.url(), "CREATE TABLE t AS SELECT 1")
    async with EmbeddedPostgres.open(new_folder, port=first.port) as second:
        assert second.url() == first.url()
        assert await fetch_value(second.url(), "SELECT count(*) FROM t") == 1
    assert (mode(new_folder), mode(new_folder / "password")) == (0o700, 0o600)


async def test_stopping_ends_the_server_in_order_and_may_be_repeated(new_folder: Path) -> None:
    descriptors = open_descriptors()
    postgres = await EmbeddedPostgres.start(new_folder, durable=False)
    connection = await asyncpg.connect(postgres.url())
    await postgres.stop()
    await postgres.stop()
    assert not serves(postgres.pid, new_folder / "data")
    assert "database system is shut down" in (new_folder / "server.log").read_text()
    connection.terminate()
    await asyncio.sleep(0)
    assert open_descriptors() <= descriptors


async def test_an_old_handle_does_not_stop_a_later_server(new_folder: Path) -> None:
    old = await EmbeddedPostgres.start(new_folder, durable=False)
    await old.stop()
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        await old.stop()
        assert await fetch_value(postgres.url(), "SELECT 1") == 1


async def test_a_folder_in_use_is_refused_and_its_server_goes_on(new_folder: Path) -> None:
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        with pytest.raises(FolderInUse, match=f"pid {os.getpid()}"):
            await EmbeddedPostgres.start(new_folder, durable=False)
        assert await fetch_value(postgres.url(), "SELECT 1") == 1


async def test_an_exception_in_the_block_stops_the_server(new_folder: Path) -> None:
    with pytest.raises(KeyError):
        async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
            raise KeyError
    assert not serves(postgres.pid, new_folder / "data")


async def test_cancellation_of_the_block_stops_the_server(new_folder: Path) -> None:
    started: asyncio.Future[EmbeddedPostgres] = asyncio.get_running_loop().create_future()

    async def own() -> None:
        async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
            started.set_result(postgres)
            await asyncio.Event().wait()

    owning = asyncio.create_task(own())
    async with asyncio.timeout(30):
        postgres = await started
    owning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owning
    assert not serves(postgres.pid, new_folder / "data")


async def test_a_stop_whose_guard_was_killed_stops_the_server_all_the_same(new_folder: Path) -> None:
    async with EmbeddedPostgres.open(new_folder, durable=False) as postgres:
        os.kill(postgres._server.guarded.pid, signal.SIGKILL)
    assert not serves(postgres.pid, new_folder / "data")


async def test_ctrl_c_stops_the_server_in_order(new_folder: Path) -> None:
    program = await Owner.start(new_folder)
    printed = await program.end(signal.SIGINT, group=True)
    assert printed == "stopped\n"
    assert not serves(program.pid, new_folder / "data")
    assert not alive(program.guard_pid)
    assert "database system is shut down" in (new_folder / "server.log").read_text()


async def test_an_owner_that_is_terminated_without_a_word_takes_the_server_along(new_folder: Path) -> None:
    program = await Owner.start(new_folder)
    assert await program.end(signal.SIGTERM) == ""
    await eventually(lambda: not alive(program.guard_pid))
    assert not serves(program.pid, new_folder / "data")
    assert "database system is shut down" in (new_folder / "server.log").read_text()


async def test_data_of_another_major_version_are_refused_and_left_alone(new_folder: Path) -> None:
    async with EmbeddedPostgres.open(new_folder, durable=False):
        pass
    (new_folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(VersionMismatch, match="written by Postgres 17"):
        await EmbeddedPostgres.start(new_folder, durable=False)
    (new_folder / "data" / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres.open(new_folder, durable=False):
        pass


async def test_a_file_in_place_of_the_folder_is_named(open_folder: Path) -> None:
    file = open_folder / "a file"
    file.touch()
    with pytest.raises(FolderUnusable, match=r"a file' cannot be used .*set SHAPEGATE_HOME"):
        await EmbeddedPostgres.start(file)
    with pytest.raises(FolderUnusable, match="set SHAPEGATE_HOME"):
        await EmbeddedPostgres.start(file / "below")


@needs_user
async def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    closed = made(tmp_path / "closed", mode=0o500)
    with pytest.raises(FolderUnusable, match="set SHAPEGATE_HOME to a folder that you may write to"):
        await EmbeddedPostgres.start(closed / "postgres")


async def test_a_folder_reached_by_a_link_is_the_same_folder(new_folder: Path) -> None:
    link = new_folder.with_name(f"link to {new_folder.name}")
    link.symlink_to(new_folder)
    async with EmbeddedPostgres.open(new_folder, durable=False):
        with pytest.raises(FolderInUse):
            await EmbeddedPostgres.start(link, durable=False)


@needs_root
def test_as_root_the_server_runs_as_nobody(postgres: EmbeddedPostgres, open_folder: Path) -> None:
    assert postgres.pid == int(read(open_folder / "postgres" / "data" / "postmaster.pid").split()[0])
    assert owner(open_folder / "postgres" / "data" / "postmaster.pid") == pwd.getpwnam("nobody").pw_uid


@needs_root
async def test_an_ordinary_user_starts_it_from_the_wheels_own_place(new_folder: Path) -> None:
    user = pwd.getpwnam("daemon")
    made(new_folder, uid=user.pw_uid)
    python = _python_for(user.pw_uid)
    if python is None:
        pytest.skip("no Python >= 3.11 that an ordinary user of this machine can run; run the tests as one")
    program = await asyncio.create_subprocess_exec(
        python,
        "-c",
        OWNER,
        str(new_folder / "postgres"),
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd="/",
        env=_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    async with asyncio.timeout(30):
        pid, _, url = (await program.stdout.readline()).decode().split()
    assert await fetch_value(url, "SELECT 1") == 1
    assert serves(int(pid), new_folder / "postgres" / "data")
    program.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await program.communicate()
    assert not serves(int(pid), new_folder / "postgres" / "data")
    assert (new_folder / "postgres").stat().st_uid == user.pw_uid


def _environment() -> dict[str, str]:
    """Let any Python find the packages of this one; only pure Python of them is used."""
    site = wheel_binaries().postgres.parents[3]
    return {"PYTHONPATH": os.pathsep.join((str(Path(shapegate_harness.__file__).parents[1]), str(site)))}


def _python_for(uid: int) -> str | None:
    """Return a Python that the account can run with our packages, if this machine has one."""
    check = "import sys; assert sys.version_info >= (3, 11); import shapegate_harness.postgres"
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")):
        try:
            if python is not None:
                subprocess.run(
                    (python, "-c", check),
                    user=uid,
                    cwd="/",
                    env=_environment(),
                    check=True,
                    capture_output=True,
                )
                return python
        except (OSError, subprocess.SubprocessError):
            continue
    return None
