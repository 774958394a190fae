"""Programs that stand for Postgres's or own one, and waits with a deadline, for the tests of the launcher."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres.binaries import Binaries

if TYPE_CHECKING:
    from collections.abc import Callable

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as another account")
needs_user = pytest.mark.skipif(IS_ROOT, reason="root is refused nothing")

INITDB = """\
#!/bin/sh
for argument do case "$argument" in --pgdata=*) data="${argument#--pgdata=}";; esac; done
mkdir "$data" && echo 18 > "$data/PG_VERSION"
"""
"""An initdb that makes what the launcher looks at, and nothing else."""

OWNER = """\
import asyncio, sys
from pathlib import Path
from shapegate_harness.postgres import EmbeddedPostgres

async def main():
    try:
        async with EmbeddedPostgres.open(Path(sys.argv[1]), durable=False) as postgres:
            print(postgres.pid, postgres._server.guarded.pid, postgres.url(), flush=True)
            await asyncio.Event().wait()
    finally:
        print("stopped", flush=True)

asyncio.run(main())
"""
"""A program that owns a Postgres until it is interrupted or killed."""


def programs(folder: Path, *, postgres: str, initdb: str = INITDB) -> Binaries:
    """Write two shell scripts to a new `folder`, in place of the real programs."""
    made(folder)
    for name, text in (("initdb", initdb), ("postgres", postgres)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return Binaries(initdb=folder / "initdb", postgres=folder / "postgres")


class Owner:
    """A running OWNER program, and what it printed about its Postgres."""

    def __init__(self, process: asyncio.subprocess.Process, line: str) -> None:
        pid, guard_pid, url = line.split()
        self.process = process
        self.pid = int(pid)
        self.guard_pid = int(guard_pid)
        self.url = url

    @classmethod
    async def start(cls, folder: Path) -> Owner:
        """Start it as a group of its own, as a terminal does, and return when its Postgres is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            OWNER,
            str(folder),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        return cls(process, line.decode())

    async def end(self, number: int, *, group: bool = False) -> str:
        """Send a signal, to the whole group as Ctrl-C does or to the process, and return what it printed."""
        (os.killpg if group else os.kill)(self.process.pid, number)
        async with asyncio.timeout(30):
            output, _ = await self.process.communicate()
        return output.decode()


def made(folder: Path, *, mode: int = 0o755, uid: int | None = None) -> Path:
    """Make a folder with just these permissions, and return it."""
    folder.mkdir()
    folder.chmod(mode)
    if uid is not None:
        os.chown(folder, uid, -1)
    return folder


async def eventually(claim: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Return once `claim` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    """Say whether a process runs; one that ended and waits to be reaped by init does not."""
    try:
        os.kill(pid, 0)
        return ") Z " not in read(Path(f"/proc/{pid}/stat"))
    except (ProcessLookupError, FileNotFoundError):
        return False


def open_descriptors() -> int:
    """Return how many files, pipes and sockets this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def owner(path: Path) -> int:
    """Return the user id that a file belongs to."""
    return path.stat().st_uid


def read(file: Path) -> str:
    """Return the text of a file, empty while it does not exist."""
    return file.read_text() if file.exists() else ""
