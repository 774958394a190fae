"""Run a program that ends when we do: under a guard process, which notices our end by a closed pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shapegate_harness.postgres import guard
from shapegate_harness.postgres.command import ENVIRONMENT, guard_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_harness.postgres.account import Account

_STOP_SECONDS: Final = 5.0 + sum(seconds for _, seconds in guard.STOP_STEPS)
"""All steps of the guard, and some for a busy machine."""
_POLL_SECONDS: Final = 0.005


class Guarded:
    """A program under its guard. Not of asyncio: it belongs to no event loop and outlives a closed one."""

    __slots__ = ("_process",)

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def start(cls, command: Sequence[str], *, account: Account | None, log: int) -> Guarded:
        """Start the program as `account`; what it prints goes to the descriptor `log`, which stays ours."""
        ids = (None, None) if account is None else (account.uid, account.gid)
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and file
            guard_command(Path(guard.__file__), command, uid=ids[0], gid=ids[1]),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=dict(ENVIRONMENT),
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches us, and we stop the program in order
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id of the guard."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code of the program, once it ended."""
        return self._process.poll()

    async def wait(self, seconds: float) -> int:
        """Wait for the program to end by itself. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while (code := self.code) is None:
            if time.monotonic() > deadline:
                raise TimeoutError
            await asyncio.sleep(_POLL_SECONDS)
        return code

    async def stop(self) -> None:
        """Stop the program and wait until it and its guard ended. Idempotent.

        Also when cancelled: the guard has its order before the first wait, and carries it out without us.
        """
        assert self._process.stdin is not None, "started with a pipe"
        self._process.stdin.close()
        try:
            await self.wait(_STOP_SECONDS)
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)  # the server is of the same group
            self._process.wait()
