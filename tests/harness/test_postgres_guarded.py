"""Tests of Guarded together with its guard, which only exists as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres import guard
from shapegate_harness.postgres.account import server_account
from shapegate_harness.postgres.guarded import Guarded
from tests.harness.postgres_builders import alive, eventually, needs_root

if TYPE_CHECKING:
    from pathlib import Path

PRINT_PID = 'echo "$$"; '
SLEEP = PRINT_PID + "exec sleep 600"
STUBBORN = "trap '' INT QUIT; " + PRINT_PID + "while :; do sleep 600; done"


class Shell:
    """A shell script under its guard, and its log."""

    def __init__(self, script: str, folder: Path, *, as_server: bool = False) -> None:
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.guarded = Guarded.start(
                ("/bin/sh", "-c", script),
                account=server_account() if as_server else None,
                log=log.fileno(),
            )

    async def pid(self) -> int:
        await eventually(lambda: self.log.read_text().endswith("\n"))
        return int(self.log.read_text())


async def test_the_exit_code_is_that_of_the_program(tmp_path: Path) -> None:
    shell = Shell("exit 7", tmp_path)
    assert await shell.guarded.wait(10) == 7
    await shell.guarded.stop()


async def test_a_program_ended_by_a_signal_exits_as_a_shell_says_it(tmp_path: Path) -> None:
    shell = Shell("kill -9 $$", tmp_path)
    assert await shell.guarded.wait(10) == 128 + 9
    await shell.guarded.stop()


async def test_a_program_that_cannot_be_executed_says_so_in_the_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        guarded = Guarded.start((str(tmp_path / "none"),), account=None, log=log.fileno())
    assert await guarded.wait(10) == 1
    await guarded.stop()
    assert "could not execute" in (tmp_path / "log").read_text()


async def test_stopping_ends_the_program_and_the_guard_and_may_be_repeated(tmp_path: Path) -> None:
    shell = Shell(SLEEP, tmp_path)
    pid = await shell.pid()
    await shell.guarded.stop()
    await shell.guarded.stop()
    assert not alive(pid)
    assert shell.guarded.code == 128 + signal.SIGINT


async def test_waiting_is_bounded(tmp_path: Path) -> None:
    shell = Shell(SLEEP, tmp_path)
    with pytest.raises(TimeoutError):
        await shell.guarded.wait(0)
    await shell.guarded.stop()


async def test_a_cancelled_stop_is_carried_out_by_the_guard(tmp_path: Path) -> None:
    shell = Shell(SLEEP, tmp_path)
    pid = await shell.pid()
    stopping = asyncio.create_task(shell.guarded.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await eventually(lambda: not alive(pid))
    await shell.guarded.stop()


async def test_a_guard_asked_to_terminate_stops_the_program_first(tmp_path: Path) -> None:
    shell = Shell(SLEEP, tmp_path)
    pid = await shell.pid()
    os.kill(shell.guarded.pid, signal.SIGTERM)
    assert await shell.guarded.wait(10) == 128 + signal.SIGINT
    assert not alive(pid)
    await shell.guarded.stop()


async def test_the_guard_is_of_its_own_session_so_that_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    shell = Shell(SLEEP, tmp_path)
    pid = await shell.pid()
    assert os.getsid(pid) == shell.guarded.pid != os.getsid(0)
    await shell.guarded.stop()


@needs_root
async def test_the_program_runs_as_the_servers_account_without_other_groups(tmp_path: Path) -> None:
    account = server_account()
    assert account is not None
    shell = Shell("id -u; id -G", tmp_path, as_server=True)
    await shell.guarded.wait(10)
    await shell.guarded.stop()
    assert shell.log.read_text().split() == [str(account.uid), str(account.gid)]


def test_a_program_deaf_to_both_signals_is_killed(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", STUBBORN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        guard.stop(program, steps=((signal.SIGINT, 0.01), (signal.SIGQUIT, 0.01), (signal.SIGKILL, 10.0)))
        assert program.returncode == -signal.SIGKILL
        os.killpg(program.pid, signal.SIGKILL)  # the sleep


PARENT_WITH_A_FORK = """\
import os, signal, sys
from shapegate_harness.postgres.guarded import Guarded
with open(sys.argv[1], "wb") as log:
    guarded = Guarded.start(("/bin/sh", "-c", sys.argv[2]), account=None, log=log.fileno())
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("up", flush=True)
signal.pause()
"""


async def test_a_forked_child_that_keeps_the_pipe_does_not_keep_the_program(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT_WITH_A_FORK,
        str(tmp_path / "log"),
        SLEEP,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    async with asyncio.timeout(10):
        await parent.stdout.readline()
    await eventually(lambda: (tmp_path / "log").read_text().endswith("\n"))
    pid = int((tmp_path / "log").read_text())
    parent.kill()
    await eventually(lambda: not alive(pid))
    parent.stdin.close()  # ends the forked child
    async with asyncio.timeout(10):
        await parent.communicate()
