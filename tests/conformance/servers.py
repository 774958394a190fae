"""The server under test: the development Electric, or a real one that the environment names."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
import asyncpg

from shapegate_harness.electric import DevElectric, ElectricSettings
from shapegate_harness.postgres import EmbeddedPostgres
from tests.conformance.recording import RECORDED_SECRET, Outage, Recording, Sql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

_HELD_SECONDS: Final = 0.4
"""How long after a live request the recorded SQL ran; a real server does not say that it holds one."""
_HEALTH_SECONDS: Final = 30.0
_HEALTH_PAUSE_SECONDS: Final = 0.02
_IDLE: Final = frozenset({"s02_initial_catchup_live", "s05_sse", "s08_must_refetch"})
"""Recordings in which a wait of the server is waited for; it is a tenth as long here."""
_XML: Final = re.compile(r"(\bx )xml,")
_TABLE: Final = re.compile(r"create (table|view|or replace view) (\w+)", re.IGNORECASE)


class Server(Protocol):
    """A running server and its database."""

    @property
    def url(self) -> str:
        """The base address."""

    @property
    def secret(self) -> str | None:
        """What requests have to know."""

    @property
    def answer_seconds_max(self) -> float:
        """How long an answer may take."""

    async def run(self, sql: str) -> None:
        """Run statements as an application would, in one simple query."""

    async def until_held(self, request: asyncio.Task[object]) -> None:
        """Return once the server waits with a live request, or the request has its answer."""

    async def outage(self, outage: Outage) -> None:
        """Stop or start Postgres, and wait until the server has noticed."""


async def _run(database_url: str, sql: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class DevServer:
    """The development Electric; it waits a tenth as long as it would, where it is waited for."""

    electric: DevElectric
    database_url: str
    secret: str | None
    restart: Callable[[Outage], Awaitable[None]] | None
    answer_seconds_max: float = 30.0

    @property
    def url(self) -> str:
        """The base address."""
        return self.electric.url

    async def run(self, sql: str) -> None:
        """Run statements; a domain stands in for a type that the embedded Postgres is built without."""
        await _run(self.database_url, _XML.sub(r"\1public.xml,", sql))

    async def until_held(self, request: asyncio.Task[object]) -> None:
        """Ask the server itself."""
        async with asyncio.timeout(self.answer_seconds_max):
            while not request.done() and not self.electric.held_requests:  # noqa: ASYNC110  # there is no event
                await asyncio.sleep(0)

    async def outage(self, outage: Outage) -> None:
        """Stop or start the Postgres that was started for this."""
        assert self.restart is not None
        await self.restart(outage)
        await _until_health(self.url, 202 if outage.postgres == "stops" else 200)


async def _until_health(url: str, status: int) -> None:
    async with asyncio.timeout(_HEALTH_SECONDS), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/v1/health") as response:
                if response.status == status:
                    return
            await asyncio.sleep(_HEALTH_PAUSE_SECONDS)


@asynccontextmanager
async def open_dev_server(recording: Recording, database_url: str) -> AsyncIterator[DevServer]:
    """Serve a fresh database with the settings that a recording needs."""
    secret = RECORDED_SECRET if recording.needs_secret else None
    electric = DevElectric(database_url=database_url, secret=secret, settings=_settings(recording))
    await _run(database_url, "CREATE DOMAIN public.xml AS text")
    await electric.start()
    try:
        yield DevServer(electric=electric, database_url=database_url, secret=secret, restart=None)
    finally:
        await electric.stop()


@asynccontextmanager
async def open_dev_server_with_outages(recording: Recording, folder: Path) -> AsyncIterator[DevServer]:
    """Serve a Postgres of its own, which can be stopped and started again at the same address."""
    running = [await EmbeddedPostgres.start(folder, durable=False)]
    database_url = running[0].url()

    async def restart(outage: Outage) -> None:
        port = running[0].port
        if outage.postgres == "stops":
            await running[0].stop()
        else:
            running[0] = await EmbeddedPostgres.start(folder, port=port, durable=False)

    try:
        async with DevElectric.open(
            database_url=database_url, secret=None, settings=_settings(recording)
        ) as electric:
            yield DevServer(electric=electric, database_url=database_url, secret=None, restart=restart)
    finally:
        await running[0].stop()


def _settings(recording: Recording) -> ElectricSettings:
    usual = ElectricSettings()
    scale = 0.1 if recording.name in _IDLE else 1.0
    return ElectricSettings(
        table_check_seconds=0.0,
        long_poll_seconds=scale * usual.long_poll_seconds,
        sse_keep_alive_seconds=scale * usual.sse_keep_alive_seconds,
        sse_seconds=scale * usual.sse_seconds,
        ready_seconds=0.1 if recording.has_outage else usual.ready_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """A server that runs already, with a database that may be written to."""

    url: str
    database_url: str
    secret: str | None
    answer_seconds_max: float = 90.0

    async def run(self, sql: str) -> None:
        """Run statements."""
        await _run(self.database_url, sql)

    async def until_held(self, request: asyncio.Task[object]) -> None:
        """Wait as long as was waited when it was recorded."""
        await asyncio.wait({request}, timeout=_HELD_SECONDS)

    async def outage(self, outage: Outage) -> None:
        """Refuse: this Postgres is not ours."""
        raise AssertionError(f"a real server's Postgres cannot be made to be one that {outage.postgres}")

    async def clear(self, recording: Recording) -> None:
        """Drop what the recording is about to create."""
        text = " ".join(step.text for step in recording.steps if isinstance(step, Sql))
        for kind, name in dict.fromkeys(_TABLE.findall(text)):
            what = "TABLE" if kind.lower() == "table" else "VIEW"
            await self.run(f'DROP {what} IF EXISTS "{name}" CASCADE')


def real_server() -> RealServer | None:
    """Read ELECTRIC_URL, ELECTRIC_DATABASE_URL and ELECTRIC_SECRET; None if the first two are not set."""
    url, database_url = os.environ.get("ELECTRIC_URL"), os.environ.get("ELECTRIC_DATABASE_URL")
    if not url or not database_url:
        return None
    secret = os.environ.get("ELECTRIC_SECRET") or None
    return RealServer(url=url.rstrip("/"), database_url=database_url, secret=secret)
