"""The log is taken in by the client and by pglite-sync in turns; their rates are compared."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.client_log import SCHEMA, TABLE, chunk_sizes, served
from benchmarks.client_typescript import NoTypeScript, installed, run_script
from benchmarks.client_whole_log import load_by_client
from benchmarks.figure import Bound, Figure, Goal, Reading, Skipped, ratios
from benchmarks.running import WrongAnswer
from benchmarks.turns import rotated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.figure import Result

PGLITE: Final = Goal(
    name="the log, against pglite-sync", unit="x pglite-sync", bound=Bound.AT_LEAST, value=8.0, gated=False
)
"""Rows/s over rows/s: the client's over the whole log, pglite-sync's over the first `CHUNKS` of it.

A million rows take pglite-sync more than 40 s, and fewer are to its favour: it holds all of them until the
last one came, and takes in half as many a second of a million as of 100,000. With --quick the whole log is
short, and what the client does once for a log weighs more.
"""
CHUNKS: Final = 3
"""96,000 rows."""
PACKAGES: Final = ("@electric-sql/pglite@0.5.1", "@electric-sql/pglite-sync@0.6.1")
_SCRIPT: Final = Path(__file__).resolve().parent / "client_pglite.mjs"
_LOAD_SECONDS_MAX: Final = 60.0


async def measure_pglite(
    chunks: Sequence[Path],
    url: str,
    folder: Path,
    *,
    rows: int,
    rounds: int,
    on_progress: Callable[[str], None],
) -> tuple[Result, ...]:
    """Take the log in by both, each round beginning with the other one. Raises WrongAnswer.

    `url` serves all of the `chunks`, which hold so many rows.
    """
    rates: dict[str, list[float]] = {"client": [], "pglite-sync": []}
    peer_rows = sum(count for _, count in islice(chunk_sizes(rows), CHUNKS))
    try:
        async with installed(_SCRIPT, PACKAGES) as script, served(list(chunks[:CHUNKS])) as part:
            for number in range(rounds):
                on_progress(f"loading beside pglite-sync, {number + 1} of {rounds}")
                turns: list[tuple[str, Callable[[], Awaitable[float]]]] = [
                    ("client", partial(_client_rate, url, folder / f"beside pglite-sync {number}", rows)),
                    ("pglite-sync", partial(_pglite_rate, script, part, peer_rows)),
                ]
                for name, load in rotated(turns, number):
                    rates[name].append(await load())
    except NoTypeScript as exc:
        return (Skipped(goal=PGLITE, reason=str(exc)),)
    return figures(rates["client"], rates["pglite-sync"])


def figures(client: Sequence[float], pglite: Sequence[float]) -> tuple[Result, ...]:
    """Compare the rows/s of each round. Pure."""
    return (
        Figure(goal=PGLITE, rounds=ratios(client, pglite)),
        Reading(name="pglite-sync", unit="rows/s", rounds=tuple(pglite)),
    )


def print_table() -> str:
    """Print the statement that creates the log's table with the types that Postgres has it in. Pure."""
    columns = []
    for name, column in SCHEMA.items():
        precise = f"({column['precision']}, {column['scale']})" if "precision" in column else ""
        key = " PRIMARY KEY" if "pk_index" in column else " NOT NULL" if "not_null" in column else ""
        columns.append(f"{name} {column['type']}{precise}{key}")
    return f"CREATE TABLE {TABLE} ({', '.join(columns)})"


async def _pglite_rate(script: Path, url: str, rows: int) -> float:
    loaded = await run_script(script, f"{url}/v1/shape", TABLE, print_table(), seconds=_LOAD_SECONDS_MAX)
    if loaded["rows"] != rows:
        raise WrongAnswer(f"pglite-sync took {loaded['rows']} rows in: expected {rows}")
    return rows / loaded["seconds"]


async def _client_rate(url: str, home: Path, rows: int) -> float:
    return rows / (await load_by_client(url, home, rows=rows)).seconds
