"""`shapegate up` as a user runs it: a process, its file, its signals, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FACES = {
    "proxy_url",
    "issuer_url",
    "electric_url",
    "electric_secret",
    "database_url",
    "app_database_url",
    "logins",
    "domain",
    "pid",
}


@asynccontextmanager
async def up(home: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `shapegate up`; it is killed at the end if it still runs."""
    environ = {**os.environ, "SHAPEGATE_HOME": str(home)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "shapegate_cli", "up", *words),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> None:
    """Wait for the line that says so."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := await process.stdout.readline():
            if line.startswith(b"ready"):
                return
    raise AssertionError("up ended before it was ready")


async def refused(url: str) -> bool:
    async with aiohttp.ClientSession() as http:
        try:
            await http.get(url)
        except aiohttp.ClientConnectorError:
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_up_writes_where_everything_is_and_stops_cleanly(
    open_folder: Path, number: signal.Signals
) -> None:
    home, file = open_folder / f"up {number}", open_folder / f"up {number}.json"
    async with up(home, "--port", "0", "--json", str(file)) as process:
        await ready(process)
        written = json.loads(file.read_text())
        assert set(written) == FACES
        assert written["pid"] == process.pid
        assert set(written["logins"][0]) == {"email", "password", "organization", "organization_id", "role"}
        running = home / "stack" / "running.json"
        assert running.read_text() == file.read_text()
        assert {stat.S_IMODE(each.stat().st_mode) for each in (file, running)} == {0o600}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{written['proxy_url']}/health/detailed") as answer,
        ):
            assert (answer.status, (await answer.json())["status"]) == (200, "ready")
        process.send_signal(number)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    assert await refused(written["proxy_url"])
    assert not running.exists()
    assert not (home / "stack" / "postgres" / "data" / "postmaster.pid").exists()


async def test_a_second_start_reuses_the_data_and_no_seed_leaves_the_tables_empty(open_folder: Path) -> None:
    home, file = open_folder / "up twice", open_folder / "up twice.json"
    seen = []
    for _ in range(2):
        async with up(home, "--port", "0", "--no-seed", "--json", str(file)) as process:
            await ready(process)
            seen.append(json.loads(file.read_text()))
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)
    assert [found["logins"] for found in seen] == [[], []]
    assert seen[0]["electric_secret"] == seen[1]["electric_secret"]


async def test_a_second_up_on_the_same_data_is_refused_with_a_sentence(open_folder: Path) -> None:
    home = open_folder / "up in use"
    async with up(home, "--port", "0") as first:
        await ready(first)
        async with up(home, "--port", "0") as second:
            _, said = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 1
        assert str(first.pid).encode() in said
        assert b"Traceback" not in said


async def test_a_port_that_is_taken_is_refused_with_a_sentence(open_folder: Path) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, up(open_folder / "up port", "--port", str(port)) as process:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert str(port).encode() in said
    assert b"Traceback" not in said


async def test_a_domain_that_is_not_shipped_is_refused_before_anything_starts(open_folder: Path) -> None:
    home = open_folder / "up nope"
    async with up(home, "--port", "0", "--domain", "nope") as process:
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"'nope' is not shipped; there are controls, erp, nexus" in said
    assert not home.exists()
