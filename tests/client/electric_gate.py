"""A gate that lets everybody ask a development Electric for anything: for tests of the client alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
from aiohttp import web

from shapegate_client import Session
from shapegate_harness.electric import DevElectric, ElectricSettings
from tests.client.ports import FixedCredentials
from tests.client.servers import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_client import ShapeDefinition

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@contextlib.asynccontextmanager
async def open_electric(
    database_url: str, sql: str, *, settings: ElectricSettings | None = None
) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """Prepare a database and follow it; yields the gate's address and a connection that writes."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(sql)
        await connection.execute("CREATE PUBLICATION electric_publication_default FOR ALL TABLES")
        settings = settings or ElectricSettings(requests_per_connection_max=None)
        async with (
            DevElectric.open(database_url=database_url, secret=None, settings=settings) as electric,
            served_gate(electric.url) as url,
        ):
            yield url, connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def served_gate(electric_url: str) -> AsyncIterator[str]:
    """Pass the requests of every org on, streams included."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
    ) as http:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            async with http.request(
                request.method, f"{electric_url}/v1/shape", params=request.query, data=body or None
            ) as got:
                headers = [
                    (name, value) for name, value in got.headers.items() if name.lower() not in _HOP_BY_HOP
                ]
                answer = web.StreamResponse(status=got.status, headers=headers)
                await answer.prepare(request)
                async for block in got.content.iter_any():
                    await answer.write(block)
                return answer

        app = web.Application()
        app.router.add_route("*", "/api/electric/orgs/{org}/sync", pass_on)
        async with served(app) as url:
            yield url


@contextlib.asynccontextmanager
async def following(url: str, home: Path, *definitions: ShapeDefinition) -> AsyncIterator[Session]:
    """A session that has these shapes up to date."""
    async with Session.open(url, FixedCredentials(), home=home) as session:
        for definition in definitions:
            await session.subscribe(definition)
        await session.up_to_date(timeout=20)
        yield session
