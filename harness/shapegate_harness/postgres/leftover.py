"""Deal with the server that a killed run left behind, before a new one starts on the same data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shapegate_harness.postgres.command import is_server_command
from shapegate_harness.postgres.errors import ServerFailed
from shapegate_harness.postgres.guard import STOP_STEPS
from shapegate_harness.postgres.lock import open_private
from shapegate_harness.postgres.report import disown, parse_pid_file

if TYPE_CHECKING:
    from shapegate_harness.postgres.folder import Folder

_POLL_SECONDS: Final = 0.01
_PS_SECONDS: Final = 10.0


async def clear_leftover(folder: Folder) -> None:
    """Stop a server that still runs on the folder's data; call it with the lock held.

    A process is only signalled when its command line is that of a Postgres on this very data folder; a pid
    file that names a dead or another process is disowned. Raises ServerFailed if the server does not end.
    """
    left = parse_pid_file(folder.pid_text())
    if left is not None and serves(left.pid, folder.data):
        await _stop(left.pid, folder.data)
    text = folder.pid_text()
    if parse_pid_file(text) is None:
        folder.pid_file.unlink(missing_ok=True)
    else:
        with os.fdopen(open_private(folder.pid_file, os.O_WRONLY | os.O_TRUNC), "w") as file:
            file.write(disown(text))


def serves(pid: int, data: Path) -> bool:
    """Say whether `pid` is a live Postgres server on `data`."""
    return is_server_command(_command_line(pid), data=data)


def _command_line(pid: int) -> str:
    """Return a process's arguments, joined by spaces; empty if there is no such process."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        return ""
    command = ("/bin/ps", "-ww", "-o", "command=", "-p", str(pid))
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PS_SECONDS)  # noqa: S603  # fixed
    return listed.stdout.strip()


async def _stop(pid: int, data: Path) -> None:
    for number, seconds in STOP_STEPS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not serves(pid, data):
                return
            await asyncio.sleep(_POLL_SECONDS)
    raise ServerFailed(
        f"a Postgres of an earlier run (pid {pid}) still serves {str(data)!r} and does not end when killed; "
        "end it by hand"
    )
