"""Orgs made, suspended and ended, on a real database with the tables of all domains."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shapegate_schema.domains import domain_names
from shapegate_schema.errors import InvalidName, OrgInUse, ProvisionRefused, UnknownOrg
from shapegate_schema.provision import delete, provision, resume, suspend
from shapegate_schema.seed import seed
from tests.schema.acting import ACME, ADA, BEN, GLOBEX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_schema.provision import ProvisionedOrg
    from tests.conftest import CreateDatabase


@pytest_asyncio.fixture(loop_scope="session")
async def owner(migrated_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_url)
    yield connection
    await connection.close()


async def initech(url: str, *, name: str = "Initech", email: str = "ivy@initech.example") -> ProvisionedOrg:
    return await provision(url, slug="initech", name=name, owner_email=email)


async def counted(connection: asyncpg.Connection) -> tuple[int, int, int]:
    """How many orgs, users and memberships there are."""
    tables = ("organizations", "users", "memberships")
    return tuple([await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables])


# Making


async def test_an_org_is_made_with_its_owner(migrated_url: str, owner: asyncpg.Connection) -> None:
    made = await initech(migrated_url)
    row = await owner.fetchrow(
        "SELECT o.id, o.slug, o.name, o.status, u.id, u.email, u.organization_id, m.role, m.status "
        "FROM organizations o JOIN memberships m ON m.organization_id = o.id JOIN users u ON u.id = m.user_id"
    )
    assert row is not None
    assert tuple(row) == (
        *(made.id, "initech", "Initech", "active"),
        *(made.owner_id, "ivy@initech.example", made.id, "owner", "active"),
    )
    assert (made.created, made.status) == (True, "active")


async def test_making_it_again_changes_nothing_whatever_the_case_of_the_address(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    first = await initech(migrated_url)
    await suspend(migrated_url, "initech")
    again = await initech(migrated_url, email="IVY@initech.example")
    assert (again.id, again.owner_id) == (first.id, first.owner_id)
    assert (again.created, again.status) == (False, "suspended")
    assert await counted(owner) == (1, 1, 1)


async def test_made_by_many_at_once_it_is_made_once(migrated_url: str, owner: asyncpg.Connection) -> None:
    made = await asyncio.gather(*(initech(migrated_url) for _ in range(4)))
    assert len({(org.id, org.owner_id) for org in made}) == 1
    assert [org.created for org in made].count(True) == 1
    assert await counted(owner) == (1, 1, 1)


async def test_whoever_has_the_address_gets_a_membership_more_and_keeps_the_home(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    home = await initech(migrated_url)
    second = await provision(migrated_url, slug="second", name="Second", owner_email="Ivy@Initech.example")
    assert second.owner_id == home.owner_id
    assert await owner.fetchval("SELECT organization_id FROM users") == home.id
    assert await counted(owner) == (2, 1, 2)


async def test_an_org_without_an_owner_gets_one(migrated_url: str, owner: asyncpg.Connection) -> None:
    there = await owner.fetchval(
        "INSERT INTO organizations (name, slug) VALUES ('Initech', 'initech') RETURNING id"
    )
    made = await initech(migrated_url)
    assert (made.id, made.created) == (there, True)
    assert await counted(owner) == (1, 1, 1)


@pytest.mark.parametrize(
    ("name", "email", "said"),
    [
        ("Other", "ivy@initech.example", "the slug 'initech' is that of 'Initech'"),
        ("Initech", "eve@initech.example", "has 1 other owners"),
    ],
)
async def test_an_org_that_is_there_in_another_form_is_left_alone(
    migrated_url: str, owner: asyncpg.Connection, name: str, email: str, said: str
) -> None:
    await initech(migrated_url)
    with pytest.raises(ProvisionRefused, match=said):
        await initech(migrated_url, name=name, email=email)
    assert await counted(owner) == (1, 1, 1)


async def test_a_member_who_is_no_owner_is_not_made_one(migrated_url: str, owner: asyncpg.Connection) -> None:
    await initech(migrated_url)
    await owner.execute("UPDATE memberships SET role = 'member'")
    with pytest.raises(ProvisionRefused, match="not as its owner"):
        await initech(migrated_url)
    assert await owner.fetchval("SELECT role FROM memberships") == "member"


async def test_names_are_judged_before_anybody_is_asked(database_url: str) -> None:
    with pytest.raises(InvalidName):
        await provision("postgresql://nobody@127.0.0.1:1/none", slug="A", name="", owner_email="x")


async def test_a_database_without_migrations_is_told_so(database_url: str) -> None:
    with pytest.raises(ProvisionRefused, match="run the migrations first"):
        await initech(database_url)


async def test_a_role_that_row_level_security_holds_is_told_so(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    name, password = f"plain_{secrets.token_hex(4)}", secrets.token_hex(8)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    try:
        host = migrated_url.rpartition("@")[2]
        with pytest.raises(ProvisionRefused, match="does not pass row-level security"):
            await initech(f"postgresql://{name}:{password}@{host}")
    finally:
        await owner.execute(f"DROP ROLE {name}")


# Suspending


async def test_an_org_is_suspended_and_resumed_and_saying_it_twice_is_saying_it_once(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    await initech(migrated_url)
    assert [await suspend(migrated_url, "initech") for _ in range(2)] == [True, False]
    assert await owner.fetchval("SELECT status FROM organizations") == "suspended"
    assert [await resume(migrated_url, "initech") for _ in range(2)] == [True, False]
    assert await owner.fetchval("SELECT status FROM organizations") == "active"


async def test_an_org_that_is_not_there_is_told_so(migrated_url: str) -> None:
    for work in (suspend(migrated_url, "nowhere"), resume(migrated_url, "nowhere")):
        with pytest.raises(UnknownOrg, match="'nowhere'"):
            await work
    with pytest.raises(UnknownOrg):
        await delete(migrated_url, "nowhere", with_data=True)
    with pytest.raises(InvalidName):
        await suspend(migrated_url, "' OR true --")


# Deleting


async def test_an_org_without_rows_is_deleted_with_its_people_and_can_be_made_again(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    made = await initech(migrated_url)
    await owner.execute("INSERT INTO shapegate_auth.credentials VALUES ($1, 'hash')", made.owner_id)
    assert await delete(migrated_url, "initech", with_data=False) == {}
    assert await counted(owner) == (0, 0, 0)
    assert await owner.fetchval("SELECT count(*) FROM shapegate_auth.credentials") == 0
    assert (await initech(migrated_url)).created


async def test_the_sessions_of_a_deleted_org_are_ended_and_stay_on_record(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    made = await initech(migrated_url)
    await owner.execute(
        "INSERT INTO shapegate_auth.sessions (jti, family_id, user_id, organization_id, expires_at) "
        "VALUES (gen_random_uuid(), gen_random_uuid(), $1, $2, now() + interval '1 hour')",
        made.owner_id,
        made.id,
    )
    await owner.execute(
        "INSERT INTO shapegate_auth.refresh_tokens "
        "(token_hash, family_id, user_id, organization_id, expires_at) "
        "VALUES ('x', gen_random_uuid(), $1, $2, now() + interval '1 hour')",
        made.owner_id,
        made.id,
    )
    await delete(migrated_url, "initech", with_data=False)
    row = await owner.fetchrow("SELECT reason, revoked_at IS NOT NULL FROM shapegate_auth.sessions")
    assert row is not None
    assert tuple(row) == ("org_deleted", True)
    assert await owner.fetchval("SELECT used_at IS NOT NULL FROM shapegate_auth.refresh_tokens")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seeded_template(create_session_database: CreateDatabase, migrated_template: str) -> str:
    """Acme and Globex with rows of the two domains that they share nothing in."""
    url = await create_session_database(migrated_template)
    for domain in ("controls", "erp"):
        await seed(url, domain)
    return url


@pytest_asyncio.fixture(loop_scope="session")
async def seeded_url(create_database: CreateDatabase, seeded_template: str) -> str:
    return await create_database(seeded_template)


async def everything(url: str) -> dict[str, list[str]]:
    """Every row of every table in public, as text."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            row[0]: [
                found[0] for found in await connection.fetch(f"SELECT t::text FROM {row[0]} t ORDER BY 1")
            ]
            for row in tables
        }
    finally:
        await connection.close()


