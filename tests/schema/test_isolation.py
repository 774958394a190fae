"""Row-level security as the application meets it: over its own connection, never as owner or superuser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import pytest

from shapegate_schema.roles import set_login
from tests.schema.acting import (
    ACME,
    ADA,
    BEN,
    GLOBEX,
    HUGO,
    ORGS,
    SET_ORG,
    SET_USER,
    acting_for,
    ids,
    refusal,
    row_of,
)
from tests.schema.tables import SCOPED, SYNCED, TABLES, Table

if TYPE_CHECKING:
    from tests.schema.conftest import ConnectAs

DENIED = "permission denied for table"


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_D_02_without_a_context_nothing_is_seen_or_touched(
    app: asyncpg.Connection, table: Table
) -> None:
    assert await ids(app, table.name) == set()
    if table.updates is not None:
        statement = f"UPDATE public.{table} SET {table.updates} = {table.updates}"
        assert await app.execute(statement) == "UPDATE 0"
    if table.deletes:
        assert await app.execute(f"DELETE FROM public.{table}") == "DELETE 0"


@pytest.mark.parametrize("table", [table for table in TABLES if not table.deletes], ids=str)
async def test_D_07_I_23_what_the_application_has_no_right_to_is_denied_to_its_own_org_too(
    app: asyncpg.Connection, table: Table
) -> None:
    told = await refusal(app, ACME, f"DELETE FROM public.{table}", user=ADA)
    assert told[:2] == ("42501", f"{DENIED} {table}")
    for column in ("id", "updated_at"):
        told = await refusal(app, ACME, f"UPDATE public.{table} SET {column} = {column}", user=ADA)
        assert told[:2] == ("42501", f"{DENIED} {table}")
    told = await refusal(app, ACME, f"INSERT INTO public.{table} (id) VALUES ($1)", uuid4(), user=ADA)
    assert told[:2] == ("42501", f"{DENIED} {table}")


@pytest.mark.parametrize("org", ORGS, ids=["acme", "globex"])
@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_D_01_an_org_sees_exactly_its_rows(
    app: asyncpg.Connection, superuser: asyncpg.Connection, table: Table, org: UUID
) -> None:
    expected = await ids(superuser, table.name, table.seen, org)
    assert expected
    assert expected < await ids(superuser, table.name)
    async with acting_for(app, org):
        assert await ids(app, table.name) == expected
        assert await ids(app, table.name, f"NOT ({table.seen}) OR true", org) == expected


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_I_24_rows_of_another_org_are_as_if_they_were_not_there(
    app: asyncpg.Connection, superuser: asyncpg.Connection, table: Table
) -> None:
    own = await ids(superuser, table.name, table.seen, ACME)
    foreign = list(await ids(superuser, table.name) - own)
    assert foreign
    async with acting_for(app, ACME):
        assert await ids(app, table.name, "id = ANY($1)", foreign) == set()
        if table.updates is not None:
            statement = f"UPDATE public.{table} SET {table.updates} = {table.updates} WHERE id = ANY($1)"
            assert await app.execute(statement, foreign) == "UPDATE 0"
        if table.deletes:
            statement = f"DELETE FROM public.{table} WHERE id = ANY($1)"
            assert await app.execute(statement, foreign) == "DELETE 0"


@pytest.mark.parametrize("org", ORGS, ids=["acme", "globex"])
async def test_D_10_an_insert_without_an_org_gets_that_of_the_context(
    app: asyncpg.Connection, org: UUID
) -> None:
    async with acting_for(app, org):
        filled = await app.fetchval(
            "INSERT INTO public.control_providers (name, provider_type) VALUES ('New', 'vendor') "
            "RETURNING organization_id"
        )
    assert filled == org


async def test_I_23_an_insert_for_another_org_is_refused(app: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with acting_for(app, ACME):
            await app.execute(
                "INSERT INTO public.control_providers (name, provider_type, organization_id) "
                "VALUES ('New', 'vendor', $1)",
                GLOBEX,
            )


async def test_I_23_an_insert_without_a_context_is_refused(app: asyncpg.Connection) -> None:
    insert = (
        "INSERT INTO public.control_providers (name, provider_type, organization_id) "
        "VALUES ('New', 'vendor', $1)"
    )
    for org in (None, ACME):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.NotNullViolationError)):
            await app.execute(insert, org)


@pytest.mark.parametrize(
    ("insert", "foreign"),
    [
        ("controls (name, primary_provider_id) VALUES ('x', $1)", row_of(GLOBEX, "0010")),
        (
            "controls (name, primary_provider_id, last_touched_by_user_id) "
            f"VALUES ('x', '{row_of(ACME, '0010')}', $1)",
            HUGO,
        ),
        (
            f"provider_networks (from_provider_id, to_provider_id) VALUES ($1, '{row_of(ACME, '0010')}')",
            row_of(GLOBEX, "0010"),
        ),
        (
            f"provider_networks (from_provider_id, to_provider_id) VALUES ('{row_of(ACME, '0010')}', $1)",
            row_of(GLOBEX, "0010"),
        ),
        (
            f"control_interactions (control_id, user_id, interaction_type) VALUES ($1, '{BEN}', 'use')",
            row_of(GLOBEX, "0012"),
        ),
        (
            "control_interactions (control_id, user_id, interaction_type) "
            f"VALUES ('{row_of(ACME, '0012')}', $1, 'use')",
            HUGO,
        ),
        ("quadrant_classifications (control_id, quadrant) VALUES ($1, 'self')", row_of(GLOBEX, "0012")),
        ("organizational_traces (control_id, trace_type) VALUES ($1, 'work_order')", row_of(GLOBEX, "0012")),
        (
            "organizational_traces (control_id, trace_type, recorded_by_user_id) "
            f"VALUES ('{row_of(ACME, '0012')}', 'work_order', $1)",
            HUGO,
        ),
        (
            "organizational_traces (control_id, trace_type, related_incident_id) "
            f"VALUES ('{row_of(ACME, '0012')}', 'work_order', $1)",
            row_of(GLOBEX, "0015"),
        ),
        (f"competency_records (user_id, control_id) VALUES ('{BEN}', $1)", row_of(GLOBEX, "0012")),
        (f"competency_records (user_id, control_id) VALUES ($1, '{row_of(ACME, '0012')}')", HUGO),
        (
            "service_level_agreements (control_id, provider_id, service_name, start_date) "
            f"VALUES ($1, '{row_of(ACME, '0010')}', 'x', now())",
            row_of(GLOBEX, "0012"),
        ),
        (
            "service_level_agreements (control_id, provider_id, service_name, start_date) "
            f"VALUES ('{row_of(ACME, '0012')}', $1, 'x', now())",
            row_of(GLOBEX, "0010"),
        ),
        ("risk_predictions (control_id) VALUES ($1)", row_of(GLOBEX, "0012")),
    ],
)
async def test_D_09_I_24_a_parent_in_another_org_is_refused_like_one_that_does_not_exist(
    app: asyncpg.Connection, insert: str, foreign: UUID
) -> None:
    told = await refusal(app, ACME, f"INSERT INTO public.{insert}", foreign)
    assert told == await refusal(app, ACME, f"INSERT INTO public.{insert}", uuid4())
    assert told[0] == "23503"


async def test_a_member_whose_home_is_another_org_can_be_named(app: asyncpg.Connection) -> None:
    async with acting_for(app, GLOBEX):
        done = await app.execute(
            "INSERT INTO public.control_interactions (control_id, user_id, interaction_type) "
            "VALUES ($1, $2, 'use')",
            row_of(GLOBEX, "0012"),
            ADA,
        )
    assert done == "INSERT 0 1"


@pytest.mark.parametrize("table", [table for table in SCOPED if table.deletes], ids=str)
async def test_D_10_a_row_cannot_change_its_org(app: asyncpg.Connection, table: Table) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=f"a row of {table} stays in its organization"):
        async with acting_for(app, ACME):
            await app.execute(f"UPDATE public.{table} SET {table.org_column} = $1", GLOBEX)


@pytest.mark.parametrize("table", SCOPED, ids=str)
async def test_D_10_not_even_the_superuser_moves_a_row(superuser: asyncpg.Connection, table: Table) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(f"UPDATE public.{table} SET {table.org_column} = gen_random_uuid()")


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("INSERT INTO public.users (email, organization_id) VALUES ($1, NULL)", "hugo@globex.example"),
        ("UPDATE public.users SET email = $1", "hugo@globex.example"),
        ("INSERT INTO public.organizations (name, slug) VALUES ('x', $1)", "globex"),
        ("UPDATE public.organizations SET slug = $1", "globex"),
        ("UPDATE public.organizations SET id = $1", GLOBEX),
        ("INSERT INTO public.memberships (user_id, role) VALUES ($1, 'owner')", HUGO),
        ("UPDATE public.memberships SET role = 'owner' WHERE user_id = $1", BEN),
        ("INSERT INTO public.nexus_tenants (tenant_id, name) VALUES ($1, 'x')", "TNT-GLOBEX"),
        ("INSERT INTO public.nexus_cases (case_id, subject) VALUES ($1, 'x')", "CASE-0004"),
        ("UPDATE public.nexus_cases SET case_id = $1", "CASE-0004"),
    ],
)
async def test_I_24_whether_a_key_is_taken_elsewhere_cannot_be_asked(
    app: asyncpg.Connection, statement: str, value: object
) -> None:
    free = uuid4() if isinstance(value, UUID) else "free"
    told = await refusal(app, ACME, statement, value, user=ADA)
    assert told == await refusal(app, ACME, statement, free, user=ADA)
    assert told[0] == "42501"


async def test_an_org_can_rename_itself_and_no_other(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME):
        assert await app.execute("UPDATE public.organizations SET name = 'Acme plc'") == "UPDATE 1"
        rename = "UPDATE public.organizations SET name = 'Acme plc' WHERE id = $1"
        assert await app.execute(rename, GLOBEX) == "UPDATE 0"


@pytest.mark.parametrize("table", [table for table in TABLES if table.inserts], ids=str)
async def test_D_07_rows_are_copied_in_by_nobody_and_out_only_as_seen(
    app: asyncpg.Connection, superuser: asyncpg.Connection, table: Table
) -> None:
    copied: list[bytes] = []

    async def keep(data: bytes) -> None:
        copied.append(data)

    async with acting_for(app, ACME):
        await app.copy_from_query(f"SELECT id FROM public.{table}", output=keep)
    seen = {UUID(line) for line in b"".join(copied).decode().split()}
    assert seen == await ids(superuser, table.name, table.seen, ACME)
    with pytest.raises((asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError)):
        await app.copy_records_to_table(table.name, records=[(uuid4(),)], columns=["id"])


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_updated_at_follows_every_update(superuser: asyncpg.Connection, table: Table) -> None:
    stale = f"SELECT count(*) FROM public.{table} WHERE updated_at <> now()"
    assert await superuser.fetchval(stale) > 0
    await superuser.execute(f"UPDATE public.{table} SET updated_at = 'epoch'")
    assert await superuser.fetchval(stale) == 0


@pytest.mark.parametrize("ending", ["commit", "rollback", "error", "cancel"])
async def test_D_02_D_04_I_25_a_pooled_connection_carries_no_org_on(
    connect_as: ConnectAs, seeded_database: str, ending: str
) -> None:
    """The pool's own reset is off, so that only the setting's being local can help."""

    async def no_reset(_: asyncpg.Connection) -> None:
        return

    async def work(pool: asyncpg.Pool, began: asyncio.Event) -> int:
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(SET_ORG, ACME)
                await connection.execute(SET_USER, BEN)
                assert len(await ids(connection, "controls")) == 8
                if ending == "error":
                    await connection.execute("SELECT 1 / 0")
                if ending == "cancel":
                    began.set()
                    await connection.execute("SELECT pg_sleep(60)")
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.commit() if ending == "commit" else transaction.rollback())
            pid: int = connection.get_server_pid()
            return pid

    await set_login(seeded_database, "app_rw", "pooled")
    pool = asyncpg.create_pool(
        seeded_database, user="app_rw", password="pooled", min_size=1, max_size=1, reset=no_reset
    )
    async with pool:
        began = asyncio.Event()
        task = asyncio.create_task(work(pool, began))
        if ending == "cancel":
            await asyncio.wait_for(began.wait(), 10)
            task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.done()
        assert (task.cancelled() or task.exception() is not None) == (ending in ("error", "cancel"))
        async with pool.acquire() as connection:
            # The same session, with the setting '' and not NULL: the policies must take it for no context.
            for setting in ("app.current_org_id", "app.current_user_id"):
                assert await connection.fetchval("SELECT current_setting($1, true)", setting) == ""
            for table in TABLES:
                assert await ids(connection, table.name) == set()


async def test_D_04_outside_a_transaction_the_context_does_nothing(app: asyncpg.Connection) -> None:
    await app.execute(SET_ORG, ACME)
    assert await ids(app, "controls") == set()


async def test_D_02_no_org_can_be_set_on_purpose(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME):
        await app.execute(SET_ORG, None)
        assert await ids(app, "controls") == set()


@pytest.mark.parametrize("table", ["credentials", "sessions", "refresh_tokens"])
@pytest.mark.parametrize("role", ["app_rw", "electric"])
async def test_the_issuers_tables_are_out_of_reach(connect_as: ConnectAs, role: str, table: str) -> None:
    connection = await connect_as(role)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="schema shapegate_auth"):
        await connection.fetch(f"SELECT * FROM shapegate_auth.{table}")


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE public.controls",
        "TRUNCATE public.vendors CASCADE",
        "TRUNCATE public.nexus_cases CASCADE",
        "COPY public.controls TO '/tmp/controls'",
        "COPY public.controls TO PROGRAM 'cat'",
        "CREATE TABLE mine (id uuid REFERENCES public.nexus_cases)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TRIGGER t BEFORE INSERT ON public.controls FOR EACH ROW EXECUTE FUNCTION keep_updated_at()",
        "ALTER TABLE public.controls DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_isolation_select ON public.controls",
        "SET ROLE electric",
        "SET SESSION AUTHORIZATION electric",
        "SET session_replication_role = replica",
        "SELECT * FROM public.shapegate_migrations",
        "ALTER PUBLICATION electric_publication_default DROP TABLE public.controls",
    ],
)
async def test_D_07_the_application_cannot_step_out(app: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(statement)


@pytest.mark.parametrize("table", SYNCED, ids=str)
async def test_D_11_electric_sees_every_row_and_writes_none(
    connect_as: ConnectAs, superuser: asyncpg.Connection, table: Table
) -> None:
    electric = await connect_as("electric")
    assert await ids(electric, table.name) == await ids(superuser, table.name)
    for statement in (
        f"UPDATE public.{table} SET updated_at = now()",
        f"DELETE FROM public.{table}",
        f"TRUNCATE public.{table}",
        f"INSERT INTO public.{table} DEFAULT VALUES",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await electric.execute(statement)


@pytest.mark.parametrize("table", SYNCED, ids=str)
async def test_D_11_electric_sees_every_row_by_policy_where_it_may_not_bypass(
    superuser: asyncpg.Connection, table: Table
) -> None:
    """A member has the rights and policies of its group but not its attributes."""
    expected = await ids(superuser, table.name)
    await superuser.execute("CREATE ROLE electric_without_bypass")
    await superuser.execute("GRANT electric TO electric_without_bypass")
    await superuser.execute("SET LOCAL ROLE electric_without_bypass")
    assert await ids(superuser, table.name) == expected


async def test_the_issuer_reads_who_belongs_where_and_keeps_sessions(connect_as: ConnectAs) -> None:
    issuer = await connect_as("shapegate_issuer")
    # The two that people log in to, and the third of the nexus domain.
    assert len(await ids(issuer, "organizations")) == 3
    assert len(await ids(issuer, "users")) == 4
    assert len(await ids(issuer, "memberships")) == 5
    jti = uuid4()
    transaction = issuer.transaction()
    await transaction.start()
    await issuer.execute(
        "INSERT INTO shapegate_auth.sessions (jti, family_id, user_id, organization_id, expires_at) "
        "VALUES ($1, $1, $2, $3, now() + interval '1 hour')",
        jti,
        ADA,
        ACME,
    )
    await issuer.execute("UPDATE shapegate_auth.sessions SET revoked_at = now() WHERE jti = $1", jti)
    await issuer.execute(
        "INSERT INTO shapegate_auth.credentials (user_id, password_hash) VALUES ($1, 'x')", ADA
    )
    assert await issuer.execute("DELETE FROM shapegate_auth.sessions") == "DELETE 1"
    await transaction.rollback()
    keys = await issuer.fetch(
        "SELECT tenant_id, tenant_client_id, tenant_vendor_id FROM public.nexus_tenants "
        "WHERE organization_id = $1",
        ACME,
    )
    assert [tuple(row) for row in keys] == [("TNT-ACME", "TC-ACME", "TV-ACME")]
    for statement in (
        "SELECT FROM public.controls",
        "SELECT name FROM public.nexus_tenants",
        "UPDATE public.memberships SET role = 'owner'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await issuer.execute(statement)


async def test_the_proxy_reads_whether_a_session_stands_and_no_more(connect_as: ConnectAs) -> None:
    proxy = await connect_as("shapegate_proxy")
    assert len(await proxy.fetch("SELECT id, status FROM public.organizations")) == 3
    assert len(await ids(proxy, "memberships")) == 5
    assert await proxy.fetch("SELECT jti FROM shapegate_auth.sessions") == []
    for statement in (
        "SELECT name FROM public.organizations",
        "SELECT FROM public.users",
        "SELECT FROM public.controls",
        "SELECT FROM shapegate_auth.credentials",
        "SELECT FROM shapegate_auth.refresh_tokens",
        "UPDATE shapegate_auth.sessions SET revoked_at = NULL",
        "DELETE FROM public.memberships",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await proxy.execute(statement)
