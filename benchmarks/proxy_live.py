"""Rows of live requests: many polls of one shape, what each held one takes, and events of a stream."""

from __future__ import annotations

import asyncio
import itertools
import re
import resource
import statistics
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from benchmarks.bench import ask, take_turns
from benchmarks.driver import hold, probe, release, run_upstream, upstream_state
from benchmarks.figure import Bound, Goal, Reading, Skipped, judge, percentile, ratios
from benchmarks.gate import ABLE, Variant, bearer, run_gate
from benchmarks.peer import run_nginx
from benchmarks.processes import private_bytes
from benchmarks.running import WrongAnswer
from benchmarks.target import print_request, shape_target
from shapegate_proxy.descriptors import connections_sharing, connections_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Bench
    from benchmarks.figure import Result
    from benchmarks.target import Target

ASKED: Final = Goal(name="live polls of one shape", unit="upstream requests", bound=Bound.AT_MOST, value=1)
READY: Final = "the same, release to last answer, beside ready answers"
UNCOLLAPSED: Final = Goal(name="a held live poll, alone", unit="KB", bound=Bound.AT_MOST, value=16)
COLLAPSED: Final = Goal(name="a held live poll, collapsed", unit="KB", bound=Bound.AT_MOST, value=12)
EVENTS: Final = Goal(
    name="an event to the client, p50", unit="x nginx", bound=Bound.AT_MOST, value=1.4, aim=1.2
)
_STEADY_SECONDS: Final = 0.5
_GROWS_SECONDS_MAX: Final = 3.0
"""So long after the last one no more are held."""
_HELD_SHARE_MIN: Final = 0.9
"""With less, the machine was too busy to say what each takes."""
_POLL_SECONDS: Final = 0.1
_OWN_FILES: Final = 200
"""Of a process that holds connections: all else that it has open."""
_SPARE: Final = 20
"""Connections for those that ask the gate how it is."""
_EVENT_PAUSE_SECONDS: Final = 0.005
_EVENT_PARTS: Final = 5
"""So often in a round each target has its turn: the pace of a machine changes within seconds."""
_GAUGE: Final = re.compile(r"^shapegate_live_requests ([0-9.e+]+)$", re.MULTILINE)


async def measure_live(bench: Bench) -> Sequence[Result]:
    """Let many users of one organization wait for the same, each on a connection of its own."""
    bench.on_progress(f"{bench.scale.polls} live polls of one shape")
    asked: list[float] = []
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_upstream(bench.folder))
        gate = await stack.enter_async_context(run_gate(bench.folder, upstream=upstream.port))
        headers = [bearer(number) for number in range(bench.scale.polls)]
        offsets = itertools.count(1)

        async def one(target: Target) -> float:
            # An answer to a live poll may be kept for some seconds; nobody has asked from this offset yet.
            path = shape_target("live", live=True, offset=f"{next(offsets)}_0")
            requests = [print_request(path, each) for each in headers]
            before = (await upstream_state(upstream)).live_requests
            seconds = await _release_seconds(upstream, target, requests)
            if target is gate:
                asked.append((await upstream_state(upstream)).live_requests - before)
            return seconds

        await take_turns([upstream, gate], 1, one)
        asked.clear()
        measured = await take_turns([upstream, gate], bench.scale.rounds, one)
    milliseconds = (
        Reading(name=f"live polls, release to last answer: {name}", unit="ms", rounds=_ms(seconds))
        for name, seconds in measured.items()
    )
    last = ratios(measured[gate.name], measured[upstream.name])
    if "collapse" not in ABLE:
        missing = "the gate asks for each on its own"
        return (
            Skipped(goal=ASKED, reason=missing),
            Reading(name=ASKED.name, unit=ASKED.unit, rounds=tuple(asked)),
            Reading(name=READY, unit="x direct", rounds=last),
            *milliseconds,
        )
    return judge(ASKED, asked), Reading(name=READY, unit="x direct", rounds=last), *milliseconds


async def _release_seconds(upstream: Target, target: Target, requests: Sequence[bytes]) -> float:
    async with hold(target, requests) as holder:
        held = await _wait_held(target, upstream, len(requests))
        if held != len(requests):
            raise WrongAnswer(f"{target.name} holds {held} live polls: expected {len(requests)}")
        released = time.monotonic()
        await release(upstream)
        answered = await holder.said()
        if answered["statuses"] != {"200": len(requests)}:
            raise WrongAnswer(f"{target.name} answered live polls with {answered['statuses']}")
        last = answered["last"]
        assert isinstance(last, float)
        return last - released


async def _wait_held(target: Target, upstream: Target, count: int) -> int:
    """Wait until so many are held, or no more of them come; how many are.

    The gate gives a live poll up that Electric does not answer within 30 s: so long it may take to hold all.
    """
    held, grown_at = 0, time.monotonic()
    while held < count and time.monotonic() < grown_at + _GROWS_SECONDS_MAX:
        await asyncio.sleep(_POLL_SECONDS)
        before, held = held, await _held_count(target, upstream)
        if held > before:
            grown_at = time.monotonic()
    # What the gate counts may be on its way to the upstream yet.
    await asyncio.sleep(_STEADY_SECONDS)
    return await _held_count(target, upstream)


