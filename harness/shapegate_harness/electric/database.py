"""Connections to the followed database, and what their failures mean.

Every session prints values as Electric's do (PROTOCOL 3.8), is read-only unless a transaction says otherwise,
and refuses to read a table through row-level security: a snapshot must hold all rows or fail.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from shapegate_harness.electric.errors import Misconfigured, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from asyncpg.pool import PoolConnectionProxy

    from shapegate_harness.electric.settings import ElectricSettings

    # asyncpg's classes take parameters in its stubs only.
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]


_CONNECT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 3.0
_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    # A connection that is lost within a call of asyncpg may say this of the next one.
    asyncpg.InternalClientError,
)
_REFUSED: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn a lost or refused connection into Unreachable or Misconfigured; let all else pass."""
    try:
        yield
    except _REFUSED as exc:
        raise Misconfigured(
            f"Postgres refused the connection ({exc}): check user, password and database"
        ) from exc
    except _LOST as exc:
        raise Unreachable(f"Postgres does not answer ({type(exc).__name__})") from exc


class Database:
    """A small pool for short work, and single connections for the reader."""

    def __init__(self, url: str, settings: ElectricSettings) -> None:
        self._url = url
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.publishing = asyncio.Lock()
        """Held while a table is published: a second ALTER would wait for the snapshot of the first."""

    async def connect(self, *, statement_seconds: float) -> asyncpg.Connection[asyncpg.Record]:
        """Open one connection that the caller closes. Raises Unreachable, Misconfigured."""
        with translated():
            return await asyncpg.connect(
                self._url, timeout=_CONNECT_SECONDS, server_settings=self._session(statement_seconds)
            )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """Lend a pooled connection. Raises Unreachable, Misconfigured."""
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=self._settings.connections_max,
                timeout=_CONNECT_SECONDS,
                command_timeout=self._settings.snapshot_seconds,
                max_inactive_connection_lifetime=30.0,
                server_settings=self._session(self._settings.snapshot_seconds),
            )
        with translated():
            async with self._pool.acquire(timeout=self._settings.snapshot_seconds) as connection:
                yield connection

    async def close(self) -> None:
        """Close the pool; idempotent."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await close(pool)

    def _session(self, statement_seconds: float) -> dict[str, str]:
        return {
            "application_name": "shapegate-dev-electric",
            "DateStyle": "ISO",
            "TimeZone": "UTC",
            "IntervalStyle": "iso_8601",
            "bytea_output": "hex",
            "extra_float_digits": "1",
            "standard_conforming_strings": "on",
            "row_security": "off",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(statement_seconds * 1000)),
            "lock_timeout": str(int(self._settings.lock_seconds * 1000)),
            # A cursor's plan is made for its first rows unless told otherwise; a snapshot reads all.
            "cursor_tuple_fraction": "1.0",
            "jit": "off",
        }


async def close(open_: asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]) -> None:
    """Close politely for a bounded time, then at once."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await open_.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        # TimeoutError is an OSError.
        open_.terminate()
