from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_schema.connection import ADVISORY_LOCK_KEY
from shapegate_schema.domains import domain_names, migration_sets
from shapegate_schema.errors import (
    DatabaseRefused,
    MigrationFailed,
    MigrationLockBusy,
    MigrationsRefused,
    TransactionEnded,
    UnknownDomain,
)
from shapegate_schema.ledger import read_ledger
from shapegate_schema.migrate import MigrationApplied, apply_sets, migrate, status
from shapegate_schema.migration import parse_migration
from shapegate_schema.plan import plan
from shapegate_schema.seed import seed
from tests.schema.builders import migration_file, migration_set, version_of
from tests.schema.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import CreateDatabase

SHIPPED = [file.name.partition("_")[0] for one in migration_sets("controls") for file in one.files]
"""The versions of the controls domain and what it stands on, in the order in which they are applied."""
CREATE_A = "CREATE TABLE public.a (id int);"
CREATE_B = "CREATE TABLE public.b (id int);"


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def tables(url: str) -> set[str]:
    async with connected(url) as connection:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in rows} - {"schema_migrations", "shapegate_migrations"}


async def dbmate_versions(url: str) -> list[str]:
    async with connected(url) as connection:
        return [
            row[0]
            for row in await connection.fetch("SELECT version FROM public.schema_migrations ORDER BY version")
        ]


async def test_it_applies_in_order_tells_each_and_does_nothing_the_second_time(database_url: str) -> None:
    told: list[MigrationApplied] = []
    versions = await migrate(database_url, "controls", told.append)
    assert list(versions) == [one.version for one in told] == SHIPPED
    assert await migrate(database_url, domain="controls", on_applied=told.append) == ()
    assert len(told) == len(versions)
    assert await dbmate_versions(database_url) == sorted(versions)


@pytest.mark.parametrize("domain", domain_names())
async def test_each_domain_stands_alone_beside_the_shared_tables(database_url: str, domain: str) -> None:
    await migrate(database_url, domain)
    own = {table.name for table in TABLES if table.domain in ("shared", domain)}
    assert await tables(database_url) == own
    assert (await status(database_url, domain)).pending == ()
    seeds = await seed(database_url, domain, rows=5)
    assert [org.slug for org in seeds.orgs] == ["acme", "globex"]


async def test_domains_share_a_database_in_any_order(database_url: str) -> None:
    for domain in reversed(domain_names()):
        await migrate(database_url, domain)
    assert await tables(database_url) == {table.name for table in TABLES}


async def test_an_unknown_domain_is_refused_before_connecting() -> None:
    with pytest.raises(UnknownDomain):
        await migrate("postgresql://127.0.0.1:1/none", "nope")


