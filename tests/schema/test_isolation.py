"""Row-level security as the application meets it: over its own connection, never as owner or superuser."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from shapegate_schema.roles import set_login
from tests.schema.tables import ORG_COLUMNS, SCOPED, SYNCED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy

    from tests.schema.conftest import ConnectAs

    Connection = asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]

ACME: Final = UUID("ac3e0000-0000-4000-8000-000000000000")
GLOBEX: Final = UUID("610b0000-0000-4000-8000-000000000000")
ORGS: Final = (ACME, GLOBEX)
BEN: Final = UUID("ac3e0001-0000-4000-8000-000000000002")
HUGO: Final = UUID("610b0001-0000-4000-8000-000000000002")
ADA: Final = UUID("ac3e0001-0000-4000-8000-000000000001")
SET_ORG: Final = "SELECT public.set_current_org_id($1)"


@pytest_asyncio.fixture(loop_scope="session")
async def app(connect_as: ConnectAs) -> asyncpg.Connection:
    """The application's own connection."""
    return await connect_as("app_rw")


@contextlib.asynccontextmanager
async def acting_for(app: asyncpg.Connection, org: UUID) -> AsyncIterator[None]:
    """Run the block for an org, and undo what it wrote."""
    transaction = app.transaction()
    await transaction.start()
    try:
        await app.execute(SET_ORG, org)
        yield
    finally:
        await transaction.rollback()


def other_than(org: UUID) -> UUID:
    return GLOBEX if org == ACME else ACME


def row_of(org: UUID, kind: str, number: int = 1) -> UUID:
    """The id of a seeded row: `0010` providers, `0012` controls, `0015` traces."""
    return UUID(f"{str(org)[:4]}{kind}-0000-4000-8000-{number:012d}")


async def ids(connection: Connection, table: str, condition: str = "true", *args: object) -> set[UUID]:
    return {
        row["id"] for row in await connection.fetch(f"SELECT id FROM public.{table} WHERE {condition}", *args)
    }


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_D_02_without_a_context_nothing_is_seen_or_touched(app: asyncpg.Connection, table: str) -> None:
    assert await ids(app, table) == set()
    assert await app.execute(f"UPDATE public.{table} SET updated_at = now()") == "UPDATE 0"
    assert await app.execute(f"DELETE FROM public.{table}") == "DELETE 0"


@pytest.mark.parametrize("org", ORGS, ids=["acme", "globex"])
@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_D_01_an_org_sees_exactly_its_rows(
    app: asyncpg.Connection, superuser: asyncpg.Connection, table: str, org: UUID
) -> None:
    expected = await ids(superuser, table, f"{ORG_COLUMNS[table]} = $1", org)
    assert expected
    assert expected < await ids(superuser, table)
    async with acting_for(app, org):
        assert await ids(app, table) == expected
        assert await ids(app, table, f"{ORG_COLUMNS[table]} <> $1 OR true", org) == expected


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_I_24_rows_of_another_org_are_as_if_they_were_not_there(
    app: asyncpg.Connection, table: str
) -> None:
    foreign = ORG_COLUMNS[table]
    async with acting_for(app, ACME):
        updated = await app.execute(
            f"UPDATE public.{table} SET updated_at = now() WHERE {foreign} = $1", GLOBEX
        )
        deleted = await app.execute(f"DELETE FROM public.{table} WHERE {foreign} = $1", GLOBEX)
    assert (updated, deleted) == ("UPDATE 0", "DELETE 0")


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
    ],
)
async def test_D_09_I_24_a_parent_in_another_org_is_refused_like_one_that_does_not_exist(
    app: asyncpg.Connection, insert: str, foreign: UUID
) -> None:
    told = []
    for parent in (foreign, uuid4()):
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            async with acting_for(app, ACME):
                await app.execute(f"INSERT INTO public.{insert}", parent)
        told.append((refused.value.args[0], refused.value.sqlstate))
    assert told[0] == told[1]
    assert told[0][1] == "23503"


async def test_a_member_whose_home_is_another_org_can_be_named(app: asyncpg.Connection) -> None:
    async with acting_for(app, GLOBEX):
        done = await app.execute(
            "INSERT INTO public.control_interactions (control_id, user_id, interaction_type) "
            "VALUES ($1, $2, 'use')",
            row_of(GLOBEX, "0012"),
            ADA,
        )
    assert done == "INSERT 0 1"


