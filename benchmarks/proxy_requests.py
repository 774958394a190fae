"""Rows of tiny answers: what one request costs the gate, and what it costs its peers beside it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from benchmarks.bench import check_tiny, load, take_turns, upstream_requests
from benchmarks.figure import Bound, Goal, Reading, Skipped, judge, ratios
from benchmarks.gate import ABLE, Variant, run_gate, run_no_auth
from benchmarks.peer import PEERS, install_http_proxy, run_fast_upstream, run_nginx, run_node
from benchmarks.running import Missing, WrongAnswer
from benchmarks.target import shape_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.bench import Bench, Load
    from benchmarks.figure import Result
    from benchmarks.target import Target

UNCACHED: Final = Variant(cache=False, collapse=False)
TO_HTTP_PROXY: Final = Goal(name="tiny answer, CPU", unit="x Node http-proxy", bound=Bound.AT_MOST, value=1.0)
TO_FETCH: Final = Goal(name="the same", unit="x Node fetch", bound=Bound.AT_MOST, value=1 / 6)
TO_NGINX: Final = Goal(name="the same", unit="x nginx", bound=Bound.AT_MOST, value=3.6, gated=False)
KEPT: Final = Goal(
    name="tiny answer from the cache, CPU", unit="x nginx uncached", bound=Bound.AT_MOST, value=2.0, aim=1.35
)
OVERHEAD: Final = Goal(
    name="token and filter, CPU", unit="x without them", bound=Bound.AT_MOST, value=1.25, aim=1.15
)
WORKERS: Final = Goal(
    name="two processes, requests/s", unit="x one", bound=Bound.AT_LEAST, value=1.4, aim=1.6
)
_DISTINCT: Final = PEERS / "distinct.lua"
_GATE, _NGINX = "the gate", "nginx"


async def measure_tiny(bench: Bench) -> Sequence[Result]:
    """Ask for the same up-to-date answer, which may not be kept."""
    missing: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        upstream, targets = await _start(bench, stack, UNCACHED)
        targets += await _start_node(bench, stack, upstream, missing)
        measured = await _measure(bench, targets, "tiny", "tiny answers")
    cpu = _cpu(measured)
    gate = cpu[_GATE]
    compared = {TO_HTTP_PROXY: "Node http_proxy", TO_FETCH: "Node fetch", TO_NGINX: _NGINX}
    return (
        *(
            judge(goal, ratios(gate, cpu[peer]) if peer in cpu else (), missing=missing.get(peer, ""))
            for goal, peer in compared.items()
        ),
        *_readings("tiny answer", measured),
    )


async def measure_distinct(bench: Bench) -> Sequence[Result]:
    """Ask for the same from another offset each time, which nothing kept can answer."""
    async with AsyncExitStack() as stack:
        _, targets = await _start(bench, stack, Variant())
        bench.on_progress("tiny answers, each of another offset")
        measured = await _measure_distinct(bench, targets)
    cpu = _cpu(measured)
    to_nginx = Reading(
        name="tiny answer, each another", unit="x nginx", rounds=ratios(cpu[_GATE], cpu[_NGINX])
    )
    return to_nginx, *_readings("tiny answer, each another", measured)


async def _measure_distinct(bench: Bench, targets: Sequence[Target]) -> Mapping[str, Sequence[Load]]:
    path = shape_target("tiny", offset="")

    async def one(target: Target) -> Load:
        seconds = bench.scale.wrk_seconds
        return await load(target, seconds, path="", script=_DISTINCT, arguments=(path,))

    await take_turns(targets, bench.scale.warm_rounds, one)
    return await take_turns(targets, bench.scale.rounds, one)


async def measure_kept(bench: Bench) -> Sequence[Result]:
    """Ask for the same answer, which may be kept; nginx beside it keeps nothing."""
    if "cache" not in ABLE:
        return (Skipped(goal=KEPT, reason="the gate keeps no answers"),)
    async with AsyncExitStack() as stack:
        upstream, targets = await _start(bench, stack, Variant())
        gate = next(target for target in targets if target.name == _GATE)
        await check_tiny(gate, "kept")
        before = await upstream_requests(upstream)
        await load(gate, 1, path=shape_target("kept"))
        if (asked := await upstream_requests(upstream) - before) > 10:
            raise WrongAnswer(f"the gate asked {asked} times for an answer that it could keep")
        measured = await _measure(bench, targets, "kept", "tiny answers from the cache")
    cpu = _cpu(measured)
    return judge(KEPT, ratios(cpu[_GATE], cpu[_NGINX])), *_readings("tiny answer from the cache", measured)


async def measure_workers(bench: Bench) -> Sequence[Result]:
    """Compare two processes with one, which answer requests that nobody made before.

    Load and upstream share the cores with both, so the ratio is of what a machine with two answers in all.
    Of the cheapest requests, the same again and again, one process answers so many that load and upstream
    need the second core; the CPU of a request says whether two processes work more for the same.
    """
    if "workers" not in ABLE:
        return (Skipped(goal=WORKERS, reason="the gate runs in one process only"),)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_fast_upstream(bench.folder))
        one, two = [
            await stack.enter_async_context(
                run_gate(
                    bench.folder,
                    upstream=upstream.port,
                    variant=Variant(cache=False, collapse=False, workers=workers),
                    name=name,
                )
            )
            for workers, name in ((1, "one process"), (2, "two processes"))
        ]
        bench.on_progress("one process and two, tiny answers, each of another offset")
        distinct = await _measure_distinct(bench, [one, two])
        same = await _measure(bench, [one, two], "tiny", "one process and two")
    rates, repeated = (
        ratios(*([each.rate for each in measured[name]] for name in (two.name, one.name)))
        for measured in (distinct, same)
    )
    return (
        judge(WORKERS, rates),
        Reading(name="two processes, the same again and again", unit="x one", rounds=repeated),
        *_readings("tiny answer, each another", distinct),
    )


async def measure_overhead(bench: Bench) -> Sequence[Result]:
    """Compare with a relay of the gate's own parts that asks nobody who they are."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_fast_upstream(bench.folder))
        gate = await stack.enter_async_context(
            run_gate(bench.folder, upstream=upstream.port, variant=UNCACHED)
        )
        bare = await stack.enter_async_context(run_no_auth(bench.folder, upstream=upstream.port))
        measured = await _measure(bench, [gate, bare], "tiny", "tiny answers with and without a token")
    cpu = _cpu(measured)
    return judge(OVERHEAD, ratios(cpu[gate.name], cpu[bare.name])), *_readings("token and filter", measured)


