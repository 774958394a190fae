"""The gate before a development Electric that fails by order, and before one whose database is away.

tests/proxy/test_faults.py has the list; what is here is done by a server that follows a real Postgres.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from yarl import URL

from shapegate_harness.electric import DevElectric, ElectricSettings
from shapegate_proxy.electric import ElectricState, ElectricTimeouts
from shapegate_proxy.electric_http import ElectricClient
from tests.proxy.builders import ACME, ELECTRIC_SECRET, GLOBEX, Gate, bearer, client_within, gate_before

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_harness.postgres import EmbeddedPostgres

SETTINGS = ElectricSettings(faults=True, ready_seconds=0.05, long_poll_seconds=0.5)
TABLE = "CREATE TABLE items (id uuid PRIMARY KEY, organization_id uuid NOT NULL, name text)"
ROWS = "INSERT INTO items SELECT gen_random_uuid(), $1, repeat('x', 100) FROM generate_series(1, 200)"
START = {"table": "items", "offset": "-1"}
SHORT = ElectricTimeouts(connect_seconds=0.3, catch_up_seconds=0.3, live_seconds=2.0)


class Asking:
    """A member of one org, at a gate before a development Electric."""

    def __init__(self, running: Gate, http: aiohttp.ClientSession, electric: DevElectric) -> None:
        self._running, self._http = running, http
        self.electric_url = URL(electric.url)

    async def order(self, **fault: Any) -> None:
        async with self._http.post(self.electric_url / "__faults", json=fault) as answer:
            assert answer.status == 200, await answer.text()

    async def get(self, query: dict[str, str] = START) -> tuple[int, Any, dict[str, str]]:
        """Ask Electric, not the gate's memory; returns status, body or `cut`, and headers."""
        url, query = self._running.url / "v1/shape", query | {"cache-buster": secrets.token_hex(8)}
        async with asyncio.timeout(10), self._http.get(url, params=query, headers=bearer()) as answer:
            try:
                body = json.loads(await answer.read())
            except aiohttp.ClientError:
                body = "cut"
            return answer.status, body, {name.lower(): value for name, value in answer.headers.items()}


@asynccontextmanager
async def asking(database_url: str, folder: Path) -> AsyncIterator[Asking]:
    async with (
        DevElectric.open(database_url=database_url, secret=ELECTRIC_SECRET, settings=SETTINGS) as electric,
        gate_before(URL(electric.url), folder, [], connect=client_within(SHORT)) as running,
        aiohttp.ClientSession() as http,
    ):
        yield Asking(running, http, electric)


@pytest_asyncio.fixture(loop_scope="session")
async def items_url(database_url: str) -> str:
    """A database with 200 rows of each of two orgs."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(TABLE)
    for org in (ACME, GLOBEX):
        await connection.execute(ROWS, org)
    await connection.close()
    return database_url


@pytest.mark.parametrize(
    ("fault", "status", "said", "headers"),
    [
        ({"kind": "must_refetch", "handle": "7-8"}, 409, "must-refetch", {"electric-handle": "7-8"}),
        ({"kind": "must_refetch"}, 409, "must-refetch", {}),
        ({"kind": "too_many_requests", "retry_after_seconds": 3}, 429, "unavailable", {"retry-after": "3"}),
        ({"kind": "unavailable", "retry_after_seconds": 900}, 503, "unavailable", {"retry-after": "300"}),
        ({"kind": "stall", "seconds": 30}, 504, "electric_timeout", {"retry-after": "5"}),
        ({"kind": "cut"}, 200, "cut", {}),
        ({"kind": "cut", "bytes": 0}, 200, "cut", {}),
        ({"kind": "missing_header", "header": "electric-offset"}, 200, "insert", {}),
        ({"kind": "missing_header", "header": "content-type"}, 502, "electric_unreachable", {}),
        ({"kind": "drip", "bytes": 4_000, "seconds": 0.01}, 200, "insert", {"electric-offset": "0_0"}),
        ({"kind": "stale"}, 200, "insert", {"electric-offset": "0_0"}),
        ({"kind": "reset", "next": 2}, 502, "electric_unreachable", {"retry-after": "5"}),
        ({"kind": "reset"}, 200, "insert", {"electric-offset": "0_0"}),
    ],
    ids=str,
)
async def test_W_02_W_05_W_06_W_10_each_fault_of_a_real_server_is_what_it_is(
    items_url: str, tmp_path: Path, fault: dict[str, Any], status: int, said: str, headers: dict[str, str]
) -> None:
    async with asking(items_url, tmp_path) as client:
        good = await client.get()
        await client.order(**fault)
        found, body, found_headers = await client.get()
        assert (found, said in json.dumps(body)) == (status, True)
        assert headers.items() <= found_headers.items()
        assert found_headers["cache-control"] == "private, no-store"
        assert GLOBEX not in json.dumps([body, found_headers])
        assert (await client.get())[:2] == good[:2]


async def test_P_25_more_requests_than_connections_bear_succeed(items_url: str, tmp_path: Path) -> None:
    async with asking(items_url, tmp_path) as client:
        assert SETTINGS.requests_per_connection_max == 50
        many = [await asyncio.gather(*(client.get() for _ in range(8))) for _ in range(30)]
        assert {status for few in many for status, _, _ in few} == {200}


async def test_S_04_P_47_while_postgres_is_away_requests_are_503_and_later_they_are_not(
    items_url: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    name = items_url.rpartition("/")[2]
    database = await asyncpg.connect(postgres.url())
    async with asking(items_url, tmp_path) as client:
        electric = ElectricClient(client.electric_url)
        _, _, first = await client.get()
        query = START | {"offset": first["electric-offset"], "handle": first["electric-handle"]}
        await database.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        await database.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
        )
        await until(electric, ElectricState.STARTING)
        for asked in (START, query, query | {"live": "true"}):
            status, body, headers = await client.get(asked)
            assert (status, body["code"], headers["retry-after"]) == (503, "electric_unavailable", "5")
        await database.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await until(electric, ElectricState.ACTIVE)
        status, _, after = await client.get(query)
        # The development Electric lost its slot and cannot prove its log; a real one goes on at the handle.
        assert (status, "electric-handle" in after) in ((200, True), (409, True))
        assert (await client.get())[0] == 200
        await electric.close()
    await database.close()


async def until(electric: ElectricClient, state: ElectricState) -> None:
    async with asyncio.timeout(10):
        while await electric.state() is not state:
            pass
