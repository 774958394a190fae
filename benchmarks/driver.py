"""The processes that load a target beside wrk, and the upstream that they need."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.bench import ask
from benchmarks.running import WrongAnswer, free_port, run_process
from benchmarks.target import Target, print_request, shape_target
from benchmarks.unshared import own_python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

_SECONDS_MAX: Final = 120.0
_LINE_BYTES_MAX: Final = 64 * 1_024 * 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamState:
    """What the upstream counted."""

    requests: int
    live_requests: int
    sent_bytes: int
    held: int
    streams: int


@asynccontextmanager
async def run_upstream(folder: Path, *, long_bytes: int = 1_000) -> AsyncIterator[Target]:
    """Run `benchmarks.upstream` within the block. Raises NotReady."""
    port = free_port()
    program, environment = own_python()
    words = (program, "-m", "benchmarks.upstream", str(port), str(long_bytes))
    log = folder / f"upstream {port}.log"
    async with run_process(words, port=port, log=log, environment=environment) as pid:
        yield Target(name="direct", port=port, pid=pid)


async def upstream_state(upstream: Target) -> UpstreamState:
    """Ask the upstream what it counted."""
    return UpstreamState(**json.loads((await ask(upstream, "/bench/state")).body))


async def release(upstream: Target) -> None:
    """Let the upstream answer what it holds."""
    await ask(upstream, "/bench/release")


async def probe(kind: str, **job: object) -> list[float]:
    """Run one job of `benchmarks.proxy_probe`; the seconds that it measured. Raises WrongAnswer."""
    measured: list[float] = json.loads(await _probe(kind, job))
    return measured


async def probe_in_turns(ports: list[int], requests: list[bytes], **job: object) -> list[list[float]]:
    """Ask several targets at a low rate; the seconds of each answer, by target. Raises WrongAnswer."""
    printed = [request.decode("ascii") for request in requests]
    measured: list[list[float]] = json.loads(
        await _probe("slowly", {"ports": ports, "requests": printed, **job})
    )
    return measured


async def _probe(kind: str, job: Mapping[str, object]) -> bytes:
    process = await _start("benchmarks.proxy_probe")
    try:
        said, errors = await asyncio.wait_for(
            process.communicate((json.dumps({"kind": kind, **job}) + "\n").encode()), _SECONDS_MAX
        )
    except TimeoutError as exc:
        raise WrongAnswer(f"{kind} took longer than {_SECONDS_MAX:g} s") from exc
    finally:
        await _end(process)
    if process.returncode != 0:
        raise WrongAnswer(f"{kind} failed: {errors.decode(errors='replace').strip()[-500:]}")
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Connections that are held by a process of their own."""

    process: asyncio.subprocess.Process

    async def said(self) -> dict[str, object]:
        """Wait for its next line. Raises WrongAnswer if it ended, or if none comes in time."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), _SECONDS_MAX)
        except TimeoutError as exc:
            raise WrongAnswer(f"held requests were not answered within {_SECONDS_MAX:g} s") from exc
        if not line:
            errors = (await self.process.stderr.read()).decode(errors="replace").strip()
            raise WrongAnswer(f"the process that holds connections ended: {errors[-500:]}")
        said: dict[str, object] = json.loads(line)
        return said


@asynccontextmanager
async def hold(
    target: Target, requests: Sequence[bytes], *, first: bytes | None = None
) -> AsyncIterator[Holder]:
    """Hold so many requests within the block, from when all are sent; they are dropped at its end.

    `first` is asked before on each connection; None is for what is new of a shape. Raises WrongAnswer if they
    cannot be sent.
    """
    process = await _start("benchmarks.proxy_holds")
    try:
        assert process.stdin is not None
        # As a client does, each asks for what is new before it waits for more.
        asked = first or print_request(shape_target("tiny"), target.headers)
        printed = [request.decode("ascii") for request in requests]
        job = {"port": target.port, "first": asked.decode("ascii"), "requests": printed}
        process.stdin.write((json.dumps(job) + "\n").encode())
        await process.stdin.drain()
        holder = Holder(process=process)
        await holder.said()
        yield holder
        process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _SECONDS_MAX)
    finally:
        await _end(process)


async def _start(module: str) -> asyncio.subprocess.Process:
    program, environment = own_python()
    return await asyncio.create_subprocess_exec(
        *(program, "-m", module),
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
