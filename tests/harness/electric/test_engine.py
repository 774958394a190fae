"""Shapes under writers, outages and bounds: what a client folds equals what Postgres has."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import Caller, Follower, commit_lsn, connected, open_caller

if TYPE_CHECKING:
    import asyncpg

    from shapegate_harness.postgres import EmbeddedPostgres

TABLES = """
    CREATE TABLE tick (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE TABLE t (id int PRIMARY KEY, n int, v text);
    INSERT INTO t SELECT i, i % 7, 'v' || i FROM generate_series(1, 50) i;
"""
FILTERS = [
    {},
    {"where": "n > 3"},
    {"where": "n = $1 OR v LIKE $2", "params[1]": "2", "params[2]": "v1%"},
    {"columns": "id,v", "replica": "full"},
    {"where": "v IS NULL", "columns": "id"},
]


def select_of(query: dict[str, str]) -> str:
    where = query.get("where", "true").replace("$1", "2").replace("$2", "'v1%'")
    return f"SELECT {query.get('columns', 'id,n,v')} FROM t WHERE {where}"


async def expected(database: asyncpg.Connection, query: dict[str, str]) -> dict[str, dict[str, str | None]]:
    rows = await database.fetch(select_of(query))
    return {
        f'"public"."t"/"{row["id"]}"': {
            name: None if value is None else str(value) for name, value in row.items()
        }
        for row in rows
    }


async def write(database: asyncpg.Connection, chance: random.Random, transactions: int) -> None:
    """Commit or roll back small random transactions."""
    for _ in range(transactions):
        async with database.transaction():
            for _ in range(chance.randint(1, 4)):
                await _statement(database, chance)
            if chance.random() < 0.1:
                await database.execute("SAVEPOINT s; DELETE FROM t; ROLLBACK TO SAVEPOINT s")


async def _statement(database: asyncpg.Connection, chance: random.Random) -> None:
    row, other, n = chance.randint(1, 80), chance.randint(1, 80), chance.randint(0, 6)
    text = chance.choice([None, f"v{n}", 'with "quotes" \\ and\nlines, é'])
    match chance.randint(0, 4):
        case 0 | 1:
            await database.execute(
                "INSERT INTO t VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET n = $2, v = $3",
                row,
                n,
                text,
            )
        case 2:
            await database.execute("UPDATE t SET n = $2 WHERE id = $1", row, n)
        case 3:
            await database.execute("DELETE FROM t WHERE id = $1", row)
        case _:
            await database.execute(
                "UPDATE t SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM t WHERE id = $2)", row, other
            )


@pytest.mark.parametrize("seed", range(3))
async def test_random_transactions_fold_to_what_postgres_has(seed: int, database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        followers = [Follower(caller, {"table": "t", **query}) for query in FILTERS]
        await Follower(caller, {"table": "tick"}).catch_up()
        for follower in followers:
            await follower.catch_up()
        await write(database, random.Random(seed), 40)  # noqa: S311  # no secret
        end = await commit_lsn(database)
        for follower, query in zip(followers, FILTERS, strict=True):
            await follower.reach(end)
            assert follower.rows == await expected(database, query)


async def test_snapshots_in_the_middle_of_writers_miss_and_repeat_nothing(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        await Follower(caller, {"table": "tick"}).catch_up()
        followers: list[tuple[Follower, dict[str, str]]] = []

        async def writer(seed: int) -> None:
            async with connected(database_url) as own:
                chance = random.Random(seed)  # noqa: S311  # no secret
                for _ in range(60):
                    row = seed * 1000 + chance.randint(1, 20)
                    async with own.transaction():
                        await own.execute(
                            "INSERT INTO t VALUES ($1, 1, 'x') ON CONFLICT (id) DO UPDATE SET n = t.n + 1",
                            row,
                        )
                        await own.execute("DELETE FROM t WHERE id = $1", row - 7)

        async def reader(number: int) -> None:
            # Each a filter of its own, so that each takes a snapshot of its own while others write.
            for turn in range(6):
                query = {"where": f"n < {1000 + 10 * turn + number}"}
                follower = Follower(caller, {"table": "t", **query})
                await follower.catch_up()
                followers.append((follower, query))

        await asyncio.gather(*(writer(seed) for seed in range(1, 4)), *(reader(n) for n in range(3)))
        end = await commit_lsn(database)
        assert len(followers) == 18
        for follower, query in followers:
            await follower.reach(end)
            assert follower.rows == await expected(database, query)


async def test_every_up_to_date_answer_is_a_state_that_postgres_had(database_url: str) -> None:
    """Each transaction moves a unit from one row to another: no state has another sum."""
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        follower = Follower(caller, {"table": "t"})
        total = await database.fetchval("SELECT sum(n) FROM t")

        enough = asyncio.Event()

        async def move() -> None:
            turn = 0
            while not enough.is_set():
                turn += 1
                async with database.transaction():
                    await database.execute("UPDATE t SET n = n - 1 WHERE id = $1", 1 + turn % 50)
                    await database.execute("UPDATE t SET n = n + 1 WHERE id = $1", 1 + (turn * 7 + 3) % 50)

        moving = asyncio.create_task(move())
        async with asyncio.timeout(60):
            for _ in range(20):
                await follower.catch_up()
                assert sum(int(row["n"] or 0) for row in follower.rows.values()) == total
        enough.set()
        await moving


async def terminate(database: asyncpg.Connection, name: str) -> None:
    """End every session that the server has in a database."""
    await database.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'shapegate-dev-electric' AND datname = $1",
        name,
    )


async def test_a_lost_connection_ends_held_requests_and_rotates_every_shape(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        first = await caller.get({"table": "t", "offset": "-1"})
        query = {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        held = await caller.held(query)
        await terminate(database, database_url.rpartition("/")[2])
        async with asyncio.timeout(10):
            assert (await held).status in (409, 503)
        await database.execute("INSERT INTO t VALUES (1000, 1, 'meanwhile')")
        after = await caller.get(query)
        assert after.status == 409
        assert after.headers["electric-handle"] != query["handle"]
        follower = Follower(caller, {"table": "t"})
        await follower.catch_up()
        assert follower.rows == await expected(database, {})


async def test_while_postgres_is_away_requests_are_503_and_later_they_are_not(
    database_url: str, postgres: EmbeddedPostgres
) -> None:
    settings = ElectricSettings(ready_seconds=0.05)
    name = database_url.rpartition("/")[2]
    async with connected(postgres.url()) as database, open_caller(database_url, settings) as caller:
        async with connected(database_url) as inside:
            await inside.execute(TABLES)
        query = {"table": "t", "offset": "-1"}
        assert (await caller.get(query)).status == 200
        await database.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        await terminate(database, name)
        got = await health(caller, 202)
        assert got == '{"status":"starting"}'
        away = await caller.get(query)
        assert (away.status, away.headers["retry-after"]) == (503, "5")
        await database.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        assert await health(caller, 200) == '{"status":"active"}'
        assert (await caller.get(query)).status == 200


async def health(caller: Caller, status: int) -> str:
    """Ask for the health until it has a status."""
    async with asyncio.timeout(10):
        while (got := await caller.get(path="/v1/health")).status != status:
            pass
    return got.text


async def test_handles_are_never_used_twice_even_with_a_clock_that_stands(database_url: str) -> None:
    settings = ElectricSettings(now=lambda: 1_795_210_827.0)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLES)
        handles = set()
        for n in range(5):
            got = await caller.get({"table": "t", "where": f"n = {n}", "offset": "-1"})
            handles.add(got.headers["electric-handle"].partition("-")[2])
        assert len(handles) == 5


async def test_the_shape_that_was_asked_for_longest_ago_is_evicted(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(shapes_max=2)) as caller,
    ):
        await database.execute(TABLES)

        async def handle(where: str) -> str:
            return (await caller.get({"table": "t", "where": where, "offset": "-1"})).headers[
                "electric-handle"
            ]

        one, two = await handle("n = 1"), await handle("n = 2")
        assert await handle("n = 1") == one
        await handle("n = 3")
        assert await handle("n = 1") == one
        assert await handle("n = 2") != two


async def test_a_log_that_outgrows_its_bound_rotates(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(log_bytes_max=10_000)) as caller,
    ):
        await database.execute(TABLES)
        first = await caller.get({"table": "t", "offset": "-1"})
        held = await caller.held(
            {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        )
        await database.execute("UPDATE t SET v = repeat('x', 1000)")
        assert (await held).status == 409


async def test_when_all_logs_together_outgrow_their_bound_the_oldest_rotates(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(logs_bytes_max_total=100_000)) as caller,
    ):
        await database.execute(TABLES)
        positions, held = [], []
        for number in (1, 2, 3):
            query = {"table": "t", "where": f"id = {number}"}
            first = await caller.get({**query, "offset": "-1"})
            positions.append({**query, "offset": "0_inf", "handle": first.headers["electric-handle"]})
            held.append(await caller.held(positions[-1]))
        # Whoever was asked for longest ago goes, and nobody who does not have to.
        for index, text in enumerate(("x" * 60_000, "x" * 60_000, "small")):
            await database.execute("UPDATE t SET v = $1 WHERE id = $2", text, index + 1)
            assert (await held[index]).status == 200
        # The rotated one comes last: its new snapshot takes room again.
        assert [(await caller.get(position)).status for position in reversed(positions)] == [200, 200, 409]


async def test_snapshots_count_for_the_bound_of_all_logs_but_the_last_one_stays(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(logs_bytes_max_total=100)) as caller,
    ):
        await database.execute(TABLES)
        handles = []
        for _ in range(2):
            for where in ("id > 0", "id < 1000"):
                got = await caller.get({"table": "t", "where": where, "offset": "-1"})
                assert (got.status, len(got.text) > 100) == (200, True)
                handles.append(got.headers["electric-handle"])
        assert len(set(handles)) == 4
        again = await caller.get({"table": "t", "where": "id < 1000", "offset": "-1"})
        assert again.headers["electric-handle"] == handles[-1]


async def test_a_filter_that_fails_for_a_row_rotates_its_shape_and_no_other(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        await database.execute("UPDATE t SET v = id::text")
        failing = {"table": "t", "where": "v::int4 > 0"}
        first, other = (
            await caller.get({**failing, "offset": "-1"}),
            await caller.get({"table": "t", "offset": "-1"}),
        )
        held = await caller.held({**failing, "offset": "0_inf", "handle": first.headers["electric-handle"]})
        held_other = await caller.held(
            {"table": "t", "offset": "0_inf", "handle": other.headers["electric-handle"]}
        )
        await database.execute("INSERT INTO t VALUES (99, 1, 'no number')")
        assert (await held).status == 409
        assert (await held_other).status == 200
        again = await caller.get({**failing, "offset": "-1"})
        assert again.status == 400
        assert "invalid input syntax" in again.text


async def test_many_clients_of_one_new_shape_share_one_log(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        answers = await asyncio.gather(*(caller.get({"table": "t", "offset": "-1"}) for _ in range(20)))
        assert len({got.headers["electric-handle"] for got in answers}) == 1
