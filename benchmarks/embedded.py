"""The figures of the embedded stack (PERFORMANCE, "Embedded stack"), measured on `shapegate up` as it is."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import asyncpg

from benchmarks.figure import Bound, Figure, Goal, Result, Skipped
from benchmarks.processes import NoProc, cpu_seconds
from benchmarks.running import WrongAnswer
from benchmarks.running_stack import RunningStack, run_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

READY_WARM: Final = Goal(name="ready, warm", unit="s", bound=Bound.AT_MOST, value=1.5)
READY_FIRST: Final = Goal(name="ready, first use", unit="s", bound=Bound.AT_MOST, value=4.0)
IDLE: Final = Goal(name="idle CPU, one request held", unit="% of a core", bound=Bound.AT_MOST, value=2.0)
ANSWER: Final = Goal(name="commit to answer, p50", unit="ms", bound=Bound.AT_MOST, value=10.0)
ANSWER_AFTER_BULK: Final = Goal(
    name="the same after 25 MB of writes", unit="ms", bound=Bound.AT_MOST, value=10.0, gated=False
)
SHAPE: Final = Goal(name="a shape of 100,000 rows", unit="MB/s", bound=Bound.AT_LEAST, value=20.0)

_ROWS: Final = 100_000
_LIVE_TABLE: Final = """
    CREATE TABLE bench_live (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL);
    ALTER TABLE bench_live REPLICA IDENTITY FULL;
    ALTER PUBLICATION electric_publication_default ADD TABLE bench_live;
    GRANT SELECT ON bench_live TO electric;
"""
# Made after the other figures: for some seconds each read of a slot goes through such a bulk of log again.
_LARGE_TABLE: Final = """
    CREATE TABLE bench_rows (id uuid PRIMARY KEY, organization_id uuid NOT NULL, name text NOT NULL,
        note text, amount numeric(12,2), done boolean NOT NULL, inserted_at timestamptz NOT NULL);
    INSERT INTO bench_rows SELECT gen_random_uuid(), gen_random_uuid(), 'row ' || i, repeat(md5(i::text), 2),
        i / 100.0, i % 2 = 0, now() FROM generate_series(1, 100000) i;
    ALTER TABLE bench_rows REPLICA IDENTITY FULL;
    ALTER PUBLICATION electric_publication_default ADD TABLE bench_rows;
    GRANT SELECT ON bench_rows TO electric;
    ANALYZE bench_rows;
"""
_ANSWER_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How often and how long to measure."""

    first: int
    warm: int
    idle: int
    idle_seconds: float
    answers: int
    commits: int
    shapes: int


FULL: Final = Rounds(first=3, warm=5, idle=3, idle_seconds=10.0, answers=5, commits=60, shapes=5)
QUICK: Final = Rounds(first=1, warm=3, idle=1, idle_seconds=4.0, answers=3, commits=30, shapes=3)


async def measure(*, quick: bool, on_progress: Callable[[str], None]) -> tuple[Result, ...]:
    """Measure every figure. Raises StackFailed, WrongAnswer."""
    rounds = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="shapegate bench ") as name:
        folder = Path(name)
        Path.chmod(folder, 0o711)  # The server's account passes through where this runs as root.
        on_progress("starting for the first time")
        first = [await _ready(folder / f"home {number}") for number in range(rounds.first)]
        on_progress("starting again")
        home = folder / "home 0"
        warm = [await _ready(home) for _ in range(rounds.warm)]
        async with run_stack(home) as stack, _open_electric(stack) as electric:
            await _execute(stack, _LIVE_TABLE)
            on_progress("idling")
            idle = await _idle(electric, rounds)
            on_progress("waiting for commits")
            answers = [await _answer_ms(electric, rounds.commits) for _ in range(rounds.answers)]
            on_progress("reading large shapes")
            await _execute(stack, _LARGE_TABLE)
            shapes = [await _shape_rate(electric, number) for number in range(rounds.shapes)]
            on_progress("waiting for commits again")
            later = [await _answer_ms(electric, rounds.commits) for _ in range(rounds.answers)]
    return (
        Figure(goal=READY_FIRST, rounds=tuple(first)),
        Figure(goal=READY_WARM, rounds=tuple(warm)),
        idle,
        Figure(goal=ANSWER, rounds=tuple(answers)),
        Figure(goal=ANSWER_AFTER_BULK, rounds=tuple(later)),
        Figure(goal=SHAPE, rounds=tuple(shapes)),
    )


