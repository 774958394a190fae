"""A whole log is taken in: by a bare executemany, by the client and by the TypeScript client, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlite_utils import Database

from benchmarks.client_log import COLUMNS, TABLE, chunk_sizes, make_rows
from benchmarks.client_typescript import NoTypeScript, installed, load_typescript
from benchmarks.figure import Bound, Figure, Goal, judge, ratios
from benchmarks.running import WrongAnswer
from benchmarks.turns import rotated
from shapegate_client.store import PRAGMAS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from benchmarks.figure import Result

LOAD: Final = Goal(
    name="a log over HTTP to SQLite",
    unit="x a bare executemany",
    bound=Bound.AT_LEAST,
    value=0.45,
    aim=0.65,
)
RATE: Final = Goal(name="the same", unit="rows/s", bound=Bound.AT_LEAST, value=100_000, gated=False)
CPU: Final = Goal(name="CPU of it", unit="us a row", bound=Bound.AT_MOST, value=4.0, gated=False)
MEMORY: Final = Goal(name="peak memory of it", unit="MB", bound=Bound.AT_MOST, value=200, aim=110)
STALL: Final = Goal(name="longest stall of the event loop", unit="ms", bound=Bound.AT_MOST, value=50, aim=15)
TYPESCRIPT: Final = Goal(
    name="the log, against the TypeScript Shape", unit="x", bound=Bound.AT_LEAST, value=4, gated=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What one load by the client took."""

    seconds: float
    cpu_seconds: float
    """Of all threads."""
    peak_bytes: float
    stall_seconds: float
    """The longest time for which the event loop did nothing else."""


@dataclass(slots=True, kw_only=True)
class Loads:
    """What was measured so far, round by round."""

    bare_seconds: list[float] = field(default_factory=list)
    client: list[Loaded] = field(default_factory=list)
    typescript_seconds: list[float] = field(default_factory=list)
    missing: str = ""
    """Why the TypeScript client is not measured any more; empty while it is."""


async def measure_loads(
    url: str, folder: Path, *, rows: int, rounds: int, on_progress: Callable[[str], None]
) -> tuple[Result, ...]:
    """Take the log in by each, each round beginning with another one. Raises WrongAnswer."""
    loads = Loads()
    async with _typescript(loads) as script:
        for number in range(rounds):
            on_progress(f"loading {rows} rows, {number + 1} of {rounds}")
            turns: list[Callable[[], Awaitable[None]]] = [
                partial(_bare, loads, folder / f"bare {number}.sqlite3", rows),
                partial(_client, loads, url, folder / f"home {number}", rows),
                partial(_typescript_load, loads, script, url, rows),
            ]
            for turn in rotated(turns, number):
                await turn()
    return figures(loads, rows=rows)


def figures(loads: Loads, *, rows: int) -> tuple[Result, ...]:
    """Compare what was measured in the same round. Pure."""
    seconds = [each.seconds for each in loads.client]
    against = None if loads.missing else ratios(loads.typescript_seconds, seconds)
    return (
        Figure(goal=LOAD, rounds=ratios(loads.bare_seconds, seconds)),
        Figure(goal=RATE, rounds=tuple(rows / each for each in seconds)),
        Figure(goal=CPU, rounds=tuple(1_000_000 * each.cpu_seconds / rows for each in loads.client)),
        Figure(goal=MEMORY, rounds=tuple(each.peak_bytes / 1_000_000 for each in loads.client)),
        Figure(goal=STALL, rounds=tuple(1_000 * each.stall_seconds for each in loads.client)),
        judge(TYPESCRIPT, against, missing=loads.missing),
    )


def read_loaded(said: bytes, *, rows: int) -> Loaded:
    """Read what `client_load` printed. Raises WrongAnswer if other than so many rows arrived. Pure."""
    loaded: dict[str, float] = json.loads(said)
    if loaded["rows"] != rows:
        raise WrongAnswer(f"{loaded['rows']} rows arrived: expected {rows}")
    return Loaded(**{name: loaded[name] for name in Loaded.__dataclass_fields__})


def open_bare(path: Path) -> Database:
    """Open a file with the client's settings and the empty table of the log; the caller closes it."""
    db = Database(sqlite3.connect(path, isolation_level=None))
    for pragma in PRAGMAS:
        db.conn.execute(pragma)
    db.table(TABLE).create(COLUMNS, pk="id")
    return db


@contextlib.asynccontextmanager
async def _typescript(loads: Loads) -> AsyncIterator[Path | None]:
    """Have the TypeScript client for the block; None without it."""
    async with contextlib.AsyncExitStack() as stack:
        script = None
        try:
            script = await stack.enter_async_context(installed())
        except NoTypeScript as exc:
            loads.missing = str(exc)
        yield script


async def _typescript_load(loads: Loads, script: Path | None, url: str, rows: int) -> None:
    if script is None or loads.missing:
        return
    try:
        loaded = await load_typescript(script, url)
    except NoTypeScript as exc:
        loads.missing = str(exc)
        return
    if loaded["rows"] != rows:
        raise WrongAnswer(f"TypeScript took {loaded['rows']} rows in: expected {rows}")
    loads.typescript_seconds.append(loaded["seconds"])


async def _client(loads: Loads, url: str, home: Path, rows: int) -> None:
    loads.client.append(await load_by_client(url, home, rows=rows))


async def load_by_client(url: str, home: Path, *, rows: int) -> Loaded:
    """Let a client of its own take the log in below `home`. Raises WrongAnswer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.client_load", url, str(home)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    if process.returncode != 0:
        raise WrongAnswer(f"the client failed: {errors.decode(errors='replace')[-2_000:]}")
    return read_loaded(out, rows=rows)


async def _bare(loads: Loads, path: Path, rows: int) -> None:
    loads.bare_seconds.append(await asyncio.to_thread(_bare_seconds, path, rows))


def _bare_seconds(path: Path, rows: int) -> float:
    """Time a bare executemany of ready tuples: the same columns and file settings, a transaction a chunk."""
    db = open_bare(path)
    seconds = 0.0
    try:
        for start, count in chunk_sizes(rows):
            ready = make_rows(start, count)
            started = time.perf_counter()
            db.conn.execute("BEGIN")
            db.conn.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?)", ready)  # noqa: S608  # constant
            db.conn.execute("COMMIT")
            seconds += time.perf_counter() - started
    finally:
        db.close()
    return seconds
