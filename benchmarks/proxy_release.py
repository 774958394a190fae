"""Row of a release on a real road: from a commit in Postgres to the last of many who wait for it.

The upstream is the development Electric of `shapegate up`, which reads each request and prints each answer,
as any Electric has to; compared is to ask it directly.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import asyncpg

from benchmarks.bench import ask, take_turns
from benchmarks.driver import hold
from benchmarks.figure import Bound, Goal, Reading, judge, ratios
from benchmarks.gate import ORG, bearer, run_gate
from benchmarks.running import Missing, WrongAnswer
from benchmarks.running_stack import StackFailed, run_stack
from benchmarks.target import Target, print_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.bench import Bench
    from benchmarks.figure import Result
    from benchmarks.running_stack import RunningStack

LAST: Final = Goal(
    name="live polls, commit to last answer", unit="x direct", bound=Bound.AT_MOST, value=1.0, aim=0.6
)
_TABLE: Final = """
    CREATE TABLE live (id uuid PRIMARY KEY, organization_id uuid NOT NULL, name text NOT NULL);
    ALTER TABLE live REPLICA IDENTITY FULL;
    ALTER PUBLICATION electric_publication_default ADD TABLE live;
    GRANT SELECT ON live TO electric;
"""
_COMMIT: Final = "INSERT INTO live VALUES (gen_random_uuid(), $1, 'news')"
_STEADY_SECONDS: Final = 1.0
"""No event tells that the last request is held; this is many times what it takes."""


async def measure_release(bench: Bench) -> Sequence[Result]:
    """Let many users of one organization wait for the same row, each on a connection of its own."""
    bench.on_progress(f"{bench.scale.polls} live polls, and a commit")
    async with AsyncExitStack() as stack:
        running, direct = await stack.enter_async_context(_run_electric(bench.folder))
        gate = await stack.enter_async_context(
            run_gate(bench.folder, upstream=direct.port, secret=running.electric_secret)
        )
        database = await asyncpg.connect(running.database_url)
        stack.push_async_callback(database.close)
        await database.execute(_TABLE)
        users = [bearer(number) for number in range(bench.scale.polls)]
        # The gate adds the scope and the secret; who asks Electric has to say them.
        said = {"where": f"organization_id = '{ORG}'", "secret": running.electric_secret}

        async def one(target: Target) -> float:
            query = {"table": "live", **(said if target is direct else {})}
            path = "/v1/shape?" + urlencode({**query, **await _position(target, query)})
            headers: Sequence[Mapping[str, str]] = [{}] * len(users) if target is direct else users
            live = [print_request(f"{path}&live=true", each) for each in headers]
            return await _seconds_to_last(target, database, print_request(path, target.headers), live)

        await take_turns([direct, gate], 1, one)
        measured = await take_turns([direct, gate], bench.scale.rounds, one)
    return (
        judge(LAST, ratios(measured[gate.name], measured[direct.name])),
        *(
            Reading(
                name=f"live polls, commit to last answer: {name}",
                unit="ms",
                rounds=tuple(1e3 * each for each in seconds),
            )
            for name, seconds in measured.items()
        ),
    )


@asynccontextmanager
async def _run_electric(folder: Path) -> AsyncIterator[tuple[RunningStack, Target]]:
    """Run the embedded stack within the block. Raises Missing if it cannot be started."""
    Path.chmod(folder, 0o711)  # The server's account passes through where this runs as root.
    try:
        async with run_stack(folder / "release") as running:
            port = urlsplit(running.electric_url).port
            assert port is not None
            yield running, Target(name="development Electric", port=port, pid=running.pid)
    except StackFailed as exc:
        raise Missing(str(exc)) from exc


async def _position(target: Target, query: Mapping[str, str]) -> Mapping[str, str]:
    """Read the shape up to its present end. Raises WrongAnswer."""
    position = {"offset": "-1"}
    while True:
        answer = await ask(target, "/v1/shape?" + urlencode({**query, **position}))
        if answer.status != 200:
            raise WrongAnswer(f"{target.name} answered {answer.status}: {answer.body[:300]!r}")
        position = {"offset": answer.headers["electric-offset"], "handle": answer.headers["electric-handle"]}
        if "electric-up-to-date" in answer.headers:
            return position


async def _seconds_to_last(
    target: Target, database: asyncpg.Connection, first: bytes, requests: Sequence[bytes]
) -> float:
    """Time from an acknowledged commit to the last answer."""
    async with hold(target, requests, first=first) as holder:
        await asyncio.sleep(_STEADY_SECONDS)
        await database.execute(_COMMIT, ORG)
        committed = time.monotonic()
        answered = await holder.said()
    if answered["statuses"] != {"200": len(requests)}:
        raise WrongAnswer(f"{target.name} answered live polls with {answered['statuses']}")
    last = answered["last"]
    assert isinstance(last, float)
    return last - committed