async def _start(bench: Bench, stack: AsyncExitStack, variant: Variant) -> tuple[Target, list[Target]]:
    upstream = await stack.enter_async_context(run_fast_upstream(bench.folder))
    gate = await stack.enter_async_context(run_gate(bench.folder, upstream=upstream.port, variant=variant))
    nginx = await stack.enter_async_context(run_nginx(bench.folder, upstream=upstream.port))
    return upstream, [gate, nginx.buffered]


async def _start_node(
    bench: Bench, stack: AsyncExitStack, upstream: Target, missing: dict[str, str]
) -> list[Target]:
    """Start the peers on Node; what cannot be started is noted in `missing`, by name."""
    started = []
    for script in ("http_proxy.js", "fetch.js"):
        try:
            modules: Path | None = None
            if script == "http_proxy.js":
                bench.on_progress("installing http-proxy")
                modules = await install_http_proxy(bench.folder / "npm")
            running = run_node(bench.folder, script, upstream=upstream.port, modules=modules)
            started.append(await stack.enter_async_context(running))
        except Missing as exc:
            missing[f"Node {script.removesuffix('.js')}"] = str(exc)
    return started


async def _measure(
    bench: Bench, targets: Sequence[Target], table: str, what: str
) -> Mapping[str, Sequence[Load]]:
    for target in targets:
        await check_tiny(target, table)
    bench.on_progress(f"{what}, {bench.scale.rounds} rounds of {', '.join(each.name for each in targets)}")

    async def one(target: Target) -> Load:
        return await load(target, bench.scale.wrk_seconds, path=shape_target(table))

    await take_turns(targets, bench.scale.warm_rounds, one)
    return await take_turns(targets, bench.scale.rounds, one)


def _cpu(measured: Mapping[str, Sequence[Load]]) -> Mapping[str, list[float]]:
    return {name: [each.cpu_us for each in loads] for name, loads in measured.items()}


def _readings(what: str, measured: Mapping[str, Sequence[Load]]) -> tuple[Reading, ...]:
    spent = [
        Reading(name=f"{what}: {name}", unit="us CPU", rounds=tuple(each.cpu_us for each in loads))
        for name, loads in measured.items()
    ]
    rates = [
        Reading(name=f"{what}: {name}", unit="requests/s", rounds=tuple(each.rate for each in loads))
        for name, loads in measured.items()
    ]
    return (*spent, *rates)