async def _held_count(target: Target, upstream: Target) -> int:
    """Read what the gate holds, as its metrics say; whoever has none holds what the upstream does."""
    if target.metrics is None:
        return (await upstream_state(upstream)).held
    found = _GAUGE.search((await ask(target, "/metrics", port=target.metrics)).body.decode())
    if found is None:
        raise WrongAnswer("the gate's metrics do not say how many live requests there are")
    return int(float(found[1]))


async def measure_held(bench: Bench) -> Sequence[Result]:
    """Hold as many live polls as there may be, and read what the gate's memory grew by."""
    results: list[Result] = []
    for goal, collapse, wanted in (
        (UNCOLLAPSED, False, bench.scale.holds),
        (COLLAPSED, True, bench.scale.collapsed_holds),
    ):
        if collapse and "collapse" not in ABLE:
            results.append(Skipped(goal=goal, reason="the gate asks for each on its own"))
            continue
        count = min(wanted, _connections_allowed(wanted, collapse=collapse))
        bench.on_progress(f"holding {count} live polls, {'collapsed' if collapse else 'each alone'}")
        held, kilobytes = await _held_kilobytes(bench, count, collapse=collapse)
        # What was given up has left memory behind that is not given back.
        rounds = [kilobytes] if held >= _HELD_SHARE_MIN * count else []
        missing = f"{held} of {count} could be held before the first were given up"
        asked = f"{goal.name}, of {wanted}"
        results += [judge(goal, rounds, missing=missing), Reading(name=asked, unit="held", rounds=(held,))]
    return results


def _connections_allowed(wanted: int, *, collapse: bool) -> int:
    """Bound the connections by what the gate bears with the open files that a process may have.

    Collapsed ones need no file for Electric each.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE
    borne = connections_sharing(hard, needed) if collapse else connections_within(hard, needed)
    return min(borne, hard - _OWN_FILES) - _SPARE


async def _held_kilobytes(bench: Bench, count: int, *, collapse: bool) -> tuple[int, float]:
    """Return how many are held, and the private memory that each of them takes."""
    variant = Variant(collapse=collapse)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_upstream(bench.folder))
        gate = await stack.enter_async_context(
            run_gate(bench.folder, upstream=upstream.port, variant=variant)
        )
        headers = [bearer(number) for number in range(100)]
        requests = [
            print_request(_live_target(number, distinct=not collapse), headers[number % len(headers)])
            for number in range(count)
        ]
        # What is made once, by the first ones, is no part of what each takes.
        async with hold(gate, requests[:50]):
            await _wait_held(gate, upstream, 50)
        await asyncio.sleep(_STEADY_SECONDS)
        before = private_bytes(gate.pid)
        async with hold(gate, requests):
            held = await _wait_held(gate, upstream, count)
            # Divided by what is held at the same moment.
            return held, (private_bytes(gate.pid) - before) / 1_024 / max(1, held)


def _live_target(number: int, *, distinct: bool) -> str:
    """Print a target; a distinct one waits from an offset of its own, so that nobody shares it."""
    return shape_target("live", live=True, **({"offset": f"{number + 1}_0"} if distinct else {}))


async def measure_events(bench: Bench) -> Sequence[Result]:
    """Let the upstream write events to one stream, and time them to the client."""
    bench.on_progress(f"{bench.scale.events} events of a stream")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_upstream(bench.folder))
        gate = await stack.enter_async_context(run_gate(bench.folder, upstream=upstream.port))
        nginx = (await stack.enter_async_context(run_nginx(bench.folder, upstream=upstream.port))).unbuffered

        async def one(target: Target) -> float:
            path = shape_target("live", live=True, more="&live_sse=true")
            request = print_request(path, {**target.headers, "Accept": "text/event-stream"})
            seconds = await probe(
                "events",
                port=target.port,
                request=request.decode("ascii"),
                control=upstream.port,
                count=bench.scale.events // _EVENT_PARTS,
                pause_seconds=_EVENT_PAUSE_SECONDS,
            )
            return percentile(seconds, 50)

        parts = await take_turns([upstream, nginx, gate], bench.scale.rounds * _EVENT_PARTS, one)
    return (
        judge(EVENTS, _by_round(ratios(parts[gate.name], parts[nginx.name]))),
        *(
            Reading(name=f"an event to the client: {name}", unit="us", rounds=_us(_by_round(seconds)))
            for name, seconds in parts.items()
        ),
    )


def _by_round(parts: Sequence[float]) -> list[float]:
    """Take the medians of the parts of each round."""
    return [
        statistics.median(parts[start : start + _EVENT_PARTS]) for start in range(0, len(parts), _EVENT_PARTS)
    ]


def _ms(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(1e3 * each for each in seconds)


def _us(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(1e6 * each for each in seconds)
