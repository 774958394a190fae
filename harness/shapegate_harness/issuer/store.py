"""The issuer's transactions in Postgres, as role shapegate_issuer.

Failures of the database become Unavailable (away, slow, overloaded: worth another try) or InternalFault
(anything else: a missing table, a missing right), both without detail; the detail's class goes to the log.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.issuer.errors import InternalFault, Unavailable
from shapegate_harness.issuer.records import Records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_LOG: Final = logging.getLogger("shapegate.issuer")

CONNECTIONS_MAX: Final = 4
"""Statements here take a millisecond; a few connections serve more logins than argon2 can check."""
_RETRYABLE: Final = ("08", "40", "53", "55", "57")
"""SQLSTATE classes of connections, rollbacks, resources, object state and operator's interventions."""


class Store:
    """Transactions on a small pool of connections; closed by `open`'s block."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], *, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, *, seconds: float) -> AsyncIterator[Store]:
        """Connect; every wait ends after `seconds`. Raises Unavailable or InternalFault."""
        with _translated():
            try:
                pool = await asyncpg.create_pool(
                    database_url,
                    min_size=1,
                    max_size=CONNECTIONS_MAX,
                    timeout=seconds,
                    command_timeout=seconds,
                    server_settings={"application_name": "shapegate-issuer"},
                )
            except ValueError:
                # A URL that asyncpg cannot read. Its words may quote the password.
                raise InternalFault from None
        try:
            yield cls(pool, seconds=seconds)
        finally:
            await _close(pool, seconds)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Records]:
        """Begin a transaction; committed at the block's end, rolled back if an exception leaves it.

        Raises Unavailable or InternalFault.
        """
        with _translated():
            async with (
                self._pool.acquire(timeout=self._seconds) as connection,
                connection.transaction(isolation="read_committed"),
            ):
                yield Records(connection)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what asyncpg and sockets raise into this package's errors.

    The cause is not chained: Postgres' messages quote values, and a traceback would print them.
    """
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as exc:
        sqlstate = getattr(exc, "sqlstate", None)
        _LOG.error("database: %s, sqlstate %s", type(exc).__name__, sqlstate)
        raise (Unavailable() if _is_away(exc, sqlstate) else InternalFault()) from None


def _is_away(exc: Exception, sqlstate: str | None) -> bool:
    """Whether another try in a moment may succeed."""
    if sqlstate is not None:
        return sqlstate.startswith(_RETRYABLE)
    return isinstance(exc, OSError) or type(exc) is asyncpg.InterfaceError


async def _close(pool: asyncpg.Pool[asyncpg.Record], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await pool.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pool.terminate()
