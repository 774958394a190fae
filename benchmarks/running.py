"""A process that the bench starts, waits for and ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

HOST: Final = "127.0.0.1"
_READY_SECONDS_MAX: Final = 20.0
_STOP_SECONDS_MAX: Final = 10.0
_POLL_SECONDS: Final = 0.02
_SAID_CHARS_MAX: Final = 2_000


class WrongAnswer(Exception):
    """What was to be timed did not answer as it should."""


class NotReady(Exception):
    """A process did not listen in time; the text is what it said."""


class Missing(Exception):
    """This system lacks what a figure is measured with; the text names it."""


def free_port() -> int:
    """Find a port that nobody listens at; somebody else may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def run_process(
    words: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[int]:
    """Run a server within the block, from when it listens at `port`; yields its process id.

    What it says goes to the file `log`. Raises NotReady.
    """
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *words, env=dict(environment), stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        ends = time.monotonic() + _READY_SECONDS_MAX
        while not await _listens(port):
            if process.returncode is not None or time.monotonic() > ends:
                raise NotReady(f"{words[0]} does not listen: {_text(log)}")
            await asyncio.sleep(_POLL_SECONDS)
        yield process.pid
    finally:
        await _stop(process)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()[-_SAID_CHARS_MAX:]
