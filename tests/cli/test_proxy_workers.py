"""`shapegate proxy --workers`: several processes on one address, kept running, and their figures added up."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from click.testing import CliRunner

from shapegate_cli.servers import proxy as proxy_command
from tests.cli.gates import LIVE, START, Electric, bearer, listening, proxy
from tests.proxy.builders import ELECTRIC_SECRET, SECRET, serve
from tests.proxy.raw import dial
from tests.proxy.test_worker_link import ENVIRON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from yarl import URL

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
CONNECTIONS_MAX = 100
SECRETS = (SECRET.encode(), ELECTRIC_SECRET.encode())


@dataclass
class Running:
    """A gate of two workers, and who asks it."""

    url: URL
    process: asyncio.subprocess.Process
    metrics: str
    lines: list[dict[str, object]] = field(default_factory=list)

    def workers(self) -> set[int]:
        """The processes that the parent started and that did not end."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    async def ask(self) -> int:
        """Ask on a connection of its own, which reaches any of the workers."""
        async with (
            aiohttp.ClientSession(headers=bearer()) as http,
            http.get(self.url / "v1/shape", params=START) as answer,
        ):
            return answer.status

    async def figures(self) -> dict[str, float]:
        async with aiohttp.ClientSession() as http, http.get(self.metrics) as answer:
            text = await answer.text()
        return dict(figure(line) for line in text.splitlines() if not line.startswith("#"))

    async def line(self, event: str) -> dict[str, object]:
        """Wait for the next line of this event."""
        assert self.process.stderr is not None
        while True:
            line: dict[str, object] = json.loads(await asyncio.wait_for(self.process.stderr.readline(), 20))
            self.lines.append(line)
            if line["event"] == event:
                return line

    async def end(self) -> list[dict[str, object]]:
        """Wait for the end; return all lines."""
        rest = (await asyncio.wait_for(self.process.communicate(), 20))[1].decode()
        return self.lines + [json.loads(line) for line in rest.splitlines()]


def figure(line: str) -> tuple[str, float]:
    """Read a line of the exposition; here each figure has one set of labels at most."""
    labelled, _, value = line.rpartition(" ")
    return labelled.partition("{")[0], float(value)


@asynccontextmanager
async def two_workers(tmp_path: Path, upstream: URL, port: int) -> AsyncIterator[Running]:
    async with proxy(tmp_path, upstream, "--workers", "2", METRICS_PORT=str(port)) as process:
        url, first = await listening(process)
        assert json.loads(first)["workers"] == 2
        running = Running(url=url, process=process, metrics=f"http://127.0.0.1:{port}/metrics")
        running.lines.append(json.loads(first))
        yield running


def sockets(pid: int) -> int:
    """Count the sockets that a process has open."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += str(link.readlink()).startswith("socket:")
    return count


def secrets_told(running: Running) -> set[bytes]:
    """Return secrets on command lines of workers, and in variables that their parent was not given."""
    _, given = told(running.process.pid)
    found = set()
    for command, environ in map(told, running.workers()):
        found |= {secret for secret in SECRETS for said in (command, *(environ - given)) if secret in said}
    return found


def told(pid: int) -> tuple[bytes, set[bytes]]:
    """Return a process's command line and environment."""
    process = Path(f"/proc/{pid}")
    return (process / "cmdline").read_bytes(), set((process / "environ").read_bytes().split(b"\0"))


async def until_ended(pids: set[int]) -> None:
    """Wait for processes that are no children of this one."""
    for pid in pids:
        with suppress(ProcessLookupError):
            ending = os.pidfd_open(pid)
            readable, _, _ = await asyncio.to_thread(select.select, [ending], [], [], 10)
            os.close(ending)
            assert readable


async def hold_connections_of_both(running: Running, stack: AsyncExitStack) -> None:
    """Open connections, held by the stack, until each worker has some."""
    before = {pid: sockets(pid) for pid in running.workers()}
    for _ in range(CONNECTIONS_MAX):
        await stack.enter_async_context(dial(running.url))
        assert await running.ask() == 200
        if all(sockets(pid) > count for pid, count in before.items()):
            return
    raise AssertionError(f"one of the workers took none of {CONNECTIONS_MAX} connections")


