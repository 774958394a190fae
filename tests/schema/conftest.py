"""Databases with the migrations and the seed rows, copied from templates, and logins as the plain roles."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Protocol

import asyncpg
import pytest_asyncio

from shapegate_schema.domains import domain_names
from shapegate_schema.migrate import migrate
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import CreateDatabase


class ConnectAs(Protocol):
    """Logs in to the seeded database as a role that the migrations made; closed after the test."""

    async def __call__(self, role: str) -> asyncpg.Connection: ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_template(create_session_database: CreateDatabase) -> str:
    """A database with the migrations of every domain and no rows, to copy from."""
    url = await create_session_database()
    for domain in domain_names():
        await migrate(url, domain)
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seeded_database(create_session_database: CreateDatabase, migrated_template: str) -> str:
    """The superuser's URL of a seeded database that all tests share; they leave it as they found it."""
    url = await create_session_database(migrated_template)
    for domain in domain_names():
        await seed(url, domain)
    return url


@pytest_asyncio.fixture(loop_scope="session")
async def migrated_url(create_database: CreateDatabase, migrated_template: str) -> str:
    """The superuser's URL of a migrated database of this test's own."""
    return await create_database(migrated_template)


@pytest_asyncio.fixture(loop_scope="session")
async def superuser(seeded_database: str) -> AsyncIterator[asyncpg.Connection]:
    """The superuser in the seeded database, who sees every row; what a test writes is rolled back."""
    connection = await asyncpg.connect(seeded_database)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def connect_as(seeded_database: str) -> AsyncIterator[ConnectAs]:
    """Log in to the seeded database as one of the roles."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(role: str) -> asyncpg.Connection:
            # Roles belong to the cluster, so another test may have set another password meanwhile.
            password = secrets.token_urlsafe()
            await set_login(seeded_database, role, password)
            connection = await asyncpg.connect(seeded_database, user=role, password=password)
            stack.push_async_callback(connection.close)
            return connection

        yield connect


@pytest_asyncio.fixture(loop_scope="session")
async def app(connect_as: ConnectAs) -> asyncpg.Connection:
    """The application's own connection to the seeded database."""
    return await connect_as("app_rw")
