"""Take a whole log in, as a process of its own: `python -m benchmarks.client_load URL HOME`.

Prints one line of JSON: seconds to the last row and CPU seconds of all threads, rows, peak memory in bytes,
longest stall of the event loop in seconds.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.client_log import TABLE
from shapegate_client import AccessToken, Organization, Principal, Session, ShapeDefinition

_LOAD_SECONDS_MAX: Final = 600.0
_TICK_SECONDS: Final = 0.001
_ORG: Final = Organization(id="bench", slug="bench", name="Bench", role="member")
_OTHER: Final = Organization(id="other", slug="other", name="Other", role="member")
_ENDS: Final = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


class GivenCredentials:
    """A user of two orgs whom nobody has to ask."""

    def __init__(self) -> None:
        self._org = _ORG

    async def principal(self) -> Principal:
        return Principal(
            issuer="urn:bench",
            user_id="u",
            email="u@example",
            organization=self._org,
            organizations=(_ORG, _OTHER),
        )

    async def token(self, organization_id: str, *, rejected: AccessToken | None = None) -> AccessToken:
        assert rejected is None
        return AccessToken(value="bench", organization_id=organization_id, expires_at=_ENDS)

    async def switch(self, organization_id: str) -> Principal:
        self._org = _OTHER if organization_id == _OTHER.id else _ORG
        return await self.principal()

    async def logout(self) -> None:
        raise NotImplementedError


async def load(url: str, home: Path) -> dict[str, float]:
    """Sync one table from nothing; the clock stops when its rows are visible."""
    stalls: list[float] = [0.0]
    watching = asyncio.create_task(_watch_loop(stalls))
    async with Session.open(url, GivenCredentials(), home=home) as session:
        started, cpu = time.perf_counter(), time.process_time()
        await session.subscribe(ShapeDefinition(table=TABLE))
        await session.up_to_date(timeout=_LOAD_SECONDS_MAX)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        watching.cancel()
        rows = session.db[TABLE].count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rows": rows,
        "peak_bytes": peak,
        "stall_seconds": max(stalls),
    }


async def _watch_loop(stalls: list[float]) -> None:
    """Note by how much each short sleep was too long."""
    while True:
        asleep = time.perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        stalls.append(time.perf_counter() - asleep - _TICK_SECONDS)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(load(sys.argv[1], Path(sys.argv[2])))) + "\n")
