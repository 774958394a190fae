"""Rows of long bodies: how fast they pass, what memory that takes, and how fast the cache gives them."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from benchmarks.bench import ask, take_turns
from benchmarks.driver import probe, run_upstream, upstream_state
from benchmarks.figure import Bound, Goal, Reading, Skipped, judge, ratios
from benchmarks.gate import ABLE, Variant, run_gate
from benchmarks.long_body import digest
from benchmarks.peer import run_nginx
from benchmarks.processes import cpu_nanoseconds, peak_bytes, private_bytes, reset_peak, resident_bytes
from benchmarks.running import HOST, WrongAnswer
from benchmarks.target import print_request, shape_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.bench import Bench
    from benchmarks.figure import Result
    from benchmarks.target import Target

STREAM: Final = Goal(
    name="a long chunk passed on, MB/s", unit="x nginx", bound=Bound.AT_LEAST, value=0.8, aim=1.0
)
MEMORY: Final = Goal(name="memory of one such stream", unit="MB", bound=Bound.AT_MOST, value=10)
STALLED: Final = Goal(
    name="memory of a stalled reader of it", unit="KB", bound=Bound.AT_MOST, value=1_024, aim=512
)
KEPT: Final = Goal(
    name="a kept 10 MB chunk, MB/s", unit="x passed on", bound=Bound.AT_LEAST, value=2.0, aim=3.0
)
KEPT_TO_NGINX: Final = Goal(
    name="the same", unit="x nginx's cache", bound=Bound.AT_LEAST, value=1.2, gated=False
)
_KEPT_BYTES: Final = 10_000_000
_STREAM_READS: Final = 3
_KEPT_READS: Final = 10
_STALL_BUFFER_BYTES: Final = 64 * 1_024
_POLL_SECONDS: Final = 0.1
_STALL_POLLS_MAX: Final = 100
_WARM_REQUESTS: Final = 20


async def measure_stream(bench: Bench) -> Sequence[Result]:
    """Read a long chunk through the gate and through nginx."""
    size = bench.scale.stream_bytes
    bench.on_progress(f"streams of {size // 1_000_000} MB")
    cpu: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_upstream(bench.folder, long_bytes=size))
        gate = await stack.enter_async_context(run_gate(bench.folder, upstream=upstream.port))
        nginx = (await stack.enter_async_context(run_nginx(bench.folder, upstream=upstream.port))).buffered
        for target in (gate, nginx):
            await check_long(target, "long", size)

        async def one(target: Target) -> float:
            before = cpu_nanoseconds(target.pid)
            seconds = await _read(target, "long", _STREAM_READS)
            spent = (cpu_nanoseconds(target.pid) - before) / _STREAM_READS
            cpu.setdefault(target.name, []).append(spent / 1e6)
            return size * _STREAM_READS / 1e6 / sum(seconds)

        measured = await take_turns([upstream, gate, nginx], bench.scale.streams, one)
    return (
        judge(STREAM, ratios(measured[gate.name], measured[nginx.name])),
        *_speeds("a long chunk", measured),
        *(
            Reading(name=f"a long chunk: {target.name}", unit="ms CPU", rounds=tuple(cpu[target.name]))
            for target in (gate, nginx)
        ),
    )


async def measure_memory(bench: Bench) -> Sequence[Result]:
    """Read the growth of a fresh gate while it passes a long chunk on, and while nobody takes it."""
    size = bench.scale.stream_bytes
    bench.on_progress(f"memory of streams of {size // 1_000_000} MB")
    streamed, stalled = [], []
    async with run_upstream(bench.folder, long_bytes=size) as upstream:
        for _ in range(bench.scale.streams):
            async with _warm_gate(bench, upstream) as gate:
                before = resident_bytes(gate.pid)
                reset_peak(gate.pid)
                await _read(gate, "long", 1)
                streamed.append((peak_bytes(gate.pid) - before) / 1e6)
            async with _warm_gate(bench, upstream) as gate:
                stalled.append(await _stalled_bytes(gate, upstream) / 1_024)
    return judge(MEMORY, streamed), judge(STALLED, stalled)


@asynccontextmanager
async def _warm_gate(bench: Bench, upstream: Target) -> AsyncIterator[Target]:
    """Run a gate that has answered some tiny requests, so that what is made once is there."""
    async with run_gate(bench.folder, upstream=upstream.port) as gate:
        for number in range(_WARM_REQUESTS):
            await ask(gate, shape_target("tiny", offset=f"{number}_0"))
        yield gate


async def _stalled_bytes(gate: Target, upstream: Target) -> int:
    """Ask for a long chunk, take nothing, and read the growth when the upstream gets rid of no more."""
    before = private_bytes(gate.pid)
    _, writer = await asyncio.open_connection(HOST, gate.port, limit=_STALL_BUFFER_BYTES)
    try:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport reads too
        writer.write(print_request(shape_target("long"), gate.headers))
        sent, grown, steady = -1, 0, 0
        for _ in range(_STALL_POLLS_MAX):
            await asyncio.sleep(_POLL_SECONDS)
            now = (await upstream_state(upstream)).sent_bytes
            steady = steady + 1 if now == sent and now > 0 else 0
            sent, grown = now, private_bytes(gate.pid) - before
            if steady == 5:
                return max(0, grown)
        raise WrongAnswer("the gate takes a body on though nobody reads it")
    finally:
        writer.transport.abort()


async def measure_kept(bench: Bench) -> Sequence[Result]:
    """Read a chunk of the size that Electric cuts from the caches, and the same passed on."""
    if "cache" not in ABLE:
        return tuple(Skipped(goal=goal, reason="the gate keeps no answers") for goal in (KEPT, KEPT_TO_NGINX))
    bench.on_progress("chunks of 10 MB from the caches")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_upstream(bench.folder, long_bytes=_KEPT_BYTES))
        gate = await stack.enter_async_context(run_gate(bench.folder, upstream=upstream.port))
        passing = await stack.enter_async_context(
            run_gate(
                bench.folder,
                upstream=upstream.port,
                variant=Variant(cache=False),
                name="the gate, passing on",
            )
        )
        nginx = (await stack.enter_async_context(run_nginx(bench.folder, upstream=upstream.port))).cached
        for target in (gate, passing, nginx):
            await check_long(target, "long_kept", _KEPT_BYTES)
        for target in (gate, nginx):
            before = (await upstream_state(upstream)).requests
            await check_long(target, "long_kept", _KEPT_BYTES)
            if (await upstream_state(upstream)).requests > before:
                raise WrongAnswer(f"{target.name} asked again for a chunk that it could keep")

        async def one(target: Target) -> float:
            return _KEPT_BYTES * _KEPT_READS / 1e6 / sum(await _read(target, "long_kept", _KEPT_READS))

        measured = await take_turns([gate, passing, nginx], bench.scale.rounds, one)
    return (
        judge(KEPT, ratios(measured[gate.name], measured[passing.name])),
        judge(KEPT_TO_NGINX, ratios(measured[gate.name], measured[nginx.name])),
        *_speeds("a 10 MB chunk", measured),
    )


async def _read(target: Target, table: str, count: int) -> list[float]:
    request = print_request(shape_target(table), target.headers).decode("ascii")
    return await probe("bodies", port=target.port, request=request, count=count)


async def check_long(target: Target, table: str, size: int) -> None:
    """See that every byte comes. Raises WrongAnswer."""
    answer = await ask(target, shape_target(table))
    found = hashlib.blake2b(answer.body).hexdigest()
    if answer.status != 200 or found != await asyncio.to_thread(digest, size):
        raise WrongAnswer(f"{target.name} answered {answer.status} and {len(answer.body)} other bytes")


def _speeds(what: str, measured: Mapping[str, Sequence[float]]) -> tuple[Reading, ...]:
    return tuple(
        Reading(name=f"{what}: {name}", unit="MB/s", rounds=tuple(speeds))
        for name, speeds in measured.items()
    )
