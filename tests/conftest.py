"""Fixtures shared by all tests: one real Postgres for the session, and databases in it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from shapegate_harness.postgres import EmbeddedPostgres
from shapegate_proxy.config import ProxyConfig, SharingSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


VARIANTS: Final = {
    "shipped": SharingSettings(),
    "lean": SharingSettings(collapse=False, cache_bytes=0),
    "aiohttp": SharingSettings(client="aiohttp", collapse=False, cache_bytes=0),
    "aiohttp-shared": SharingSettings(client="aiohttp"),
}
"""How gates under test speak to Electric, where a test does not say it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run choose how gates speak to Electric."""
    parser.addoption("--gate", choices=tuple(VARIANTS), default="shipped", help="variant of the gate")


@pytest.fixture(scope="session", autouse=True)
def gate_variant(request: pytest.FixtureRequest) -> Iterator[SharingSettings]:
    """Let every gate be of the variant that was chosen, also those of programs under test."""
    chosen = VARIANTS[request.config.getoption("--gate")]
    defaults = ProxyConfig.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "sharing", chosen)
        patch.setenv("SHAPEGATE_UPSTREAM_CLIENT", chosen.client)
        patch.setenv("SHAPEGATE_COLLAPSE", str(chosen.collapse).lower())
        patch.setenv("SHAPEGATE_CACHE_BYTES", str(chosen.cache_bytes))
        yield chosen


class CreateDatabase(Protocol):
    """Makes a database, empty or a copy of `template` (a URL or a name), and returns its superuser URL."""

    async def __call__(self, template: str | None = None) -> str: ...


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let programs under test be interrupted, also where the tests run in the background of a shell.

    Such a shell starts them with SIGINT ignored, and what is ignored stays so in every child.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that the account of the server may enter, also when the tests run as root.

    pytest's own tmp_path is closed to all but root then.
    """
    folder = Path(tempfile.mkdtemp(prefix="shapegate tests "))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def new_folder(open_folder: Path) -> Path:
    """The path of a folder that does not exist yet, below one that the server's account may enter."""
    return open_folder / f"new folder {secrets.token_hex(4)}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(open_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The Postgres of the test session; not durable, which makes it faster."""
    async with EmbeddedPostgres.open(open_folder / "postgres", durable=False) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def create_session_database(postgres: EmbeddedPostgres) -> AsyncIterator[CreateDatabase]:
    """Makes databases that live as long as the session: templates for those of single tests."""
    async with _databases(postgres) as create:
        yield create


@pytest_asyncio.fixture(loop_scope="session")
async def create_database(postgres: EmbeddedPostgres) -> AsyncIterator[CreateDatabase]:
    """Makes databases that are dropped after the test."""
    async with _databases(postgres) as create:
        yield create


@pytest_asyncio.fixture(loop_scope="session")
async def database_url(create_database: CreateDatabase) -> str:
    """The superuser's URL of a fresh, empty database, dropped after the test."""
    return await create_database()


@contextlib.asynccontextmanager
async def _databases(postgres: EmbeddedPostgres) -> AsyncIterator[CreateDatabase]:
    made: list[str] = []

    async def create(template: str | None = None) -> str:
        name = f"test_{secrets.token_hex(8)}"
        source = "template0" if template is None else urlsplit(template).path.lstrip("/")
        connection = await asyncpg.connect(postgres.url())
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY file_copy')
        finally:
            await connection.close()
        made.append(name)
        return postgres.url(name)

    try:
        yield create
    finally:
        connection = await asyncpg.connect(postgres.url())
        try:
            for name in made:
                await _drop(connection, name)
        finally:
            await connection.close()


async def _drop(connection: asyncpg.Connection, name: str) -> None:
    """Drop a database whatever still uses it.

    FORCE alone ends sessions but refuses a database with an active replication slot, so the sessions that
    hold slots are ended first.
    """
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
    )
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