async def test_an_org_with_rows_is_deleted_only_if_that_is_asked_for(seeded_url: str) -> None:
    before = await everything(seeded_url)
    with pytest.raises(OrgInUse, match=r"'globex' has rows: .*\d+ in public\.controls") as caught:
        await delete(seeded_url, "globex", with_data=False)
    assert "public.users" not in str(caught.value)
    assert await everything(seeded_url) == before


async def test_I_23_an_org_deleted_with_its_data_leaves_every_row_of_the_others_as_it_was(
    seeded_url: str,
) -> None:
    before = await everything(seeded_url)
    counts = await delete(seeded_url, "globex", with_data=True)
    assert counts["public.controls"] == 8
    assert counts["public.products"] == 4
    after = await everything(seeded_url)
    for table, rows in before.items():
        assert after[table] == [row for row in rows if not row.startswith("(610b")], table
    assert not any(str(GLOBEX) in row for rows in after.values() for row in rows)


async def test_a_member_of_another_org_stays_there_and_gets_a_home_there(seeded_url: str) -> None:
    await delete(seeded_url, "acme", with_data=True)
    connection = await asyncpg.connect(seeded_url)
    try:
        homes = {
            row["id"]: row["organization_id"]
            for row in await connection.fetch("SELECT id, organization_id FROM users")
        }
        assert homes[ADA] == GLOBEX
        assert BEN not in homes
        members = await connection.fetch("SELECT organization_id FROM memberships WHERE user_id = $1", ADA)
        assert [row[0] for row in members] == [GLOBEX]
    finally:
        await connection.close()