async def test_status_tells_applied_and_pending_and_writes_nothing(database_url: str) -> None:
    before = await status(database_url)
    assert (len(before.pending), before.applied, before.problems) == (len(SHIPPED), (), ())
    async with connected(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await migrate(database_url)
    after = await status(database_url)
    assert (len(after.applied), after.pending, after.problems) == (len(SHIPPED), (), ())


async def test_status_names_what_is_wrong(migrated_url: str) -> None:
    async with connected(migrated_url) as connection:
        await connection.execute(
            "UPDATE public.shapegate_migrations SET sha256 = 'x' WHERE name LIKE '%roles.sql'"
        )
    (problem,) = (await status(migrated_url)).problems
    assert problem.file == "shared/20261121000100_roles.sql"


async def test_down_sections_are_not_run(database_url: str) -> None:
    # The builder's down section divides by zero.
    assert await apply_sets(database_url, [migration_set(migration_file(1, CREATE_A))]) == (version_of(1),)
    assert await tables(database_url) == {"a"}


async def test_a_changed_missing_or_reordered_file_is_refused_and_nothing_is_applied(
    database_url: str,
) -> None:
    await apply_sets(database_url, [migration_set(migration_file(2, CREATE_A), migration_file(3))])
    changed = migration_set(
        migration_file(1), migration_file(2, "SELECT 'changed';"), migration_file(4, CREATE_B)
    )
    with pytest.raises(MigrationsRefused) as refused:
        await apply_sets(database_url, [changed])
    assert [text.partition(": ")[0] for text in refused.value.problems] == [
        f"shared/{version_of(2)}_step.sql",
        f"shared/{version_of(3)}_step.sql",
        f"shared/{version_of(1)}_step.sql",
    ]
    assert all(text in str(refused.value) for text in refused.value.problems)
    assert await tables(database_url) == {"a"}


async def test_a_failing_file_is_rolled_back_and_the_run_goes_on_from_there_once_it_is_mended(
    database_url: str,
) -> None:
    first = migration_file(1, CREATE_A)
    failing = migration_file(2, f"{CREATE_B}\n\nALTER TABLE public.b\n    ADD COLUMN id int;\nSELECT oops;")
    with pytest.raises(MigrationFailed) as failed:
        await apply_sets(database_url, [migration_set(first, failing)])
    assert failed.value.file == f"shared/{version_of(2)}_step.sql"
    assert "already exists" in failed.value.message
    assert await tables(database_url) == {"a"}
    assert await dbmate_versions(database_url) == [version_of(1)]
    mended = migration_set(first, migration_file(2, CREATE_B))
    assert await apply_sets(database_url, [mended]) == (version_of(2),)


async def test_an_error_names_the_line_where_postgres_gives_a_position(database_url: str) -> None:
    sql = f"{CREATE_A}\n-- é\nSELECT id,\n    oops\nFROM public.a;"
    with pytest.raises(
        MigrationFailed, match=r"_step\.sql, line 5: column \"oops\" does not exist"
    ) as failed:
        await apply_sets(database_url, [migration_set(migration_file(1, sql))])
    assert failed.value.line == 5
    assert await tables(database_url) == set()


async def test_a_constraint_that_fails_only_at_commit_is_told_and_undone(database_url: str) -> None:
    sql = (
        "CREATE TABLE public.a (id int PRIMARY KEY, up int REFERENCES public.a INITIALLY DEFERRED);\n"
        "INSERT INTO public.a VALUES (1, 2);"
    )
    with pytest.raises(MigrationFailed, match="violates foreign key"):
        await apply_sets(database_url, [migration_set(migration_file(1, sql))])
    assert await tables(database_url) == set()


async def test_a_file_that_ends_the_transaction_by_a_back_door_is_told(database_url: str) -> None:
    sql = f"{CREATE_A} COMMIT; {CREATE_B}"
    with pytest.raises(TransactionEnded, match=r"_step\.sql"):
        await apply_sets(database_url, [migration_set(migration_file(1, sql))])
    assert await dbmate_versions(database_url) == []


async def test_two_runs_at_once_apply_every_file_once(database_url: str) -> None:
    told: list[MigrationApplied] = []
    one, other = await asyncio.gather(
        migrate(database_url, on_applied=told.append), migrate(database_url, on_applied=told.append)
    )
    assert sorted((len(one), len(other))) == [0, len(SHIPPED)]
    assert len(told) == len(SHIPPED)


async def test_two_databases_of_one_cluster_may_be_migrated_at_once(create_database: CreateDatabase) -> None:
    """The roles are the cluster's, so both runs want to make them."""
    urls = [await create_database(), await create_database()]
    done = await asyncio.gather(*(migrate(url) for url in urls))
    assert [len(versions) for versions in done] == [len(SHIPPED)] * 2


async def test_a_held_lock_is_waited_for_told_and_given_up_within_the_bound(database_url: str) -> None:
    waiting: list[str] = []
    async with connected(database_url) as other:
        await other.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK_KEY)
        with pytest.raises(MigrationLockBusy, match=r"for 0\.05 s"):
            await migrate(database_url, on_waiting=lambda: waiting.append("told"), lock_seconds=0.05)
    assert waiting == ["told"]
    assert await tables(database_url) == set()