async def _ready(home: Path) -> float:
    async with run_stack(home) as stack:
        return stack.ready_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Electric:
    """The development Electric of a stack, asked directly."""

    stack: RunningStack
    session: aiohttp.ClientSession

    async def ask(self, query: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        """Ask for a shape. Raises WrongAnswer unless it is a 200."""
        params = {**query, "secret": self.stack.electric_secret}
        async with self.session.get(f"{self.stack.electric_url}/v1/shape", params=params) as response:
            body = await response.read()
            if response.status != 200:
                raise WrongAnswer(f"{query} was answered with {response.status}: {body[:300]!r}")
            return body, response.headers


@asynccontextmanager
async def _open_electric(stack: RunningStack) -> AsyncIterator[_Electric]:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield _Electric(stack=stack, session=session)


async def _execute(stack: RunningStack, sql: str) -> None:
    connection = await asyncpg.connect(stack.database_url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _read(electric: _Electric, query: Mapping[str, str]) -> tuple[int, int, dict[str, str]]:
    """Read a shape up to date; return the bytes, the inserts and the position."""
    position, size, inserts = {"offset": "-1"}, 0, 0
    while True:
        body, headers = await electric.ask({**query, **position})
        size += len(body)
        inserts += body.count(b'"operation":"insert"')
        position = {"offset": headers["electric-offset"], "handle": headers["electric-handle"]}
        if "electric-up-to-date" in headers:
            return size, inserts, position


async def _idle(electric: _Electric, rounds: Rounds) -> Result:
    query = {"table": "bench_live"}
    _, _, position = await _read(electric, query)
    held = asyncio.create_task(_hold(electric, query | position))
    try:
        shares = []
        for _ in range(rounds.idle):
            before, started = cpu_seconds(electric.stack.pid), time.monotonic()
            await asyncio.sleep(rounds.idle_seconds)
            used, seconds = cpu_seconds(electric.stack.pid) - before, time.monotonic() - started
            if held.done():
                await held
                raise WrongAnswer("nobody waits any more, though nothing was written")
            shares.append(100 * used / seconds)
    except NoProc as exc:
        return Skipped(goal=IDLE, reason=str(exc))
    finally:
        held.cancel()
        await asyncio.wait({held})
    return Figure(goal=IDLE, rounds=tuple(shares))


async def _hold(electric: _Electric, query: Mapping[str, str]) -> None:
    """Keep one live request held."""
    while True:
        await electric.ask({**query, "live": "true"})


async def _answer_ms(electric: _Electric, commits: int) -> float:
    """Time from the acknowledged commit to the complete answer of a held request; the median."""
    query = {"table": "bench_live"}
    _, _, position = await _read(electric, query)
    connection = await asyncpg.connect(electric.stack.database_url)
    try:
        waited = []
        for number in range(commits):
            held = asyncio.create_task(_timed(electric, {**query, **position, "live": "true"}))
            # No event tells a client that its request is held; this is ten times what it takes.
            await asyncio.sleep(0.02)
            note = f"commit {number}"
            await connection.execute("INSERT INTO bench_live (note) VALUES ($1)", note)
            committed = time.monotonic()
            body, headers, answered = await held
            if note.encode() not in body:
                raise WrongAnswer(f"the answer to a commit does not hold its row, but {len(body)} bytes")
            position = {"offset": headers["electric-offset"], "handle": headers["electric-handle"]}
            waited.append(1_000 * max(0.0, answered - committed))
    finally:
        await connection.close()
    return statistics.median(waited)


async def _timed(electric: _Electric, query: Mapping[str, str]) -> tuple[bytes, Mapping[str, str], float]:
    body, headers = await electric.ask(query)
    return body, headers, time.monotonic()


async def _shape_rate(electric: _Electric, number: int) -> float:
    """Read a shape that nobody has asked for before, to its end; MB per second."""
    query = {"table": "bench_rows", "where": f"amount > -{number + 1}"}
    started = time.monotonic()
    size, inserts, _ = await _read(electric, query)
    seconds = time.monotonic() - started
    if inserts != _ROWS:
        raise WrongAnswer(f"a shape of {_ROWS} rows came with {inserts}")
    return size / 1_000_000 / seconds