async def test_what_an_org_shares_with_others_is_never_deleted(
    create_database: CreateDatabase, seeded_database: str
) -> None:
    url = await create_database(seeded_database)
    before = await everything(url)
    with pytest.raises(OrgInUse, match="shares with others still refer to it"):
        await delete(url, "globex", with_data=True)
    assert await everything(url) == before


async def test_every_shipped_table_can_be_put_in_an_order_to_be_emptied(migrated_url: str) -> None:
    await initech(migrated_url)
    assert set(domain_names()) == {"controls", "erp", "nexus"}
    assert await delete(migrated_url, "initech", with_data=True) == {}


async def test_a_table_of_ones_own_that_refers_to_orgs_counts(
    migrated_url: str, owner: asyncpg.Connection
) -> None:
    made = await initech(migrated_url)
    await owner.execute(
        'CREATE TABLE "Own Notes" (id int, "Org" uuid NOT NULL REFERENCES organizations (id), parent int)'
    )
    await owner.execute('INSERT INTO "Own Notes" VALUES (1, $1)', made.id)
    with pytest.raises(OrgInUse, match=r'1 in public\."Own Notes"'):
        await delete(migrated_url, "initech", with_data=False)
    assert await delete(migrated_url, "initech", with_data=True) == {'public."Own Notes"': 1}


# Homes


async def test_a_home_moves_to_an_org_of_the_users_own_only(
    superuser: asyncpg.Connection,
) -> None:
    move = "UPDATE users SET organization_id = $2 WHERE id = $1"
    with pytest.raises(asyncpg.CheckViolationError, match="a home among the organizations"):
        async with superuser.transaction():
            await superuser.execute(move, BEN, GLOBEX)
    assert await superuser.execute(move, ADA, GLOBEX) == "UPDATE 1"
    assert await superuser.execute(move, ADA, ACME) == "UPDATE 1"
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(move, ADA, UUID(int=7))
