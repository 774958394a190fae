"""Clients of random shapes show only states that Postgres had, in their order, and end with the last one."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, assert_never

import aiohttp
import asyncpg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from shapegate_harness.electric import DevElectric, ElectricSettings
from tests.harness.electric.builders import connected
from tests.harness.electric.model_client import ModelClient
from tests.harness.electric.random_program import (
    FOLLOWED,
    LAST,
    LAST_KEY,
    TABLES,
    Kill,
    Linger,
    Step,
    Transaction,
    random_program,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SETTINGS: Final = ElectricSettings(chunk_bytes=3_000, sse_seconds=0.3, requests_per_connection_max=None)
"""Chunks end within transactions, and streams within programs."""
STATES: Final = f"SELECT {', '.join(followed.state_sql for followed in FOLLOWED)}"
END: Final = """
    SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
    WHERE slot_type = 'logical' AND database = current_database() AND active_pid IS NOT NULL
"""
SECONDS_TO_END: Final = 90


async def states(database: asyncpg.Connection) -> tuple[str, ...]:
    row = await database.fetchrow(STATES)
    assert row is not None
    return tuple(row)


async def run(
    program: Sequence[Step], database: asyncpg.Connection, other: asyncpg.Connection
) -> list[tuple[str, ...]]:
    """Run a program; return the state of every shape before it and after each of its transactions."""
    history = [await states(database)]
    lingering = False
    for step in (*program, Transaction(LAST)):
        match step:
            case Kill():
                await database.execute(END)
            case Linger():
                lingering = not lingering
                await other.execute("BEGIN; SELECT pg_current_xact_id()" if lingering else "COMMIT")
            case Transaction(statements):
                # One that runs into a key that is taken is rolled back, and nobody may see any of it.
                with suppress(asyncpg.UniqueViolationError):
                    async with database.transaction():
                        for statement in statements:
                            await database.execute(statement)
                    history.append(await states(database))
            case _:
                assert_never(step)
    await other.execute("ROLLBACK")
    return history


@asynccontextmanager
async def open_clients(url: str) -> AsyncIterator[tuple[ModelClient, ...]]:
    """Follow every shape twice: over long poll, and over server-sent events."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        clients = tuple(ModelClient(url, followed, session) for followed in (*FOLLOWED, *FOLLOWED))
        tasks = [
            group.create_task(client.follow(events=number >= len(FOLLOWED)))
            for number, client in enumerate(clients)
        ]
        yield clients
        for task in tasks:
            task.cancel()


async def check(program: Sequence[Step], database_url: str) -> tuple[ModelClient, ...]:
    """Run a program beside the clients and compare all that they showed with the history."""
    async with connected(database_url) as database, connected(database_url) as other:
        await database.execute(TABLES)
        async with (
            DevElectric.open(database_url=database_url, secret=None, settings=SETTINGS) as electric,
            open_clients(electric.url) as clients,
        ):
            history = await run(program, database, other)
            async with asyncio.timeout(SECONDS_TO_END):
                for client in clients:
                    await client.reach(LAST_KEY)
    for number, client in enumerate(clients):
        assert client.shown[-1] == history[-1][number % len(FOLLOWED)], number
        past = iter(enumerate(after[number % len(FOLLOWED)] for after in history))
        for index, state in enumerate(client.shown):
            # The same iterator goes on: states come in the order that Postgres had them in.
            assert any(state == had for _, had in past), (number, index, state)
    return clients


@given(source=st.randoms(use_true_random=False), kills=st.sampled_from((0, 0, 1, 2)))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_state_shown_is_one_that_postgres_had(
    source: random.Random, kills: int, database_url: str
) -> None:
    program = random_program(source, transactions=25, kills=kills)
    note("\n".join(map(str, program)))
    await check(program, database_url)


@pytest.mark.soak
async def test_ten_thousand_transactions_and_five_lost_connections(database_url: str) -> None:
    source = random.Random(20261121)  # noqa: S311  # to be repeated
    program = random_program(source, transactions=10_000, kills=5)
    clients = await check(program, database_url)
    for client in clients:
        assert client.rotations >= 5
        assert len(client.shown) > 100
