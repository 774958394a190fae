"""A seeded database for the tests of the issuer, and an issuer that runs on it."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from shapegate_harness.issuer import TokenIssuer
from shapegate_harness.issuer.administration import set_password
from shapegate_harness.issuer.passwords import Passwords
from shapegate_harness.issuer.store import Store
from shapegate_schema.migrate import migrate
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed
from tests.harness.issuer.builders import NOW, PASSWORD, Clock, settings
from tests.harness.issuer.caller import Caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import CreateDatabase

WITH_PASSWORD = ("ada@acme.example", "ben@acme.example", "grace@globex.example")
"""Hugo of the seeds has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A seeded database, as its owner and as the issuer see it."""

    owner: asyncpg.Connection
    issuer_url: str = field(repr=False)

    @contextlib.asynccontextmanager
    async def without_credentials(self) -> AsyncIterator[None]:
        """Take the issuer's right to its passwords away, as a wrong setup would."""
        await self.owner.execute("REVOKE SELECT ON shapegate_auth.credentials FROM shapegate_issuer")
        try:
            yield
        finally:
            await self.owner.execute("GRANT SELECT ON shapegate_auth.credentials TO shapegate_issuer")


_KEEP = """
CREATE SCHEMA issuer_tests;
CREATE TABLE issuer_tests.credentials AS SELECT user_id, password_hash FROM shapegate_auth.credentials;
CREATE TABLE issuer_tests.memberships AS SELECT id, role, status FROM public.memberships;
"""
_RESTORE = """
DELETE FROM shapegate_auth.sessions;
DELETE FROM shapegate_auth.refresh_tokens;
DELETE FROM shapegate_auth.credentials;
INSERT INTO shapegate_auth.credentials (user_id, password_hash) SELECT * FROM issuer_tests.credentials;
UPDATE public.organizations SET status = 'active' WHERE status <> 'active';
UPDATE public.memberships m SET role = k.role, status = k.status FROM issuer_tests.memberships k
WHERE m.id = k.id AND (m.role, m.status) <> (k.role, k.status);
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seeded_url(create_session_database: CreateDatabase) -> str:
    """A database with the schema, the seed rows and three passwords."""
    url = await create_session_database()
    await migrate(url)
    await seed(url)
    async with Passwords.open() as passwords, Store.open(url, seconds=5) as store:
        for email in WITH_PASSWORD:
            assert await set_password(store, passwords, email=email, password=PASSWORD, now=NOW)
    owner = await asyncpg.connect(url)
    try:
        await owner.execute(_KEEP)
    finally:
        await owner.close()
    return url


@pytest_asyncio.fixture(loop_scope="session")
async def database(seeded_url: str) -> AsyncIterator[Database]:
    """The seeded database as it was at first, and a login for the issuer's role.

    Put back before each test and not after, so that no test depends on how another one ended; a copy for
    each test would take a third of a second.
    """
    password = secrets.token_urlsafe()
    await set_login(seeded_url, "shapegate_issuer", password)
    parts = urlsplit(seeded_url)
    address = f"shapegate_issuer:{password}@{parts.hostname}:{parts.port}"
    owner = await asyncpg.connect(seeded_url)
    try:
        await owner.execute(_RESTORE)
        yield Database(owner=owner, issuer_url=urlunsplit(parts._replace(netloc=address)))
    finally:
        await owner.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Where the issuer under test keeps its key."""
    return tmp_path / "keys" / "signing.pem"


@pytest_asyncio.fixture(loop_scope="session")
async def issuer(database: Database, key_file: Path, clock: Clock) -> AsyncIterator[TokenIssuer]:
    """A running issuer on the seeded database and the standing clock."""
    async with TokenIssuer.open(
        database_url=database.issuer_url,
        settings=settings(key_file),
        clock=clock,
        monotonic=clock.monotonic,
    ) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def caller(issuer: TokenIssuer) -> AsyncIterator[Caller]:
    """Somebody who talks to that issuer over HTTP."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield Caller(http, issuer.url)