@pytest.mark.parametrize("table", SCOPED)
async def test_D_10_a_row_cannot_change_its_org(app: asyncpg.Connection, table: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=f"a row of {table} stays in its organization"):
        async with acting_for(app, ACME):
            await app.execute(f"UPDATE public.{table} SET organization_id = $1", GLOBEX)


async def test_D_10_not_even_the_superuser_moves_a_row(superuser: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute("UPDATE public.controls SET organization_id = $1", GLOBEX)


async def test_D_10_an_org_cannot_take_the_id_of_another(app: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with acting_for(app, ACME):
            await app.execute("UPDATE public.organizations SET id = $1", uuid4())


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_updated_at_follows_every_update(superuser: asyncpg.Connection, table: str) -> None:
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
            assert await connection.fetchval("SELECT current_setting('app.current_org_id', true)") == ""
            for table in ORG_COLUMNS:
                assert await ids(connection, table) == set()


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


@pytest.mark.parametrize("table", SYNCED)
async def test_D_11_electric_sees_every_row_and_writes_none(
    connect_as: ConnectAs, superuser: asyncpg.Connection, table: str
) -> None:
    electric = await connect_as("electric")
    assert await ids(electric, table) == await ids(superuser, table)
    for statement in (
        f"UPDATE public.{table} SET updated_at = now()",
        f"DELETE FROM public.{table}",
        f"TRUNCATE public.{table}",
        f"INSERT INTO public.{table} DEFAULT VALUES",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await electric.execute(statement)


@pytest.mark.parametrize("table", SYNCED)
async def test_D_11_electric_sees_every_row_by_policy_where_it_may_not_bypass(
    superuser: asyncpg.Connection, table: str
) -> None:
    """A member has the rights and policies of its group but not its attributes."""
    expected = await ids(superuser, table)
    await superuser.execute("CREATE ROLE electric_without_bypass")
    await superuser.execute("GRANT electric TO electric_without_bypass")
    await superuser.execute("SET LOCAL ROLE electric_without_bypass")
    assert await ids(superuser, table) == expected


async def test_the_issuer_reads_who_belongs_where_and_keeps_sessions(connect_as: ConnectAs) -> None:
    issuer = await connect_as("shapegate_issuer")
    assert len(await ids(issuer, "organizations")) == 2
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
    for statement in ("SELECT FROM public.controls", "UPDATE public.memberships SET role = 'owner'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await issuer.execute(statement)


async def test_the_proxy_reads_whether_a_session_stands_and_no_more(connect_as: ConnectAs) -> None:
    proxy = await connect_as("shapegate_proxy")
    assert len(await proxy.fetch("SELECT id, status FROM public.organizations")) == 2
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


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("organizations", "status", "gone"),
        ("users", "role", "root"),
        ("memberships", "role", "root"),
        ("memberships", "status", "gone"),
        ("control_providers", "provider_type", "friend"),
        ("controls", "control_type", "magical"),
        ("controls", "current_quadrant", "unknown"),
        ("controls", "functional_range", "medium"),
        ("provider_networks", "relationship_type", "likes"),
        ("control_interactions", "interaction_type", "ignore"),
        ("control_interactions", "quadrant_before", "unknown"),
        ("control_interactions", "quadrant_after", "unknown"),
        ("quadrant_classifications", "quadrant", "unknown"),
        ("quadrant_classifications", "reason", "whim"),
        ("organizational_traces", "trace_type", "rumour"),
        ("competency_records", "competency_level", "guru"),
    ],
)
async def test_enumerated_texts_take_their_words_only(
    superuser: asyncpg.Connection, table: str, column: str, value: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(f"UPDATE public.{table} SET {column} = $1", value)


@pytest.mark.parametrize("probability", ["-0.01", "1.01", "NaN"])
async def test_a_probability_lies_between_nought_and_one(
    superuser: asyncpg.Connection, probability: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(
            "UPDATE public.controls SET failure_probability = $1::text::numeric", probability
        )


async def test_an_address_is_one_login_whatever_its_case(superuser: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await superuser.execute(
            "INSERT INTO public.users (email, organization_id) VALUES ('ADA@Acme.Example', $1)", GLOBEX
        )
