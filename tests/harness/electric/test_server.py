from __future__ import annotations

import asyncio

import aiohttp
import asyncpg
import pytest

from shapegate_harness.electric import DevElectric, ElectricSettings, Failed, Misconfigured
from tests.harness.electric.builders import connected, open_caller


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])  # noqa: S104  # refused
def test_S_02_only_loopback_is_served(host: str) -> None:
    with pytest.raises(Misconfigured, match="loopback"):
        DevElectric(database_url="postgresql://nowhere", secret=None, host=host)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(Misconfigured, match="secret"):
        DevElectric(database_url="postgresql://nowhere", secret="")


async def test_it_starts_while_postgres_is_not_there_and_says_so(unused_tcp_port: int) -> None:
    url = f"postgresql://postgres:hidden@127.0.0.1:{unused_tcp_port}/postgres"
    async with open_caller(url, ElectricSettings(ready_seconds=0.05)) as caller:
        assert caller.electric.url.startswith("http://127.0.0.1:")
        health = await caller.get(path="/v1/health")
        assert (health.status, health.text) == (202, '{"status":"starting"}')
        got = await caller.get({"table": "t", "offset": "-1"})
        assert (got.status, got.headers["retry-after"]) == (503, "5")
        assert got.text == '{"message":"Timeout waiting for Postgres lock acquisition"}'
        assert got.headers["cache-control"] == "no-store"


async def test_a_wrong_password_is_told_at_once_without_it(database_url: str) -> None:
    async with connected(database_url) as database:
        await database.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'right'")
    try:
        host = database_url.rpartition("@")[2]
        electric = DevElectric(database_url=f"postgresql://nobody_special:hush@{host}", secret=None)
        with pytest.raises(Misconfigured) as caught:
            await electric.start()
        assert "hush" not in str(caught.value)
    finally:
        async with connected(database_url) as database:
            await database.execute("DROP ROLE nobody_special")


async def test_a_role_that_may_not_publish_is_told_what_to_run(database_url: str) -> None:
    async with connected(database_url) as database:
        await database.execute("CREATE ROLE follower LOGIN REPLICATION PASSWORD 'right'")
    try:
        host = database_url.rpartition("@")[2]
        electric = DevElectric(database_url=f"postgresql://follower:right@{host}", secret=None)
        with pytest.raises(Failed, match='CREATE PUBLICATION "electric_publication_default"'):
            await electric.start()
    finally:
        async with connected(database_url) as database:
            await database.execute("DROP ROLE follower")


async def test_nothing_is_left_behind(database_url: str) -> None:
    tasks = asyncio.all_tasks()
    async with connected(database_url) as database:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        async with open_caller(database_url) as caller:
            first = await caller.get({"table": "t", "offset": "-1"})
            query = {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
            held = await caller.held(query)
            await caller.electric.stop()
            with pytest.raises(aiohttp.ClientError):
                await caller.get(path="/")
        assert (await asyncio.wait({held}))[0] == {held}
        assert held.exception() is not None or held.result().status == 503
        assert (
            await database.fetchval(
                "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
            )
            == 0
        )
    assert asyncio.all_tasks() <= tasks | {held}


async def test_a_second_stop_does_nothing(database_url: str) -> None:
    electric = DevElectric(database_url=database_url, secret=None)
    await electric.start()
    await electric.stop()
    await electric.stop()


async def test_a_taken_port_is_an_error_and_leaves_no_slot(database_url: str) -> None:
    async with open_caller(database_url) as caller:
        port = int(caller.electric.url.rpartition(":")[2])
        second = DevElectric(database_url=database_url, secret=None, port=port)
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        connection: asyncpg.Connection = await asyncpg.connect(database_url)
        count = await connection.fetchval(
            "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
        )
        await connection.close()
        assert count == 1