async def test_a_cancelled_wait_for_the_lock_leaves_nothing_behind(database_url: str) -> None:
    waiting = asyncio.Event()
    async with connected(database_url) as other:
        await other.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK_KEY)
        run = asyncio.create_task(migrate(database_url, on_waiting=waiting.set))
        await asyncio.wait_for(waiting.wait(), 10)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(run, 10)
        waiters = await other.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        assert waiters == 0
    assert list(await migrate(database_url)) == SHIPPED


async def test_a_run_that_is_cut_within_a_file_leaves_nothing_of_it(database_url: str) -> None:
    started = asyncio.Event()
    second = migration_file(2, f"{CREATE_B} SELECT pg_sleep(60);")
    sets = [migration_set(migration_file(1, CREATE_A), second)]
    run = asyncio.create_task(apply_sets(database_url, sets, on_applied=lambda _: started.set()))
    await asyncio.wait_for(started.wait(), 10)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 10)
    assert await tables(database_url) == {"a"}
    assert await dbmate_versions(database_url) == [version_of(1)]


async def test_what_dbmate_applied_is_not_applied_again(database_url: str) -> None:
    """Dbmate keeps versions only; from the next run on the files are held to their checksums too."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE public.schema_migrations (version varchar(128) PRIMARY KEY)")
        await connection.execute(
            "INSERT INTO public.schema_migrations VALUES ($1), ('20010101000000')", version_of(1)
        )
        await connection.execute(CREATE_A)
    sets = [migration_set(migration_file(1, CREATE_A), migration_file(2, CREATE_B))]
    assert await apply_sets(database_url, sets) == (version_of(2),)
    async with connected(database_url) as connection:
        planned = plan(sets, await read_ledger(connection))
    assert (len(planned.applied), planned.adopted, planned.problems) == (2, (), ())


async def test_a_shared_file_can_be_added_after_those_of_a_domain(database_url: str) -> None:
    domain = migration_set(migration_file(3, CREATE_B), name="controls")
    await apply_sets(database_url, [migration_set(migration_file(1, CREATE_A)), domain])
    later = migration_set(migration_file(1, CREATE_A), migration_file(2))
    assert await apply_sets(database_url, [later, domain]) == (version_of(2),)
    erp = migration_set(migration_file(4), name="erp")
    assert await apply_sets(database_url, [later, erp]) == (version_of(4),)


async def test_a_role_that_may_not_migrate_is_told_what_postgres_says(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        role = await connection.fetchval("SELECT 'weak_' || md5(random()::text)")
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    rest = database_url.partition("@")[2]
    try:
        with pytest.raises(DatabaseRefused, match="permission denied for schema public"):
            await migrate(f"postgresql://{role}:weak@{rest}")
    finally:
        async with connected(database_url) as connection:
            await connection.execute(f"DROP ROLE {role}")


async def test_roles_with_wrong_attributes_are_set_right_and_keep_their_login(database_url: str) -> None:
    (roles, *_), _ = (one.files for one in migration_sets("controls"))
    attributes = (
        "SELECT rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = $1"
    )
    await migrate(database_url)
    async with connected(database_url) as connection:
        await connection.execute("ALTER ROLE app_rw CREATEDB BYPASSRLS LOGIN PASSWORD 'kept'")
        await connection.execute("ALTER ROLE electric NOREPLICATION NOBYPASSRLS CREATEROLE")
        await connection.execute(parse_migration("shared", roles).sql)
        assert [tuple(row) for row in await connection.fetch(attributes, "app_rw")] == [
            (False, False, False, False)
        ]
        assert [tuple(row) for row in await connection.fetch(attributes, "electric")] == [
            (False, False, True, True)
        ]
    async with connected(f"postgresql://app_rw:kept@{database_url.partition('@')[2]}") as login:
        assert await login.fetchval("SELECT 1") == 1
