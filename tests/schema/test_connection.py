from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import asyncpg
import pytest

from shapegate_schema.connection import open_connection
from shapegate_schema.errors import DatabaseRefused, DatabaseUnreachable, InvalidDatabaseUrl


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@127.0.0.1:port/db",
        "mysql://u:hunter2@127.0.0.1/db",
        "hunter2",
        "",
        "postgresql://u:hunter2@[::1/db",
        "postgresql://u:hunter2@127.0.0.1:99999/db",
    ],
)
async def test_a_url_that_does_not_parse_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl) as refused:
        async with open_connection(url):
            pass
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"postgresql://u:hunter2@127.0.0.1:{held.getsockname()[1]}/db"
        with pytest.raises(DatabaseUnreachable, match=r"database 'db' at 127\.0\.0\.1:\d+") as unreachable:
            async with open_connection(url):
                pass
    assert "hunter2" not in str(unreachable.value)


async def test_a_wrong_password_is_a_refusal(database_url: str) -> None:
    parts = urlsplit(database_url)
    url = f"postgresql://postgres:hunter2@{parts.hostname}:{parts.port}{parts.path}"
    with pytest.raises(DatabaseRefused, match="password authentication failed") as refused:
        async with open_connection(url):
            pass
    assert "hunter2" not in str(refused.value)


async def test_a_connection_that_is_cut_is_unreachable(database_url: str) -> None:
    cutter = await asyncpg.connect(database_url)

    async def work_on() -> None:
        async with open_connection(database_url) as connection:
            await cutter.execute("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())
            await connection.execute("SELECT 1")

    try:
        with pytest.raises(DatabaseUnreachable, match="was lost"):
            await work_on()
    finally:
        await cutter.close()


async def test_an_error_text_does_not_show_the_row(database_url: str) -> None:
    async def insert_twice() -> None:
        async with open_connection(database_url) as connection:
            await connection.execute("CREATE TABLE t (name text UNIQUE)")
            await connection.execute("INSERT INTO t VALUES ('secret row'), ('secret row')")

    with pytest.raises(DatabaseRefused, match="duplicate key") as refused:
        await insert_twice()
    assert "secret row" not in str(refused.value)


async def test_cancelling_a_running_statement_ends_its_session(database_url: str) -> None:
    running = asyncio.Event()

    async def hold() -> None:
        async with open_connection(database_url) as connection:
            await connection.execute("SELECT pg_advisory_lock(1)")
            running.set()
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hold())
    await asyncio.wait_for(running.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    async with open_connection(database_url) as other:
        # What the cancelled session held is free at once, not when its statement would have ended.
        await other.execute("SET lock_timeout = '5s'")
        await other.execute("SELECT pg_advisory_lock(1)")
