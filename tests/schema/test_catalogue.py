"""What the migrations leave in Postgres' catalogue: the rules that hold for every table, asked of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.schema.tables import ORG_COLUMNS, SCOPED, SYNCED

if TYPE_CHECKING:
    import asyncpg

ROLES = ["app_rw", "electric", "shapegate_issuer", "shapegate_proxy"]


async def test_the_tables_under_test_are_all_that_name_an_org(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND column_name = 'organization_id'"
    )
    assert {row[0] for row in rows} == set(SCOPED)


async def test_D_01_every_table_of_ours_enables_and_forces_row_level_security(
    superuser: asyncpg.Connection,
) -> None:
    rows = await superuser.fetch(
        "SELECT c.oid::regclass::text AS name FROM pg_class AS c "
        "WHERE c.relnamespace IN ('public'::regnamespace, 'shapegate_auth'::regnamespace) "
        "AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
    )
    # Both ledgers hold no org's rows and are granted to nobody.
    assert {row["name"] for row in rows} == {"schema_migrations", "shapegate_migrations"}


@pytest.mark.parametrize("role", ROLES)
async def test_D_01_the_roles_own_nothing_and_are_members_of_nothing(
    superuser: asyncpg.Connection, role: str
) -> None:
    owned = await superuser.fetchval(
        "SELECT (SELECT count(*) FROM pg_class WHERE relowner = $1::text::regrole)"
        " + (SELECT count(*) FROM pg_proc WHERE proowner = $1::text::regrole)"
        " + (SELECT count(*) FROM pg_namespace WHERE nspowner = $1::text::regrole)"
        " + (SELECT count(*) FROM pg_auth_members WHERE member = $1::text::regrole)",
        role,
    )
    assert owned == 0


async def test_D_01_D_11_only_electric_bypasses_row_level_security(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT rolname::text, rolreplication, rolbypassrls, rolsuper OR rolcreatedb OR rolcreaterole "
        "FROM pg_roles WHERE rolname = ANY($1) ORDER BY rolname",
        ROLES,
    )
    assert [tuple(row) for row in rows] == [
        ("app_rw", False, False, False),
        ("electric", True, True, False),
        ("shapegate_issuer", False, False, False),
        ("shapegate_proxy", False, False, False),
    ]


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_D_03_four_policies_confine_the_application_to_its_org(
    superuser: asyncpg.Connection, table: str
) -> None:
    rows = await superuser.fetch(
        "SELECT policyname::text, permissive, roles::text[], cmd, qual, with_check FROM pg_policies "
        "WHERE schemaname = 'public' AND tablename = $1 AND roles && '{app_rw,public}' ORDER BY cmd",
        table,
    )
    own = f"({ORG_COLUMNS[table]} = current_org_id())"
    only = ["app_rw"]
    assert [tuple(row) for row in rows] == [
        ("tenant_isolation_delete", "PERMISSIVE", only, "DELETE", own, None),
        ("tenant_isolation_insert", "PERMISSIVE", only, "INSERT", None, own),
        ("tenant_isolation_select", "PERMISSIVE", only, "SELECT", own, None),
        ("tenant_isolation_update", "PERMISSIVE", only, "UPDATE", own, own),
    ]


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_D_07_the_application_gets_four_verbs_and_no_more(
    superuser: asyncpg.Connection, table: str
) -> None:
    rows = await superuser.fetch(
        "SELECT a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a "
        "WHERE c.oid = format('public.%I', $1::text)::regclass AND a.grantee = 'app_rw'::regrole",
        table,
    )
    assert {row[0] for row in rows} == {"SELECT", "INSERT", "UPDATE", "DELETE"}


async def test_D_07_nothing_is_granted_to_everyone(superuser: asyncpg.Connection) -> None:
    granted = await superuser.fetch(
        "SELECT c.oid::regclass::text FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE a.grantee = 0 "
        "AND c.relnamespace IN ('public'::regnamespace, 'shapegate_auth'::regnamespace) "
        "UNION ALL "
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p, "
        "aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a "
        "WHERE a.grantee = 0 AND p.pronamespace = 'public'::regnamespace "
        "UNION ALL "
        "SELECT n.nspname || ' ' || a.privilege_type FROM pg_namespace AS n, aclexplode(n.nspacl) AS a "
        "WHERE a.grantee = 0 AND n.nspname IN ('public', 'shapegate_auth') AND a.privilege_type = 'CREATE'"
    )
    assert granted == []


async def test_D_06_functions_are_not_security_definers_and_fix_what_they_mean(
    superuser: asyncpg.Connection,
) -> None:
    """A function either has a search_path of its own or a body that was bound when it was created."""
    rows = await superuser.fetch(
        "SELECT proname::text, prosecdef, provolatile::text, "
        "proconfig = ARRAY['search_path=pg_catalog, pg_temp'] OR prosqlbody IS NOT NULL AS fixed "
        "FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname"
    )
    assert [tuple(row) for row in rows] == [
        ("current_org_id", False, "s", True),
        ("keep_organization", False, "v", True),
        ("keep_updated_at", False, "v", True),
        ("set_current_org_id", False, "v", True),
    ]


async def test_D_09_every_reference_between_rows_of_orgs_takes_the_org_along(
    superuser: asyncpg.Connection,
) -> None:
    """Only a membership refers to a user as such: it is what brings a user into an org."""
    rows = await superuser.fetch(
        "SELECT c.conname::text, c.confrelid::regclass::text AS parent, "
        "own.attname::text AS own, theirs.attname::text AS theirs, cardinality(c.conkey) AS width "
        "FROM pg_constraint AS c "
        "JOIN pg_attribute AS own ON own.attrelid = c.conrelid AND own.attnum = c.conkey[1] "
        "JOIN pg_attribute AS theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = c.confkey[1] "
        "WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace"
    )
    loose = {row["conname"] for row in rows if row["parent"] != "organizations" and row["width"] == 1}
    assert loose == {"memberships_user_id_fkey"}
    composite = [row for row in rows if row["width"] == 2]
    assert len(composite) == 12
    assert all(row["own"] == row["theirs"] == "organization_id" for row in composite)
    assert {row["conname"] for row in rows if row["parent"] == "organizations"} == {
        f"{table}_organization_id_fkey" for table in SCOPED
    }


async def test_every_uuid_column_that_names_another_row_is_a_foreign_key(
    superuser: asyncpg.Connection,
) -> None:
    rows = await superuser.fetch(
        "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute AS a "
        "JOIN pg_class AS c ON c.oid = a.attrelid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname LIKE '%\\_id' "
        "AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conrelid = a.attrelid "
        "AND a.attnum = ANY(f.conkey))"
    )
    assert rows == []


@pytest.mark.parametrize("table", SCOPED)
async def test_D_09_each_scoped_table_is_unique_and_indexed_by_org_first(
    superuser: asyncpg.Connection, table: str
) -> None:
    rows = await superuser.fetch(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1 ORDER BY indexdef",
        table,
    )
    definitions = [row["indexdef"].partition(" USING btree ")[::2] for row in rows]
    assert any("UNIQUE" in kind and columns == "(organization_id, id)" for kind, columns in definitions)
    other = {columns for _, columns in definitions if not columns.startswith("(organization_id")}
    assert other <= {"(id)", "(lower(email))", "(user_id)"}


async def test_the_planned_indexes_are_there_behind_the_org(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT tablename || substring(indexdef from '\\(.*') FROM pg_indexes WHERE schemaname = 'public'"
    )
    planned = {
        "controls": ("current_quadrant", "last_touched_at", "primary_provider_id"),
        "control_interactions": ("control_id", "user_id"),
        "quadrant_classifications": ("control_id",),
        "organizational_traces": ("control_id", "trace_type"),
        "competency_records": ("user_id", "control_id", "next_refresher_due"),
    }
    expected = {
        f"{table}(organization_id, {column})" for table, columns in planned.items() for column in columns
    }
    assert expected | {"organizations(slug)", "users(lower(email))"} <= {row[0] for row in rows}


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_D_10_triggers_keep_the_org_and_the_time_of_change(
    superuser: asyncpg.Connection, table: str
) -> None:
    rows = await superuser.fetch(
        "SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger "
        "WHERE tgrelid = format('public.%I', $1::text)::regclass AND NOT tgisinternal AND tgenabled = 'O' "
        "AND tgname LIKE 'keep_%'",
        table,
    )
    each_row = f"ON public.{table} FOR EACH ROW EXECUTE FUNCTION"
    expected = {f"CREATE TRIGGER keep_updated_at BEFORE UPDATE {each_row} keep_updated_at()"}
    if table in SCOPED:
        expected.add(
            f"CREATE TRIGGER keep_organization BEFORE INSERT OR UPDATE {each_row} keep_organization()"
        )
    assert {row["definition"] for row in rows} == expected


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("shapegate_auth.sessions", "UPDATE OF revoked_at"),
        ("public.memberships", "UPDATE OF status"),
        ("public.organizations", "UPDATE OF status"),
    ],
)
async def test_I_21_what_can_end_a_session_sends_a_notice(
    superuser: asyncpg.Connection, table: str, event: str
) -> None:
    (definition,) = await superuser.fetchrow(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::text::regclass "
        "AND tgname = 'notice_sessions' AND tgenabled = 'O'",
        table,
    ) or ("none",)
    assert definition == (
        f"CREATE TRIGGER notice_sessions AFTER DELETE OR {event} ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION shapegate_auth.notice_sessions()"
    )


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_times_are_instants_and_are_never_null(superuser: asyncpg.Connection, table: str) -> None:
    rows = await superuser.fetch(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = $1 "
        "AND (data_type LIKE 'timestamp%' OR column_name IN ('organization_id', 'id'))",
        table,
    )
    assert "timestamp without time zone" not in {row["data_type"] for row in rows}
    required = {row["column_name"] for row in rows if row["is_nullable"] == "NO"}
    assert {"id", "inserted_at", "updated_at", ORG_COLUMNS[table]} <= required


async def test_the_synced_tables_are_published_with_full_identity(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT p.tablename::text, c.relreplident::text FROM pg_publication_tables AS p "
        "JOIN pg_class AS c ON c.oid = format('%I.%I', p.schemaname, p.tablename)::regclass "
        "WHERE p.pubname = 'electric_publication_default'"
    )
    assert {row[0]: row[1] for row in rows} == dict.fromkeys(SYNCED, "f")


async def test_D_11_electric_may_read_the_synced_tables_and_nothing_else(
    superuser: asyncpg.Connection,
) -> None:
    rows = await superuser.fetch(
        "SELECT c.relname::text, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a "
        "WHERE a.grantee = 'electric'::regrole"
    )
    assert {(row[0], row[1]) for row in rows} == {(table, "SELECT") for table in SYNCED}


async def test_no_type_is_used_on_which_electric_cannot_filter(superuser: asyncpg.Connection) -> None:
    enums = await superuser.fetchval(
        "SELECT count(*) FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace"
    )
    generated = await superuser.fetchval("SELECT count(*) FROM pg_attribute WHERE attgenerated <> ''")
    assert (enums, generated) == (0, 0)
