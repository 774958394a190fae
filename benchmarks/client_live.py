"""How soon rows are there: from a commit in Postgres, and after a switch to an org that was synced before."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import asyncpg
from aiohttp import web

from benchmarks.client_load import GivenCredentials
from benchmarks.client_log import TABLE
from benchmarks.running_stack import RunningStack, run_stack
from shapegate_client import Session, ShapeDefinition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LIVE_TABLE: Final = "bench_commits"
_SQL: Final = f"""
    CREATE TABLE {LIVE_TABLE} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL);
    ALTER TABLE {LIVE_TABLE} REPLICA IDENTITY FULL;
    ALTER PUBLICATION electric_publication_default ADD TABLE {LIVE_TABLE};
    GRANT SELECT ON {LIVE_TABLE} TO electric;
"""
_PASSED: Final = ("electric-handle", "electric-offset", "electric-schema", "electric-cursor", "content-type")
_SECONDS_MAX: Final = 30.0
_HELD_SECONDS: Final = 0.02
"""No event tells that a request is held; this is ten times what it takes."""


class LateRow(Exception):
    """A row that was committed did not arrive."""


async def measure_live(folder: Path, *, rounds: int, commits: int) -> tuple[list[float], list[float]]:
    """Measure p50 from commit to row in milliseconds: by the client, into SQLite, and by a raw long poll.

    They take turns on one stack. Raises LateRow or StackFailed.
    """
    client, raw = [], []
    async with run_stack(folder / "stack") as stack, _relayed(stack) as url:
        connection = await asyncpg.connect(stack.database_url)
        try:
            await connection.execute(_SQL)
            for _ in range(rounds):
                raw.append(await _raw_ms(url, connection, commits))
                client.append(await _client_ms(url, folder / "live home", connection, commits))
        finally:
            await connection.close()
    return client, raw


async def measure_switch(url: str, home: Path, *, rounds: int) -> list[float]:
    """Time switches between two orgs that were synced, until the first rows are read; milliseconds."""
    waited = []
    async with Session.open(url, GivenCredentials(), home=home) as session:
        await session.subscribe(ShapeDefinition(table=TABLE))
        await session.up_to_date(timeout=_SECONDS_MAX)
        for number in range(rounds + 1):
            entered = "other" if number % 2 == 0 else "bench"
            started = time.perf_counter()
            await session.switch(entered)
            rows = [] if number == 0 else session.db.execute(f"SELECT * FROM {TABLE} LIMIT 50").fetchall()  # noqa: S608  # constant
            seconds = time.perf_counter() - started
            if number and len(rows) != 50:
                raise LateRow(f"{len(rows)} rows were there after a switch: expected 50")
            waited.append(1_000 * seconds)
            await session.up_to_date(timeout=_SECONDS_MAX)
    return waited[1:]  # the first one was to an org that was new


async def _client_ms(url: str, home: Path, connection: asyncpg.Connection, commits: int) -> float:
    waited = []
    async with Session.open(url, GivenCredentials(), home=home) as session, asyncio.timeout(_SECONDS_MAX):
        await session.subscribe(ShapeDefinition(table=LIVE_TABLE))
        await session.up_to_date()
        watcher = session.watch(LIVE_TABLE)
        for number in range(commits):
            await asyncio.sleep(_HELD_SECONDS)
            note = await _commit(connection, number)
            committed = time.perf_counter()
            await anext(watcher)
            waited.append(time.perf_counter() - committed)
            found = session.db.execute(f"SELECT max(note) FROM {LIVE_TABLE} WHERE note = ?", [note])  # noqa: S608  # constant
            if found.fetchone() != (note,):
                raise LateRow(f"commit {number} was told, but its row is not there")
    return 1_000 * statistics.median(waited)


async def _raw_ms(url: str, connection: asyncpg.Connection, commits: int) -> float:
    """Time from the acknowledged commit to the complete answer of a held request by the same way."""
    waited = []
    async with aiohttp.ClientSession() as http, asyncio.timeout(_SECONDS_MAX):
        ask = _Poll(http, f"{url}/api/electric/orgs/raw/sync")
        while not await ask.next(live=False):
            pass
        for number in range(commits):
            held = asyncio.create_task(ask.next(live=True))
            await asyncio.sleep(_HELD_SECONDS)
            note = await _commit(connection, number)
            committed = time.perf_counter()
            await held
            waited.append(time.perf_counter() - committed)
            if note.encode() not in ask.body:
                raise LateRow(f"the answer after commit {number} does not hold its row")
    return 1_000 * statistics.median(waited)


class _Poll:
    """One reader of the log."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._position = {"offset": "-1"}
        self.body = b""

    async def next(self, *, live: bool) -> bool:
        """Read an answer; tell whether it ends with up-to-date."""
        query = {"table": LIVE_TABLE, **self._position, **({"live": "true"} if live else {})}
        async with self._http.get(self._url, params=query) as response:
            self.body = await response.read()
            self._position = {
                "offset": response.headers["electric-offset"],
                "handle": response.headers["electric-handle"],
            }
        return b'"up-to-date"' in self.body


async def _commit(connection: asyncpg.Connection, number: int) -> str:
    note = f"commit {number} at {time.monotonic_ns()}"
    await connection.execute(f"INSERT INTO {LIVE_TABLE} (note) VALUES ($1)", note)  # noqa: S608  # constant
    return note


@contextlib.asynccontextmanager
async def _relayed(stack: RunningStack) -> AsyncIterator[str]:
    """Pass requests of any org on to the stack's Electric, for client and poll alike. Yields the address."""
    async with aiohttp.ClientSession() as http:

        async def answer(request: web.Request) -> web.Response:
            query = [*request.query.items(), ("secret", stack.electric_secret)]
            async with http.get(f"{stack.electric_url}/v1/shape", params=query) as response:
                headers = {name: response.headers[name] for name in _PASSED if name in response.headers}
                if "electric-up-to-date" in response.headers:
                    headers["electric-up-to-date"] = ""
                return web.Response(status=response.status, body=await response.read(), headers=headers)

        app = web.Application()
        app.router.add_get("/api/electric/orgs/{org}/sync", answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
