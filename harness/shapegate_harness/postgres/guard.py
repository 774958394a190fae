"""The guard: a tiny process between us and Postgres that stops the server when we are gone.

Run by path as `python -I -S guard.py UID GID COMMAND...`, outside of any package: it imports the
standard library only. Its standard input is a pipe whose other end its parent holds. When that end is
closed, by an orderly stop or because the parent was killed, the guard stops the server: fast, then immediate,
then by force. Unlike PR_SET_PDEATHSIG this works on every Unix, across a change of account, and does not
depend on which thread of the parent started it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Postgres: SIGINT ends sessions and writes a checkpoint, SIGQUIT leaves recovery to the next start."""

_PARENT_CHECK_SECONDS = 1.0
"""A process forked off the parent may keep the pipe open; whether the parent lives is also looked at."""


def main(arguments: Sequence[str]) -> int:
    """Run the server until it ends or the parent does; return its exit code."""
    uid, gid, *command = arguments
    parent = os.getppid()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)  # written to the pipe is all we need
    try:
        server = subprocess.Popen(  # noqa: S603  # our parent names the command
            command,
            stdin=subprocess.DEVNULL,
            user=int(uid) if uid else None,
            group=int(gid) if gid else None,
            extra_groups=[] if uid else None,
        )
    except OSError as error:
        sys.exit(f"FATAL:  could not execute {command[0]}: {error}")
    while server.poll() is None:
        readable, _, _ = select.select([0, woken], [], [], _PARENT_CHECK_SECONDS)
        asked = woken in readable and any(number != signal.SIGCHLD for number in os.read(woken, 64))
        if asked or 0 in readable or os.getppid() != parent:
            stop(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def stop(server: subprocess.Popen[bytes], *, steps: Sequence[tuple[int, float]] = STOP_STEPS) -> None:
    """End the server, politely first: the signals in turn, with the seconds to wait after each."""
    for number, seconds in steps:
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(seconds)
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
