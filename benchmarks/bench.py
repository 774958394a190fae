"""What the rows of the proxy's section share: how much to measure, where, and taking turns."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks.processes import cpu_nanoseconds
from benchmarks.running import HOST, WrongAnswer
from benchmarks.target import HANDLE, OFFSET, UP_TO_DATE, shape_target
from benchmarks.turns import rotated
from benchmarks.wrk import run_wrk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.target import Target

T = TypeVar("T")
_ANSWER_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much to measure, and how often."""

    rounds: int
    wrk_seconds: int
    warm_rounds: int
    """Of wrk, before those that count: Node compiles what is hot."""
    asked_slowly: int
    """Requests to each target in one round of the latency at a low rate."""
    stream_bytes: int
    streams: int
    holds: int
    collapsed_holds: int
    polls: int
    events: int
    soak_requests: int
    soak_holds: int


FULL: Final = Scale(
    rounds=5,
    wrk_seconds=2,
    warm_rounds=2,
    asked_slowly=250,
    stream_bytes=100_000_000,
    streams=5,
    holds=9_500,
    collapsed_holds=19_000,
    polls=1_000,
    events=200,
    soak_requests=200_000,
    soak_holds=2_000,
)
QUICK: Final = Scale(
    rounds=3,
    wrk_seconds=1,
    warm_rounds=2,
    asked_slowly=100,
    stream_bytes=100_000_000,
    streams=3,
    holds=2_000,
    collapsed_holds=2_000,
    polls=1_000,
    events=100,
    soak_requests=20_000,
    soak_holds=500,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One run."""

    scale: Scale
    folder: Path
    """For the files of what is started; it is emptied after the run."""
    on_progress: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one load by wrk cost its target."""

    cpu_us: float
    """CPU time of a request."""
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


async def take_turns(
    targets: Sequence[Target], rounds: int, measure: Callable[[Target], Awaitable[T]]
) -> Mapping[str, list[T]]:
    """Measure every target once in each round, each round from another one on; by name.

    So all meet the same noise, and none always comes behind the same other.
    """
    found: dict[str, list[T]] = {target.name: [] for target in targets}
    for number in range(rounds):
        for target in rotated(targets, number):
            found[target.name].append(await measure(target))
    return found


async def load(
    target: Target, seconds: int, *, path: str, script: Path | None = None, arguments: Sequence[str] = ()
) -> Load:
    """Load a target and read what that cost it. Raises WrongAnswer or NoProc."""
    before = cpu_nanoseconds(target.pid)
    report = await run_wrk(
        target.url + path, headers=target.headers, seconds=seconds, script=script, arguments=arguments
    )
    spent = cpu_nanoseconds(target.pid) - before
    return Load(cpu_us=spent / 1_000 / report.requests, rate=report.rate)


async def ask(target: Target, path: str, *, port: int | None = None) -> Answer:
    """Ask once, on a connection of its own. Raises WrongAnswer if nothing is answered."""
    try:
        return await asyncio.to_thread(_ask, port or target.port, path, target.headers)
    except (OSError, http.client.HTTPException) as exc:
        raise WrongAnswer(f"{target.name} did not answer: {type(exc).__name__}") from exc


def _ask(port: int, path: str, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=named, body=response.read())
    finally:
        connection.close()


async def check_tiny(target: Target, table: str) -> None:
    """See that a target gives the tiny answer with what belongs to it. Raises WrongAnswer."""
    answer = await ask(target, shape_target(table))
    said = {name: answer.headers.get(name) for name in ("electric-handle", "electric-offset")}
    expected = {"electric-handle": HANDLE, "electric-offset": OFFSET}
    if answer.status != 200 or answer.body != UP_TO_DATE or said != expected:
        raise WrongAnswer(f"{target.name} answered {answer.status} {answer.body[:200]!r} with {said}")
    if "electric-up-to-date" not in answer.headers or "electric-schema" not in answer.headers:
        raise WrongAnswer(f"{target.name} lost headers: {sorted(answer.headers)}")


async def upstream_requests(upstream: Target) -> int:
    """Ask the fast upstream how many requests it had, this one included."""
    answer = await ask(upstream, "/bench/state")
    # nginx, stub_status: the line below "server accepts handled requests".
    return int(answer.body.decode().splitlines()[2].split()[2])
