"""A point that is measured: a gate, a stand-in for Electric, and some hundred simulated users before both."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from benchmarks import gate
from benchmarks.comparison import FRESH_SECONDS, Measured
from benchmarks.gate import Variant, run_gate
from benchmarks.log_upstream import LogSettings, LogUpstream, serve_logs
from benchmarks.processes import cpu_nanoseconds, private_bytes
from benchmarks.running import WrongAnswer
from benchmarks.simulated_users import Tally, User, follow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from benchmarks.workload import Workload

TABLES: Final = ("live", "tiny", "kept", "long", "long_kept")
"""Of the bench's policy; each is a shape."""
_RAMP_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 3.0
_SAMPLE_SECONDS: Final = 0.25
_BASE_SECONDS: Final = 0.5


async def measure(
    folder: Path,
    workload: Workload,
    *,
    variant: Variant,
    long_poll_seconds: float,
    seconds: float,
    cursors_apart: bool = False,
) -> Measured:
    """Run one gate under a workload, all of its users online.

    Raises NotReady, NoProc or WrongAnswer.
    """
    if workload.shapes > len(TABLES):
        raise WrongAnswer(f"{workload.shapes} shapes for each user: expected at most {len(TABLES)}")
    settings = LogSettings(
        changes_per_second=workload.changes_per_minute / 60 / workload.shapes,
        change_bytes=round(workload.rows_per_change * workload.row_bytes),
        initial_bytes=workload.initial_bytes,
        fresh_seconds=FRESH_SECONDS,
        long_poll_seconds=long_poll_seconds,
        cursors_apart=cursors_apart,
    )
    async with (
        serve_logs(settings) as (upstream, port),
        run_gate(folder, upstream=port, variant=variant) as target,
    ):
        started, tally = time.monotonic(), Tally()
        await asyncio.sleep(_BASE_SECONDS)
        base = private_bytes(target.pid)
        users = _users(workload, target.port)
        async with _following(users, tally):
            await asyncio.sleep(_SETTLE_SECONDS)
            return await _watch(upstream, tally, target.pid, seconds, base=base, started=started)


async def _watch(
    upstream: LogUpstream, tally: Tally, pid: int, seconds: float, *, base: int, started: float
) -> Measured:
    begun, spent = time.monotonic(), cpu_nanoseconds(pid)
    answers, live, sent, reloads = tally.answers, tally.live_answers, tally.body_bytes, tally.reloads
    asked, changes = upstream.requests, upstream.changes
    held: list[tuple[int, int]] = []
    while time.monotonic() < begun + seconds:
        await asyncio.sleep(_SAMPLE_SECONDS)
        held.append((tally.live, upstream.held))
    took = time.monotonic() - begun
    return Measured(
        seconds=took,
        changes_per_second=(upstream.changes - changes) / took,
        reloads_per_second=(tally.reloads - reloads) / took,
        age_seconds=time.monotonic() - started,
        requests=(tally.answers - answers) / took,
        live_requests=(tally.live_answers - live) / took,
        upstream_requests=(upstream.requests - asked) / took,
        held=sum(each for each, _ in held) / len(held),
        electric_held=sum(each for _, each in held) / len(held),
        cores=(cpu_nanoseconds(pid) - spent) / 1e9 / took,
        memory_bytes=private_bytes(pid),
        base_bytes=base,
        answered=tally.answers,
        body_bytes=(tally.body_bytes - sent) / took,
    )


@asynccontextmanager
async def _following(users: Sequence[User], tally: Tally) -> AsyncIterator[None]:
    """Let users come one after another, and follow within the block; what goes wrong with one ends it."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for user in users:
                tasks.append(group.create_task(follow(user, tally)))
                await asyncio.sleep(_RAMP_SECONDS / len(users))
            yield
            for task in tasks:
                task.cancel()
    except* WrongAnswer as exc:
        raise WrongAnswer(str(exc.exceptions[0])) from exc


def _users(workload: Workload, port: int) -> list[User]:
    # A user begins all its shapes anew at the same rate, though here each at a time of its own.
    reload_seconds = 3_600 / workload.reloads_per_hour
    return [
        User(
            port=port,
            table=table,
            headers=gate.bearer(org * 10_000 + user, org=f"aaaaaaaa-aaaa-4aaa-8aaa-{org:012d}"),
            reload_seconds=reload_seconds,
            number=(org * workload.users + user) * len(TABLES) + TABLES.index(table),
        )
        for user in range(workload.users)
        for org in range(workload.orgs)
        for table in TABLES[: workload.shapes]
    ]
