"""A bounded connection to Postgres whose errors are this package's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import asyncpg

from shapegate_schema.errors import DatabaseRefused, DatabaseUnreachable, InvalidDatabaseUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECT_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 5.0
LOCK_SECONDS: Final = 60.0
"""How long a statement waits for locks of others: longer than any of them should hold one."""
STATEMENT_SECONDS: Final = 600.0
"""The longest a single file may take; beyond it the server is taken to be stuck."""
ADVISORY_LOCK_KEY: Final = 0x5368_6170_6567_6174
"""Held by whoever migrates or seeds a database; the letters `Shapegat`. Postgres keeps it per database."""

# InternalClientError is how asyncpg, at times, meets a statement while the server's goodbye comes in.
_LOST: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)


@contextlib.asynccontextmanager
async def open_connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect, and close on the way out, also when cancelled.

    The connection must reach Postgres directly: a pooler in between would spread the run over sessions.
    Raises InvalidDatabaseUrl, DatabaseUnreachable if there is no connection or it gets lost, and
    DatabaseRefused for every other error of Postgres that the block does not translate itself.
    """
    connection = await _connect(database_url)
    try:
        yield connection
    except asyncpg.PostgresConnectionError as exc:
        raise _lost(database_url, exc) from exc
    except asyncpg.PostgresError as exc:
        raise DatabaseRefused(f"Postgres refused: {postgres_text(exc)}") from exc
    except _LOST as exc:
        raise _lost(database_url, exc) from exc
    finally:
        await _close(connection)


def postgres_text(error: asyncpg.PostgresError) -> str:
    """Quote what Postgres says, without the detail, which may show a row."""
    return str(error.args[0]) if error.args else type(error).__name__


async def _connect(database_url: str) -> asyncpg.Connection:
    place = _place(database_url)
    settings = {
        "application_name": "shapegate-schema",
        "lock_timeout": f"{LOCK_SECONDS:.0f}s",
        "statement_timeout": f"{STATEMENT_SECONDS:.0f}s",
        # A cancel request may come before its statement does and miss it; then the server ends the statement
        # as soon as it sees that nobody listens any more.
        "client_connection_check_interval": "1s",
        # Whatever the role's own setting, files mean the same objects.
        "search_path": "public",
    }
    try:
        return await asyncpg.connect(
            database_url,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS + LOCK_SECONDS,
            server_settings=settings,
        )
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as exc:
        raise DatabaseUnreachable(
            f"no connection to {place} within {CONNECT_SECONDS:.0f} s ({type(exc).__name__}); "
            "is Postgres running?"
        ) from exc
    except asyncpg.PostgresError as exc:
        raise DatabaseRefused(f"{place} refused the connection: {postgres_text(exc)}") from exc
    except (ValueError, asyncpg.InterfaceError):
        # The cause may quote the URL with its password, so it is cut off.
        raise _invalid_url() from None


async def _close(connection: asyncpg.Connection) -> None:
    # close() first waits until a cancelled statement has ended on the server, so no lock stays behind.
    try:
        await connection.close(timeout=CLOSE_SECONDS)
    except (OSError, asyncpg.PostgresError, *_LOST):
        connection.terminate()


def _lost(database_url: str, exc: Exception) -> DatabaseUnreachable:
    return DatabaseUnreachable(
        f"the connection to {_place(database_url)} was lost ({type(exc).__name__}); "
        "what was not committed is undone, so it is safe to run again"
    )


def _place(database_url: str) -> str:
    """Name the database without user and password."""
    try:
        parts = urlsplit(database_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _invalid_url() from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise _invalid_url()
    return f"database {parts.path.lstrip('/') or 'postgres'!r} at {host or 'localhost'}:{port or 5432}"


def _invalid_url() -> InvalidDatabaseUrl:
    return InvalidDatabaseUrl(
        "the database URL does not parse; expected postgresql://user:password@host:port/database, "
        "with special characters of the password percent-encoded"
    )
