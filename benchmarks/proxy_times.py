"""Rows over time: what the gate adds to an answer at a low rate, and whether it grows as it works."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from benchmarks.bench import check_tiny, load
from benchmarks.driver import hold, probe_in_turns, run_upstream
from benchmarks.figure import Bound, Goal, Reading, judge, percentile
from benchmarks.gate import ABLE, Variant, bearer, run_gate
from benchmarks.peer import PEERS, run_fast_upstream, run_nginx
from benchmarks.processes import private_bytes
from benchmarks.target import print_request, shape_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Bench
    from benchmarks.figure import Result
    from benchmarks.target import Target

ADDED: Final = Goal(
    name="latency added at a low rate, p50", unit="x nginx's", bound=Bound.AT_MOST, value=2.0, aim=1.5
)
ADDED_KEPT: Final = Goal(
    name="the same, from the cache", unit="x nginx's", bound=Bound.AT_MOST, value=0.9, gated=False
)
SOAK: Final = Goal(name="growth over a soak", unit="MB", bound=Bound.AT_MOST, value=2.0)
_RATE: Final = 50
"""Requests per second to each target."""
_FIRST_PART: Final = 0.2
"""Of a soak: what is made once, caches that fill included, is there after it."""
_STEADY_SECONDS: Final = 1.0
_LOAD_SECONDS: Final = 2
_HOLDS_AT_ONCE: Final = 500


async def measure_latency(bench: Bench) -> Sequence[Result]:
    """Ask all targets in turns, one request at a time, with pauses; direct is what none of them adds to."""
    bench.on_progress(f"latency at {_RATE} requests/s")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_fast_upstream(bench.folder))
        gate = await stack.enter_async_context(
            run_gate(bench.folder, upstream=upstream.port, variant=Variant(cache=False, collapse=False))
        )
        nginx = (await stack.enter_async_context(run_nginx(bench.folder, upstream=upstream.port))).buffered
        asked = [(upstream, "tiny"), (nginx, "tiny"), (gate, "tiny")]
        if "cache" in ABLE:
            keeping = await stack.enter_async_context(
                run_gate(bench.folder, upstream=upstream.port, name="the gate's cache")
            )
            asked.append((keeping, "kept"))
        for target, table in asked:
            await check_tiny(target, table)
        rounds = [
            await probe_in_turns(
                [target.port for target, _ in asked],
                [print_request(shape_target(table), target.headers) for target, table in asked],
                count=bench.scale.asked_slowly,
                pause_seconds=1 / _RATE / len(asked),
            )
            for _ in range(bench.scale.rounds)
        ]
    medians = [[percentile(seconds, 50) for seconds in each] for each in rounds]
    added = [[(value - each[0]) / (each[1] - each[0]) for value in each] for each in medians]
    return (
        judge(ADDED, [each[2] for each in added]),
        judge(ADDED_KEPT, [each[3] for each in added if len(each) > 3], missing="the gate keeps no answers"),
        *(
            Reading(
                name=f"answer at a low rate: {target.name}",
                unit="us",
                rounds=tuple(1e6 * each[number] for each in medians),
            )
            for number, (target, _) in enumerate(asked)
        ),
    )


async def measure_soak(bench: Bench) -> Sequence[Result]:
    """Answer many distinct requests, then hold and drop many; see what memory is not given back."""
    scale = bench.scale
    bench.on_progress(f"soak of {scale.soak_requests} requests, then {scale.soak_holds} live polls")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_upstream(bench.folder))
        gate = await stack.enter_async_context(run_gate(bench.folder, upstream=upstream.port))
        await _work(gate, round(_FIRST_PART * scale.soak_requests))
        await _hold_and_drop(gate, scale.soak_holds)
        first = await _settled_bytes(gate)
        await _work(gate, round((1 - _FIRST_PART) * scale.soak_requests))
        worked = await _settled_bytes(gate)
        await _hold_and_drop(gate, scale.soak_holds)
        last = await _settled_bytes(gate)
    return (
        judge(SOAK, [(last - first) / 1e6]),
        Reading(name="growth by its requests", unit="MB", rounds=((worked - first) / 1e6,)),
        Reading(name="growth by its live polls", unit="MB", rounds=((last - worked) / 1e6,)),
        Reading(name="private memory after it", unit="MB", rounds=(last / 1e6,)),
    )


async def _work(gate: Target, count: int) -> None:
    """Ask for so many distinct answers, and those of the last seconds beyond."""
    arguments, asked = (shape_target("tiny", offset=""),), 0.0
    while asked < count:
        done = await load(gate, _LOAD_SECONDS, path="", script=PEERS / "distinct.lua", arguments=arguments)
        asked += done.rate * _LOAD_SECONDS


async def _hold_and_drop(gate: Target, count: int) -> None:
    headers = [bearer(number) for number in range(100)]
    for start in range(0, count, _HOLDS_AT_ONCE):
        requests = [
            print_request(shape_target("live", live=True, offset=f"{number + 1}_0"), headers[number % 100])
            for number in range(start, min(count, start + _HOLDS_AT_ONCE))
        ]
        async with hold(gate, requests):
            await asyncio.sleep(_STEADY_SECONDS)


async def _settled_bytes(gate: Target) -> int:
    await asyncio.sleep(_STEADY_SECONDS)
    return private_bytes(gate.pid)
