"""The figures of the client (PERFORMANCE, "Client"): a large log over HTTP, and many changes at once.

Wall-clock figures are ratios to a peer that is measured beside them, in turns; what runs on one thread is
compared by its CPU time.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.client_live import LateRow, measure_live, measure_switch
from benchmarks.client_log import (
    SCHEMA,
    TABLE,
    make_rows,
    print_changes,
    served,
    write_chunks,
)
from benchmarks.client_pglite import measure_pglite
from benchmarks.client_whole_log import measure_loads, open_bare
from benchmarks.figure import Bound, Figure, Goal, Reading, Result, Skipped
from benchmarks.running import WrongAnswer
from benchmarks.running_stack import StackFailed
from shapegate_client.ddl import plan_table, print_delete, print_update, print_upsert
from shapegate_client.decode import read_log
from shapegate_client.fold import EMPTY, fold
from shapegate_client.rows import apply_batch
from shapegate_wire.columns import parse_schema
from shapegate_wire.identifier import TableName
from shapegate_wire.message import Change, Operation, parse_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

    from shapegate_client.ddl import TableLayout

MIXED: Final = Goal(
    name="100,000 mixed changes", unit="x one statement each", bound=Bound.AT_LEAST, value=1.8, aim=2.8
)
READ: Final = Goal(
    name="100,000 changes read", unit="x the strict reference", bound=Bound.AT_LEAST, value=2.0
)
LIVE: Final = Goal(
    name="commit to row in SQLite, p50, over a raw long poll", unit="ms", bound=Bound.AT_MOST, value=5, aim=3
)
SWITCH: Final = Goal(
    name="switch to an org synced before, first rows", unit="ms", bound=Bound.AT_MOST, value=100, aim=30
)
_CHANGES: Final = 100_000
_HELD: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How much to measure, and how often."""

    rows: int
    loads: int
    pglite: int
    mixed: int
    live: int
    commits: int
    switches: int


FULL: Final = Rounds(rows=1_000_000, loads=5, pglite=3, mixed=5, live=5, commits=60, switches=11)
QUICK: Final = Rounds(rows=200_000, loads=3, pglite=1, mixed=3, live=3, commits=30, switches=5)


async def measure(*, quick: bool, on_progress: Callable[[str], None]) -> tuple[Result, ...]:
    """Measure every figure. Raises WrongAnswer."""
    rounds = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="shapegate bench ") as name:
        folder = Path(name)
        on_progress("printing a log")
        chunks = await asyncio.to_thread(write_chunks, folder, rounds.rows)
        async with served(chunks) as url:
            loads = await measure_loads(
                url, folder, rows=rounds.rows, rounds=rounds.loads, on_progress=on_progress
            )
            pglite = await measure_pglite(
                chunks, url, folder, rows=rounds.rows, rounds=rounds.pglite, on_progress=on_progress
            )
            on_progress("switching")
            switches = await measure_switch(url, folder / "home of two", rounds=rounds.switches)
        on_progress("waiting for commits")
        live = await _live(folder, rounds)
        on_progress("applying changes")
        mixed = [_mixed_ratio(folder, number) for number in range(rounds.mixed)]
        read = [_read_ratio() for _ in range(rounds.mixed)]
    return (
        *loads,
        *pglite,
        Figure(goal=MIXED, rounds=tuple(mixed)),
        Figure(goal=READ, rounds=tuple(read)),
        Figure(goal=SWITCH, rounds=tuple(switches)),
        *live,
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
    db = open_bare(path)
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
