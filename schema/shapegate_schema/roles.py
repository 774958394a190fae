"""The four database roles, and how they get to log in."""

from __future__ import annotations

import contextlib
import secrets
from typing import Final

import asyncpg

from shapegate_schema.connection import open_connection
from shapegate_schema.errors import DatabaseRefused, InvalidPassword, UnknownRole
from shapegate_schema.scram import SALT_BYTES, scram_verifier

ROLES: Final = ("app_rw", "electric", "shapegate_issuer", "shapegate_proxy")
"""Made by the migrations, without login: the application, Electric, the token issuer, the proxy."""

_ATTEMPTS_MAX: Final = 10
"""More than there are sessions that alter one role at once, even in tests."""
_PASSWORD_CHARS_MAX: Final = 1024
"""More than anyone types or generates; a bound on what is hashed."""


async def set_login(database_url: str, role: str, password: str) -> None:
    """Let a role log in with a password; a role belongs to the cluster, not to one database.

    `database_url` is that of a superuser or of one who may alter the role.
    Raises UnknownRole, InvalidPassword, DatabaseRefused, and what open_connection raises.
    """
    if role not in ROLES:
        raise UnknownRole(f"the role {role!r} is none of {', '.join(ROLES)}")
    # Beyond ASCII, clients and server would have to agree on a normal form first (SASLprep).
    if not 1 <= len(password) <= _PASSWORD_CHARS_MAX or not (password.isascii() and password.isprintable()):
        raise InvalidPassword(
            f"the password of {role} must be 1 to {_PASSWORD_CHARS_MAX} printable ASCII characters"
        )
    verifier = scram_verifier(password, secrets.token_bytes(SALT_BYTES))
    async with open_connection(database_url) as connection:
        # ALTER ROLE takes no parameters, so the server itself quotes the values into the statement.
        statement: str = await connection.fetchval(
            "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", role, verifier
        )
        try:
            await _alter(connection, statement)
        except asyncpg.UndefinedObjectError as exc:
            raise UnknownRole(f"the cluster has no role {role}; run the migrations first") from exc
        except asyncpg.InsufficientPrivilegeError as exc:
            raise DatabaseRefused(
                f"this user may not alter the role {role}; "
                "use a superuser's URL, or that of a role with CREATEROLE and ADMIN on it"
            ) from exc


async def _alter(connection: asyncpg.Connection, statement: str) -> None:
    for _ in range(_ATTEMPTS_MAX - 1):
        # Postgres does not queue those who alter one role at once: all but one get "tuple concurrently
        # updated" (XX000). Of each round one succeeds, so no waiting is needed in between.
        with contextlib.suppress(asyncpg.InternalServerError):
            await connection.execute(statement)
            return
    await connection.execute(statement)
