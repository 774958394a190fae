"""The client beside pglite-sync: what is compared, and what is said where the peer cannot be run."""

from __future__ import annotations

import shlex
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.client_log import served, write_chunks
from benchmarks.client_pglite import PGLITE, figures, measure_pglite, print_table
from benchmarks.figure import Figure, Reading, Skipped, Verdict
from benchmarks.running import WrongAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ROWS = 1_000


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for programs alone."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write_program(folder: Path, name: str, lines: str) -> None:
    script, program = folder / f"{name}.py", folder / name
    script.write_text(f"import sys\n{lines}\n")
    # No path of a user's may stand in the first line: it may hold blanks, and be too long.
    words = " ".join(shlex.quote(str(word)) for word in (sys.executable, script))
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)


def write_node(folder: Path, rows: int) -> None:
    """Write a node that took one millisecond a row, if it was told all that it has to know."""
    write_program(
        folder,
        "node",
        "script, url, table, statement = sys.argv[1:]\n"
        "assert open(script).read() and url.endswith('/v1/shape') and statement.split()[2] == table\n"
        f'print(\'{{"seconds": {ROWS / 1_000}, "cpu_seconds": 1.0, "rows": {rows}}}\')',
    )


@asynccontextmanager
async def log(folder: Path) -> AsyncIterator[tuple[list[Path], str]]:
    chunks = write_chunks(folder, ROWS)
    async with served(chunks) as url:
        yield chunks, url


def ignore(_: str) -> None:
    """Show no progress."""


def test_rates_are_compared_round_by_round() -> None:
    against, rate = figures([400_000.0, 300_000.0, 450_000.0], [40_000.0, 50_000.0, 50_000.0])
    assert against == Figure(goal=PGLITE, rounds=(10.0, 6.0, 9.0))
    assert isinstance(against, Figure)
    assert against.verdict is Verdict.MET
    assert rate == Reading(name="pglite-sync", unit="rows/s", rounds=(40_000.0, 50_000.0, 50_000.0))


def test_the_table_has_the_columns_and_types_of_the_log() -> None:
    assert print_table() == (
        "CREATE TABLE bench_rows (amount numeric(12, 2), done bool NOT NULL, id int8 PRIMARY KEY, "
        "inserted_at timestamptz NOT NULL, name text NOT NULL, organization_id uuid NOT NULL)"
    )


async def test_each_round_times_both_of_them(tmp_path: Path, programs: Path) -> None:
    write_program(programs, "npm", "")
    write_node(programs, ROWS)
    async with log(tmp_path) as (chunks, url):
        against, rate = await measure_pglite(chunks, url, tmp_path, rows=ROWS, rounds=2, on_progress=ignore)
    assert rate == Reading(name="pglite-sync", unit="rows/s", rounds=(1_000.0, 1_000.0))
    assert isinstance(against, Figure)
    assert len(against.rounds) == 2
    assert min(against.rounds) > 0


async def test_other_rows_than_were_served_are_a_wrong_answer(tmp_path: Path, programs: Path) -> None:
    write_program(programs, "npm", "")
    write_node(programs, ROWS - 1)
    async with log(tmp_path) as (chunks, url):
        with pytest.raises(WrongAnswer, match="pglite-sync took 999 rows in: expected 1000"):
            await measure_pglite(chunks, url, tmp_path, rows=ROWS, rounds=1, on_progress=ignore)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({}, "node is not installed"),
        ({"node": ""}, "npm is not installed"),
        ({"node": "", "npm": "sys.exit('no such package')"}, "npm failed: no such package"),
        ({"node": "sys.exit('out of memory')", "npm": ""}, "node failed: out of memory"),
    ],
)
async def test_a_peer_that_cannot_be_run_is_skipped_with_the_reason(
    tmp_path: Path, programs: Path, written: dict[str, str], reason: str
) -> None:
    for name, lines in written.items():
        write_program(programs, name, lines)
    async with log(tmp_path) as (chunks, url):
        results = await measure_pglite(chunks, url, tmp_path, rows=ROWS, rounds=1, on_progress=ignore)
    assert results == (Skipped(goal=PGLITE, reason=reason),)
