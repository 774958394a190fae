"""The figures of the client (PERFORMANCE, "Client"): a large log over HTTP, and many changes at once.

Wall-clock figures are ratios to a peer that is measured beside them, in turns; what runs on one thread is
compared by its CPU time.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from sqlite_utils import Database

from benchmarks.client_live import LateRow, measure_live, measure_switch
from benchmarks.client_log import (
    COLUMNS,
    SCHEMA,
    TABLE,
    chunk_sizes,
    make_rows,
    print_changes,
    served,
    write_chunks,
)
from benchmarks.client_typescript import NoTypeScript, installed, load_typescript
from benchmarks.figure import Bound, Figure, Goal, Reading, Result, Skipped
from benchmarks.running_stack import StackFailed
from shapegate_client.ddl import plan_table, print_delete, print_update, print_upsert
from shapegate_client.decode import read_log
from shapegate_client.fold import EMPTY, fold
from shapegate_client.rows import apply_batch
from shapegate_client.store import PRAGMAS
from shapegate_wire.columns import parse_schema
from shapegate_wire.identifier import TableName
from shapegate_wire.message import Change, Operation, parse_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapegate_client.ddl import TableLayout

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
MIXED: Final = Goal(
    name="100,000 mixed changes", unit="x one statement each", bound=Bound.AT_LEAST, value=1.8, aim=2.8
)
READ: Final = Goal(
    name="100,000 changes read", unit="x the strict reference", bound=Bound.AT_LEAST, value=2.0
)
TYPESCRIPT: Final = Goal(
    name="the log, against the TypeScript Shape", unit="x", bound=Bound.AT_LEAST, value=4, gated=False
)
LIVE: Final = Goal(
    name="commit to row in SQLite, p50, over a raw long poll", unit="ms", bound=Bound.AT_MOST, value=5, aim=3
)
SWITCH: Final = Goal(
    name="switch to an org synced before, first rows", unit="ms", bound=Bound.AT_MOST, value=100, aim=30
)
_CHANGES: Final = 100_000
_HELD: Final = 20_000


class WrongAnswer(Exception):
    """What was to be timed did not do what it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How much to measure, and how often."""

    rows: int
    loads: int
    mixed: int
    live: int
    commits: int
    switches: int


FULL: Final = Rounds(rows=1_000_000, loads=5, mixed=5, live=5, commits=60, switches=11)
QUICK: Final = Rounds(rows=200_000, loads=3, mixed=3, live=3, commits=30, switches=5)


async def measure(*, quick: bool, on_progress: Callable[[str], None]) -> tuple[Result, ...]:
    """Measure every figure. Raises WrongAnswer."""
    rounds = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="shapegate bench ") as name:
        folder = Path(name)
        on_progress("printing a log")
        chunks = await asyncio.to_thread(write_chunks, folder, rounds.rows)
        ratios, rates, cpu, peaks, stalls = [], [], [], [], []
        async with served(chunks) as url:
            for number in range(rounds.loads):
                on_progress(f"loading {rounds.rows} rows, {number + 1} of {rounds.loads}")
                bare = await asyncio.to_thread(_bare_seconds, folder / f"bare {number}.sqlite3", rounds.rows)
                loaded = await _load(url, folder / f"home {number}", rounds.rows)
                ratios.append(bare / loaded["seconds"])
                rates.append(rounds.rows / loaded["seconds"])
                cpu.append(1_000_000 * loaded["cpu_seconds"] / rounds.rows)
                peaks.append(loaded["peak_bytes"] / 1_000_000)
                stalls.append(1_000 * loaded["stall_seconds"])
            on_progress("loading the same by TypeScript")
            typescript = await _typescript(url, rounds.rows, rates)
            on_progress("switching")
            switches = await measure_switch(url, folder / "home of two", rounds=rounds.switches)
        on_progress("waiting for commits")
        live = await _live(folder, rounds)
        on_progress("applying changes")
        mixed = [_mixed_ratio(folder, number) for number in range(rounds.mixed)]
        read = [_read_ratio() for _ in range(rounds.mixed)]
    return (
        Figure(goal=LOAD, rounds=tuple(ratios)),
        Figure(goal=RATE, rounds=tuple(rates)),
        Figure(goal=CPU, rounds=tuple(cpu)),
        Figure(goal=MEMORY, rounds=tuple(peaks)),
        Figure(goal=STALL, rounds=tuple(stalls)),
        Figure(goal=MIXED, rounds=tuple(mixed)),
        Figure(goal=READ, rounds=tuple(read)),
        Figure(goal=SWITCH, rounds=tuple(switches)),
        *live,
        typescript,
    )


async def _live(folder: Path, rounds: Rounds) -> tuple[Result, ...]:
    home = folder / "live"
    home.mkdir()
    # The server's account passes through where this runs as root.
    for passed in (folder, home):
        passed.chmod(0o711)
    try:
        client, raw = await measure_live(home, rounds=rounds.live, commits=rounds.commits)
    except StackFailed as exc:
        return (Skipped(goal=LIVE, reason=str(exc)[:200]),)
    except LateRow as exc:
        raise WrongAnswer(str(exc)) from exc
    added = tuple(mine - theirs for mine, theirs in zip(client, raw, strict=True))
    return Figure(goal=LIVE, rounds=added), Reading(name="the raw long poll", unit="ms", rounds=tuple(raw))


async def _typescript(url: str, rows: int, rates: list[float]) -> Result:
    """Compare each load with one of the TypeScript client, by rows a second."""
    ratios = []
    try:
        async with installed() as script:
            for rate in rates:
                loaded = await load_typescript(script, url)
                if loaded["rows"] != rows:
                    raise WrongAnswer(f"TypeScript took {loaded['rows']} rows in: expected {rows}")
                ratios.append(rate * loaded["seconds"] / rows)
    except NoTypeScript as exc:
        return Skipped(goal=TYPESCRIPT, reason=str(exc))
    return Figure(goal=TYPESCRIPT, rounds=tuple(ratios))


async def _load(url: str, home: Path, rows: int) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.client_load", url, str(home)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    if process.returncode != 0:
        raise WrongAnswer(f"the client failed: {errors.decode(errors='replace')[-2_000:]}")
    loaded: dict[str, float] = json.loads(out)
    if loaded["rows"] != rows:
        raise WrongAnswer(f"{loaded['rows']} rows arrived: expected {rows}")
    return loaded


def _bare_seconds(path: Path, rows: int) -> float:
    """Time a bare executemany of ready tuples: the same columns and file settings, a transaction a chunk."""
    db = _open(path)
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


def _open(path: Path) -> Database:
    db = Database(sqlite3.connect(path, isolation_level=None))
    for pragma in PRAGMAS:
        db.conn.execute(pragma)
    db.table(TABLE).create(COLUMNS, pk="id")
    return db


def _mixed_ratio(folder: Path, number: int) -> float:
    """Compare folding and grouped statements with one statement for each change; both start alike."""
    layout = plan_table(TableName("public", TABLE), parse_schema(json.dumps(SCHEMA)))
    changes = _mixed_changes()
    single, grouped = (
        _timed_apply(folder / f"{name} {number}.sqlite3", layout, changes, apply)
        for name, apply in (("single", _apply_singly), ("grouped", _apply_grouped))
    )
    if single[1] != grouped[1]:
        raise WrongAnswer("grouped statements gave other rows than single ones")
    return single[0] / grouped[0]


def _timed_apply(
    path: Path,
    layout: TableLayout,
    changes: list[Change],
    apply: Callable[[Database, TableLayout, list[Change]], None],
) -> tuple[float, list[tuple[object, ...]]]:
    db = _open(path)
    try:
        db.conn.executemany(print_upsert(layout, TABLE), make_rows(0, _HELD))
        started = time.thread_time()
        db.conn.execute("BEGIN")
        apply(db, layout, changes)
        db.conn.execute("COMMIT")
        seconds = time.thread_time() - started
        return seconds, db.execute(f"SELECT * FROM {TABLE} ORDER BY id").fetchall()  # noqa: S608  # constant
    finally:
        db.close()


def _apply_grouped(db: Database, layout: TableLayout, changes: list[Change]) -> None:
    apply_batch(db, layout, TABLE, fold(EMPTY, changes, layout))


def _apply_singly(db: Database, layout: TableLayout, changes: list[Change]) -> None:
    for change in changes:
        values = {
            name: None if text is None else layout.decoders[name](text) for name, text in change.value.items()
        }
        key = tuple(values[name] for name in layout.key)
        if change.operation is Operation.INSERT:
            db.conn.execute(print_upsert(layout, TABLE), [values[name] for name in layout.stored])
        elif change.operation is Operation.DELETE:
            db.conn.execute(print_delete(layout, TABLE), key)
        else:
            columns = tuple(name for name in values if name not in layout.key)
            db.conn.execute(print_update(layout, TABLE, columns), [*(values[name] for name in columns), *key])


def _read_ratio() -> float:
    """Compare reading a log of changes by structs with reading it by the strict reference."""
    body = print_changes(_mixed_changes())
    started = time.thread_time()
    strictly = parse_body(msgspec.json.decode(body))
    between = time.thread_time()
    by_structs = read_log(body, None)
    ended = time.thread_time()
    if strictly != by_structs:
        raise WrongAnswer("changes were read otherwise than by the reference")
    return (between - started) / (ended - between)


def _mixed_changes() -> list[Change]:
    """A third of each kind over rows that come and go; every row changes several times, as in a busy log."""
    held = set(range(_HELD))
    changes = []
    for n in range(_CHANGES):
        row = (n * 7_919) % (_HELD * 2)
        value: dict[str, str | None] = {"id": str(row)}
        if row not in held:
            operation = Operation.INSERT
            held.add(row)
            value |= {"amount": "1.00", "done": "t", "inserted_at": "2026-01-02", "name": f"new {n}"}
            value |= {"organization_id": "x"}
        elif n % 3 == 0:
            operation = Operation.DELETE
            held.discard(row)
        else:
            operation = Operation.UPDATE
            value |= {"name": f"changed {n}"} if n % 2 else {"amount": f"{n}.00"}
        changes.append(Change(key=str(row), operation=operation, value=value))
    return changes
