"""Hold live polls, as a process of its own: `python -m benchmarks.proxy_holds` with a job on its input.

The job is one line of JSON, see `Job`. It says on its output, a line of JSON each, when all are sent and when
all are answered; when its input ends, it drops what it holds and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Final

import uvloop

from benchmarks.running import HOST
from benchmarks.target import is_complete
from shapegate_proxy.descriptors import RESERVED, raise_descriptors

_AT_ONCE: Final = 32
"""Connections that are being made at once; more might overflow the queue of who accepts, and wait 1 s."""
_PORTS: Final = 4_000
"""Connections from one address: Linux takes ever longer to find a free port, 1 ms when half are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to ask for, each on a connection of its own."""

    port: int
    first: str
    """Printed too, and asked first on each: its answer says that the connection was accepted."""
    requests: list[str]
    """Printed requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How the answers came; instants on the monotonic clock, which all processes share."""

    first: float
    last: float
    statuses: dict[str, int]
    """How many had each status line's code; `lost` are connections that ended before."""


class _Holds:
    def __init__(self, count: int) -> None:
        self.left = count
        self.first = self.last = 0.0
        self.statuses: Counter[str] = Counter()
        self.done = asyncio.Event()

    def answered(self, status: str) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.statuses[status] += 1
        self.left -= 1
        if self.left == 0:
            self.done.set()


class _Poll(asyncio.Protocol):
    def __init__(self, holds: _Holds) -> None:
        self._holds = holds
        self._received = b""
        self._answered = False
        self.accepted = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answered or not is_complete(self._received):
            return
        if not self.accepted.is_set():
            self._received = b""
            self.accepted.set()
        else:
            self._answered = True
            self._holds.answered(self._received[9:12].decode("ascii", "replace"))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.accepted.set()
        if not self._answered:
            self._answered = True
            self._holds.answered("lost")


async def hold(job: Job) -> None:
    """Do a job."""
    raise_descriptors(len(job.requests) + RESERVED)
    loop = asyncio.get_running_loop()
    holds, gate = _Holds(len(job.requests)), asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, request: str) -> asyncio.BaseTransport:
        async with gate:
            # Of this network every address is this machine's.
            local = f"127.0.0.{2 + number // _PORTS}", 0
            transport, poll = await loop.create_connection(
                lambda: _Poll(holds), HOST, job.port, local_addr=local
            )
            transport.write(job.first.encode("ascii"))
            await poll.accepted.wait()
            if not transport.is_closing():
                transport.write(request.encode("ascii"))
            return transport

    transports = await asyncio.gather(*(one(*each) for each in enumerate(job.requests)))
    _say({"sent": len(transports)})
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    answered = asyncio.create_task(holds.done.wait())
    await asyncio.wait({ended, answered}, return_when=asyncio.FIRST_COMPLETED)
    if holds.done.is_set():
        _say(asdict(Answered(first=holds.first, last=holds.last, statuses=dict(holds.statuses))))
        await ended
    else:
        answered.cancel()
    for transport in transports:
        transport.close()


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(hold(Job(**json.loads(sys.stdin.readline()))))
