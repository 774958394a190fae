"""Workers that cannot start, and what is said of them; those that can are in tests/cli."""

from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.worker_link import Listening, NotStarted
from shapegate_proxy.workers import Workers, WorkersFailed
from tests.proxy.test_worker_link import ENVIRON

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_proxy.configuration import Configuration
    from shapegate_proxy.worker_link import Message

SCRIPT = """
import pathlib, socket, struct, sys
mark, said = pathlib.Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
link = socket.socket(fileno=int(sys.argv[3]))
(length,) = struct.unpack(">I", link.recv(4, socket.MSG_WAITALL))
link.recv(length, socket.MSG_WAITALL)
with mark.open("a") as starts:
    starts.write(".")
if len(mark.read_text()) <= 2:
    link.sendall(struct.pack(">I", len(said)) + said)
sys.exit(3)
"""
"""A worker that is there for a moment; its first two processes say something."""


def command(mark: Path, said: Message) -> tuple[str, ...]:
    return sys.executable, "-S", "-c", SCRIPT, str(mark), msgspec.msgpack.encode(said).hex()


def found(workers: int = 2) -> Configuration:
    read = read_configuration(ENVIRON)
    return replace(read, config=replace(read.config, workers=workers))


async def test_a_worker_that_ends_at_its_start_is_named_with_its_exit_code() -> None:
    workers = Workers(found(), command=(sys.executable, "-S", "-c", "raise SystemExit(3)"))
    with pytest.raises(WorkersFailed, match=r"^worker \d cannot start: it ended with exit code 3$"):
        async with workers.running():
            raise AssertionError


async def test_a_worker_that_says_why_it_cannot_start_is_quoted(tmp_path: Path) -> None:
    workers = Workers(
        found(1), command=command(tmp_path / "mark", NotStarted(problem="the address is taken"))
    )
    with pytest.raises(WorkersFailed, match=r"^worker 1 cannot start: the address is taken$"):
        async with workers.running():
            raise AssertionError


async def test_a_program_that_is_nowhere_is_a_sentence(tmp_path: Path) -> None:
    workers = Workers(found(1), command=(str(tmp_path / "nowhere"),))
    with pytest.raises(WorkersFailed, match=r"^worker 1 cannot start: the process cannot be made \(No such"):
        async with workers.running():
            raise AssertionError


async def test_a_worker_that_served_is_started_again_until_that_is_in_vain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark, hours = tmp_path / "mark", itertools.count(step=3600)
    said = Listening(url="http://127.0.0.1:1")
    workers = Workers(found(1), command=command(mark, said), monotonic=lambda: float(next(hours)))
    with pytest.raises(
        WorkersFailed, match=r"^worker 1 cannot start, tried 5 times: it ended with exit code 3$"
    ):
        async with workers.running():
            await workers.run_until(asyncio.Event())
    assert mark.read_text() == "." * (2 + 5)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == ['worker_ended worker=1 problem="it ended with exit code 3" restart_seconds=0.0'] * 6