async def test_I_10_two_workers_serve_one_address_and_their_figures_are_one_sum(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with (
        serve(Electric().answer) as (upstream, _),
        two_workers(tmp_path, upstream, unused_tcp_port) as running,
        AsyncExitStack() as stack,
    ):
        assert len(running.workers()) == 2
        assert not secrets_told(running)
        await hold_connections_of_both(running, stack)
        first = await running.figures()
        assert first["shapegate_workers"] == 2
        assert first["shapegate_workers_silent"] == 0
        assert await running.ask() == 200
        assert (await running.figures())["shapegate_requests_total"] == first["shapegate_requests_total"] + 1
        running.process.send_signal(signal.SIGINT)
        lines = await running.end()
    assert running.process.returncode == 0
    events = [line["event"] for line in lines]
    assert events.count("shape_served") == first["shapegate_requests_total"] + 1
    assert [event for event in events if event != "shape_served"] == ["listening", "stopping"]


async def test_a_worker_that_dies_is_started_again_as_it_was_checked_and_no_sum_falls(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with (
        serve(Electric().answer) as (upstream, _),
        two_workers(tmp_path, upstream, unused_tcp_port) as running,
    ):
        for _ in range(8):
            assert await running.ask() == 200
        counted = (await running.figures())["shapegate_requests_total"]
        before = running.workers()
        (tmp_path / "policy.toml").write_text("version = 1\n")  # with which no gate would start
        for killed in before:
            os.kill(killed, signal.SIGKILL)
            said = await running.line("worker_ended")
            assert said["problem"] == "it ended with exit code -9"
            assert (await running.figures())["shapegate_requests_total"] == counted
            await running.line("worker_listening")
        figures = await running.figures()
        assert (figures["shapegate_requests_total"], figures["shapegate_workers"]) == (counted, 2)
        assert running.workers().isdisjoint(before)
        assert len(running.workers()) == 2
        assert figures["shapegate_worker_restarts_total"] == 2
        assert await running.ask() == 200
        assert (await running.figures())["shapegate_requests_total"] == counted + 1
        running.process.send_signal(signal.SIGTERM)
        await running.end()
    assert running.process.returncode == 0


async def test_a_worker_that_does_not_answer_is_counted_and_no_sum_falls(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with (
        serve(Electric().answer) as (upstream, _),
        two_workers(tmp_path, upstream, unused_tcp_port) as running,
    ):
        for _ in range(4):
            assert await running.ask() == 200
        counted = (await running.figures())["shapegate_requests_total"]
        stopped = min(running.workers())
        os.kill(stopped, signal.SIGSTOP)
        figures = await running.figures()
        assert (figures["shapegate_workers_silent"], figures["shapegate_requests_total"]) == (1, counted)
        os.kill(stopped, signal.SIGCONT)
        while (await running.figures())["shapegate_workers_silent"]:
            pass


async def test_a_signal_drains_every_worker_and_the_process_ends_well(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    electric = Electric()
    async with (
        serve(electric.answer) as (upstream, _),
        two_workers(tmp_path, upstream, unused_tcp_port) as running,
    ):
        workers = running.workers()
        async with aiohttp.ClientSession(headers=bearer()) as http:
            held = asyncio.create_task(http.get(running.url / "v1/shape", params=LIVE))
            await asyncio.wait_for(electric.holds.wait(), 10)
            for (
                pid
            ) in workers:  # A service manager signals all; a worker that was told already goes on draining.
                os.kill(pid, signal.SIGTERM)
            running.process.send_signal(signal.SIGTERM)
            answer = await asyncio.wait_for(held, 10)
            assert (answer.status, (await answer.json())["code"]) == (503, "gate_stopping")
        lines = await running.end()
    assert running.process.returncode == 0
    await until_ended(workers)
    assert [line["event"] for line in lines].count("stopping") == 1


async def test_workers_whose_parent_was_killed_drain_and_end(tmp_path: Path, unused_tcp_port: int) -> None:
    electric = Electric()
    async with (
        serve(electric.answer) as (upstream, _),
        two_workers(tmp_path, upstream, unused_tcp_port) as running,
    ):
        workers = running.workers()
        async with aiohttp.ClientSession(headers=bearer()) as http:
            held = asyncio.create_task(http.get(running.url / "v1/shape", params=LIVE))
            await asyncio.wait_for(electric.holds.wait(), 10)
            running.process.kill()
            answer = await asyncio.wait_for(held, 10)
            assert (answer.status, (await answer.json())["code"]) == (503, "gate_stopping")
        await until_ended(workers)


async def test_a_second_signal_ends_every_process_at_once(tmp_path: Path, unused_tcp_port: int) -> None:
    electric = Electric()
    async with (
        serve(electric.answer) as (upstream, _),
        two_workers(tmp_path, upstream, unused_tcp_port) as running,
    ):
        workers = running.workers()
        async with aiohttp.ClientSession(headers=bearer()) as http:
            catching_up = START | {"offset": "0_0", "handle": "h-1"}
            asking = asyncio.create_task(http.get(running.url / "v1/shape", params=catching_up))
            await asyncio.wait_for(electric.holds.wait(), 10)
            running.process.send_signal(signal.SIGTERM)
            await running.line("stopping")
            running.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.process.wait(), 2) == -signal.SIGTERM
            with pytest.raises(aiohttp.ClientError):
                await asyncio.wait_for(asking, 2)
        await until_ended(workers)


@pytest.mark.parametrize("taken", ["PORT", "METRICS_PORT"])
async def test_an_address_that_is_taken_is_one_sentence(tmp_path: Path, taken: str) -> None:
    async with serve(Electric().answer) as (upstream, _):
        ports = {taken: str(upstream.port)}
        async with proxy(tmp_path, upstream, "--workers", "2", open_files_max=None, **ports) as process:
            said = (await asyncio.wait_for(process.communicate(), 20))[1].decode()
    assert process.returncode == 1
    assert re.fullmatch(r"shapegate: .*address already in use.*\n", said, re.IGNORECASE)


def test_too_many_workers_are_a_sentence() -> None:
    result = CliRunner(env=ENVIRON).invoke(proxy_command, ["--workers", "65"])
    assert result.exit_code == 1
    assert result.output == "shapegate: SHAPEGATE_WORKERS is '65': expected a number from 1 to 64\n"
