from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_schema.errors import DatabaseRefused, InvalidPassword, UnknownRole
from shapegate_schema.roles import ROLES, set_login

if TYPE_CHECKING:
    from tests.schema.conftest import ConnectAs


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("password", ["plain", "quote'; DROP ROLE app_rw; --", '$1 %s %L \\ "x" $$', " "])
async def test_a_role_logs_in_with_exactly_its_password(
    seeded_database: str, role: str, password: str
) -> None:
    await set_login(seeded_database, role, password)
    connection = await asyncpg.connect(seeded_database, user=role, password=password)
    try:
        assert await connection.fetchval("SELECT current_user::text") == role
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(seeded_database, user=role, password=password + "x")


async def test_the_password_is_not_kept_as_text(seeded_database: str) -> None:
    await set_login(seeded_database, "app_rw", "correct horse")
    connection = await asyncpg.connect(seeded_database)
    try:
        kept = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'app_rw'")
    finally:
        await connection.close()
    assert kept.startswith("SCRAM-SHA-256$4096:")


async def test_logins_set_at_once_do_not_fail_each_other(seeded_database: str) -> None:
    await asyncio.gather(*(set_login(seeded_database, "app_rw", "same") for _ in range(5)))


@pytest.mark.parametrize("role", ["postgres", "", "app_rw; --", "APP_RW", "pg_monitor"])
async def test_only_the_four_roles_can_be_given_a_login(seeded_database: str, role: str) -> None:
    with pytest.raises(UnknownRole, match="is none of app_rw, electric, shapegate_issuer, shapegate_proxy"):
        await set_login(seeded_database, role, "password")


@pytest.mark.parametrize("password", ["", "a\0b", "two\nlines", "pässword", "x" * 1025])
async def test_a_password_that_would_not_log_in_is_refused_unseen(
    seeded_database: str, password: str
) -> None:
    with pytest.raises(InvalidPassword) as refused:
        await set_login(seeded_database, "app_rw", password)
    assert not password or password not in str(refused.value)


async def test_one_who_may_not_alter_the_role_is_told_so(seeded_database: str, connect_as: ConnectAs) -> None:
    await connect_as("app_rw")
    await set_login(seeded_database, "app_rw", "known")
    url = seeded_database.replace(seeded_database.partition("//")[2].partition("@")[0], "app_rw:known")
    with pytest.raises(DatabaseRefused, match="may not alter the role electric"):
        await set_login(url, "electric", "password")
