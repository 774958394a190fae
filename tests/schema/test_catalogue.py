"""What the migrations leave in Postgres' catalogue: the rules that hold for every table, asked of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.schema.tables import CONFINED, GENERATED, SCOPED, SYNCED, TABLES, TWO_PARTIES, Table

if TYPE_CHECKING:
    import asyncpg

ROLES = ["app_rw", "electric", "shapegate_issuer", "shapegate_proxy"]
LOOSE_REFERENCES = {
    "memberships_user_id_fkey": "it is what brings a user into an org",
    "nexus_tenant_relationships_client_id_fkey": "it is what brings two orgs together; not the application's",
    "nexus_tenant_relationships_vendor_id_fkey": "as the client's",
    "nexus_cases_assigned_to_fkey": "keep_people holds it to the parties",
    "nexus_cases_resolved_by_fkey": "keep_people holds it to the parties",
    "nexus_payments_reconciled_by_fkey": "keep_people holds it to the parties",
    "nexus_case_messages_case_id_fkey": "a message is whose its case is; the policies ask the case",
    "nexus_notifications_tenant_id_fkey": "the tenant is the org",
}
"""References between rows of orgs that take no org and no pair of parties along."""
NO_REFERENCES = {
    "sales_orders.customer_id": "of a system outside: there is no table of customers",
    "vendors.tax_id": "of the state",
    "nexus_case_messages.sender_context_id": "the insert policy holds it to the sender's side of the case",
    "nexus_notifications.context_id": "a label, whatever it points at",
    "nexus_notifications.reference_id": "a label, whatever it points at",
}
"""Columns that end in _id and are neither keys nor references."""
KEPT = {
    "nexus_tenants": "tenant_id tenant_client_id tenant_vendor_id",
    "nexus_users": "user_id tenant_id auth_user_id",
    "nexus_tenant_relationships": "client_id vendor_id",
    "nexus_cases": "case_id client_id vendor_id",
    "nexus_case_messages": (
        "message_id case_id sender_user_id sender_tenant_id sender_context sender_context_id"
    ),
    "nexus_invoices": "invoice_id client_id vendor_id",
    "nexus_payments": "payment_id from_id to_id",
    "nexus_notifications": "notification_id tenant_id user_id",
}
"""Where other columns than the org's say whose a row is: those that never change."""
PEOPLE = {
    "nexus_cases": "client_id vendor_id assigned_to resolved_by",
    "nexus_payments": "from_id to_id reconciled_by",
}
PARTIES = {("client_id", "vendor_id"), ("from_id", "to_id")}


async def test_the_tables_under_test_are_all_there_are(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT relname::text FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    ledgers = {"schema_migrations", "shapegate_migrations"}
    assert {row[0] for row in rows} == {table.name for table in TABLES} | ledgers


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


async def policies_of(superuser: asyncpg.Connection, table: Table) -> list[tuple[object, ...]]:
    rows = await superuser.fetch(
        "SELECT policyname::text, permissive, roles::text[], cmd, qual, with_check FROM pg_policies "
        "WHERE schemaname = 'public' AND tablename = $1 AND roles && '{app_rw,public}' ORDER BY cmd",
        table.name,
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("table", [table for table in CONFINED if table.name != "nexus_users"], ids=str)
async def test_D_03_four_policies_confine_the_application_to_its_org(
    superuser: asyncpg.Connection, table: Table
) -> None:
    own = f"({table.org_column} = current_org_id())"
    only = ["app_rw"]
    assert await policies_of(superuser, table) == [
        ("tenant_isolation_delete", "PERMISSIVE", only, "DELETE", own, None),
        ("tenant_isolation_insert", "PERMISSIVE", only, "INSERT", None, own),
        ("tenant_isolation_select", "PERMISSIVE", only, "SELECT", own, None),
        ("tenant_isolation_update", "PERMISSIVE", only, "UPDATE", own, own),
    ]


@pytest.mark.parametrize(
    "table", [table for table in TABLES if table in TWO_PARTIES or table.name == "nexus_users"], ids=str
)
async def test_D_03_where_no_one_column_says_whose_a_row_is_four_policies_ask_the_context(
    superuser: asyncpg.Connection, table: Table
) -> None:
    """What exactly they let through is asked by tests/schema/test_nexus.py."""
    found = await policies_of(superuser, table)
    assert [(name, kind, roles, verb) for name, kind, roles, verb, _, _ in found] == [
        (f"tenant_isolation_{verb.lower()}", "PERMISSIVE", ["app_rw"], verb)
        for verb in ("DELETE", "INSERT", "SELECT", "UPDATE")
    ]
    for _, _, _, verb, using, check in found:
        assert (using is None) == (verb == "INSERT")
        assert (check is None) == (verb in ("SELECT", "DELETE"))
        for condition in (using, check):
            assert (
                condition is None
                or any(
                    source in str(condition)
                    for source in (
                        "current_nexus_client_id()",
                        "current_nexus_tenant_id()",
                        "current_org_id()",
                    )
                    # The cases of the context are those that the policies of nexus_cases show.
                )
                or "FROM nexus_cases c" in str(condition)
            )


async def rights_of(superuser: asyncpg.Connection, table: Table) -> tuple[set[str], dict[str, set[str]]]:
    """The application's rights to the whole table, and to single columns by verb."""
    whole = await superuser.fetch(
        "SELECT a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a "
        "WHERE c.oid = format('public.%I', $1::text)::regclass AND a.grantee = 'app_rw'::regrole",
        table.name,
    )
    single = await superuser.fetch(
        "SELECT a.privilege_type, c.attname::text FROM pg_attribute AS c, aclexplode(c.attacl) AS a "
        "WHERE c.attrelid = format('public.%I', $1::text)::regclass AND a.grantee = 'app_rw'::regrole",
        table.name,
    )
    columns: dict[str, set[str]] = {}
    for verb, column in single:
        columns.setdefault(verb, set()).add(column)
    return {row[0] for row in whole}, columns


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_D_07_the_application_gets_the_verbs_it_needs_and_no_more(
    superuser: asyncpg.Connection, table: Table
) -> None:
    whole, columns = await rights_of(superuser, table)
    if table.deletes:
        assert (whole, columns) == ({"SELECT", "INSERT", "UPDATE", "DELETE"}, {})
        return
    assert whole == {"SELECT"}
    verbs = {"INSERT": table.inserts, "UPDATE": table.updates is not None}
    assert set(columns) == {verb for verb, granted in verbs.items() if granted}
    assert table.updates is None or table.updates in columns["UPDATE"]


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_I_24_what_is_unique_over_all_orgs_is_not_the_applications_to_choose(
    superuser: asyncpg.Connection, table: Table
) -> None:
    """A conflict would tell that a row of another org exists.

    What is left are the ids of rows that the application makes itself: random, so nobody guesses one.
    """
    rows = await superuser.fetch(
        "SELECT DISTINCT a.attname::text FROM pg_index AS i "
        "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indisunique AND i.indrelid = format('public.%I', $1::text)::regclass "
        "AND i.indnkeyatts = 1",
        table.name,
    )
    written = await superuser.fetch(
        "SELECT a.attname::text FROM pg_attribute AS a "
        "WHERE a.attrelid = format('public.%I', $1::text)::regclass AND a.attnum > 0 "
        "AND (has_column_privilege('app_rw', a.attrelid, a.attnum, 'INSERT') "
        "OR has_column_privilege('app_rw', a.attrelid, a.attnum, 'UPDATE'))",
        table.name,
    )
    unique = {row[0] for row in rows}
    assert "id" in unique
    assert unique & {row[0] for row in written} == ({"id"} if table.deletes else set())


@pytest.mark.parametrize("table", ["users", "memberships"])
async def test_I_24_users_and_memberships_are_read_only_for_the_application(
    superuser: asyncpg.Connection, table: str
) -> None:
    found = next(one for one in TABLES if one.name == table)
    assert await rights_of(superuser, found) == ({"SELECT"}, {})


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
    stable = "current_nexus_client_id current_nexus_tenant_id current_nexus_user_id current_nexus_vendor_id"
    volatile = (
        "confine_table fill_nexus_sender generate_nexus_id keep_home keep_nexus_columns keep_nexus_people "
        "keep_organization keep_tenant keep_updated_at set_current_org_id set_current_user_id"
    )
    assert [tuple(row) for row in rows] == sorted(
        [(name, False, "s", True) for name in (*stable.split(), "current_org_id", "current_user_id")]
        + [(name, False, "v", True) for name in volatile.split()]
    )


async def test_D_05_views_read_as_whoever_asks(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT relname::text, reloptions FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')"
    )
    assert {row[0]: row[1] for row in rows} == {"nexus_notification_counts": ["security_invoker=true"]}


async def test_D_09_every_reference_between_rows_of_orgs_takes_the_org_or_both_parties_along(
    superuser: asyncpg.Connection,
) -> None:
    rows = await superuser.fetch(
        "SELECT c.conname::text, c.confrelid::regclass::text AS parent, "
        "array(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (num, place) "
        "JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.place) AS own, "
        "array(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (num, place) "
        "JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.num ORDER BY k.place) AS theirs "
        "FROM pg_constraint AS c WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace"
    )
    loose = set()
    for row in rows:
        own, theirs = tuple(row["own"]), tuple(row["theirs"])
        by_org = own[0] in ("organization_id", "tenant_id", "sender_tenant_id") and len(own) == 2
        assert not by_org or theirs[0] in ("organization_id", "tenant_id")
        by_parties = own[-2:] in PARTIES
        assert not by_parties or theirs[-2:] == ("client_id", "vendor_id")
        if row["parent"] != "organizations" and not by_org and not by_parties:
            loose.add(row["conname"])
    assert loose == set(LOOSE_REFERENCES)
    assert {row["conname"] for row in rows if row["parent"] == "organizations"} == {
        f"{table}_{table.org_column}_fkey" for table in SCOPED
    }


async def test_every_column_that_names_another_row_is_a_foreign_key(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute AS a "
        "JOIN pg_class AS c ON c.oid = a.attrelid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname LIKE '%\\_id' "
        "AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conrelid = a.attrelid "
        "AND a.attnum = ANY(f.conkey)) "
        "AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique "
        "AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)"
    )
    assert {row[0] for row in rows} == set(NO_REFERENCES)


@pytest.mark.parametrize("table", [table for table in SCOPED if table.domain != "nexus"], ids=str)
async def test_D_09_each_scoped_table_is_unique_and_indexed_by_org_first(
    superuser: asyncpg.Connection, table: Table
) -> None:
    rows = await superuser.fetch(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1 ORDER BY indexdef",
        table.name,
    )
    definitions = [row["indexdef"].partition(" USING btree ")[::2] for row in rows]
    assert any("UNIQUE" in kind and columns == f"({table.org_column}, id)" for kind, columns in definitions)
    other = {columns for _, columns in definitions if not columns.startswith(f"({table.org_column}")}
    assert other <= {"(id)", "(lower(email))", "(user_id)"}


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("nexus_tenants", "organization_id"),
        ("nexus_users", "organization_id"),
        ("nexus_tenant_relationships", "client_id"),
        ("nexus_tenant_relationships", "vendor_id"),
        ("nexus_cases", "client_id"),
        ("nexus_cases", "vendor_id"),
        ("nexus_case_messages", "case_id"),
        ("nexus_invoices", "client_id"),
        ("nexus_invoices", "vendor_id"),
        ("nexus_payments", "from_id"),
        ("nexus_payments", "to_id"),
        ("nexus_notifications", "tenant_id"),
    ],
)
async def test_D_09_what_a_policy_compares_begins_an_index(
    superuser: asyncpg.Connection, table: str, column: str
) -> None:
    found = await superuser.fetchval(
        "SELECT count(*) FROM pg_index AS i "
        "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indrelid = format('public.%I', $1::text)::regclass AND a.attname = $2 AND i.indpred IS NULL",
        table,
        column,
    )
    assert found > 0


async def test_the_planned_indexes_are_there_behind_the_org(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT tablename || substring(indexdef from '\\(.*') FROM pg_indexes WHERE schemaname = 'public'"
    )
    planned = {
        "controls": "current_quadrant last_touched_at primary_provider_id",
        "control_interactions": "control_id user_id",
        "quadrant_classifications": "control_id",
        "organizational_traces": "control_id trace_type",
        "competency_records": "user_id control_id next_refresher_due",
        "service_level_agreements": "control_id provider_id",
        "risk_predictions": "control_id failure_probability",
        "products": "sku category",
        "purchase_orders": "po_number vendor_id status",
        "sales_orders": "so_number customer_id status",
        "inventory": "warehouse_location",
        "employees": "auth_user_id",
    }
    org_columns = {table.name: table.org_column for table in CONFINED}
    expected = {
        f"{table}({org_columns[table]}, {column})"
        for table, columns in planned.items()
        for column in columns.split()
    }
    expected |= {
        "organizations(slug)",
        "users(lower(email))",
        "vendors(tenant_id, lower((email)::text))",
        "employees(tenant_id, lower((email)::text))",
        "inventory(tenant_id, product_id, warehouse_location)",
    }
    assert expected <= {row[0] for row in rows}


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_D_10_triggers_keep_the_org_the_parties_and_the_time_of_change(
    superuser: asyncpg.Connection, table: Table
) -> None:
    rows = await superuser.fetch(
        "SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger "
        "WHERE tgrelid = format('public.%I', $1::text)::regclass AND NOT tgisinternal AND tgenabled = 'O' "
        "AND tgname LIKE 'keep_%'",
        table.name,
    )
    each_row = f"ON public.{table} FOR EACH ROW EXECUTE FUNCTION"
    expected = {f"CREATE TRIGGER keep_updated_at BEFORE UPDATE {each_row} keep_updated_at()"}
    if table in SCOPED:
        kept = "keep_tenant" if table.org_column == "tenant_id" else "keep_organization"
        kept = "keep_home" if table.name == "users" else kept
        expected.add(f"CREATE TRIGGER {kept} BEFORE INSERT OR UPDATE {each_row} {kept}()")
    if table.name in KEPT:
        columns = ", ".join(f"'{column}'" for column in KEPT[table.name].split())
        expected.add(f"CREATE TRIGGER keep_columns BEFORE UPDATE {each_row} keep_nexus_columns({columns})")
    if table.name in PEOPLE:
        columns = ", ".join(f"'{column}'" for column in PEOPLE[table.name].split())
        expected.add(
            f"CREATE TRIGGER keep_people BEFORE INSERT OR UPDATE {each_row} keep_nexus_people({columns})"
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


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_times_are_instants_and_are_never_null(superuser: asyncpg.Connection, table: Table) -> None:
    rows = await superuser.fetch(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = $1 "
        "AND (data_type LIKE 'timestamp%' OR column_name IN ('organization_id', 'tenant_id', 'id'))",
        table.name,
    )
    assert "timestamp without time zone" not in {row["data_type"] for row in rows}
    required = {row["column_name"] for row in rows if row["is_nullable"] == "NO"}
    made = "inserted_at" if table.domain in ("shared", "controls") else "created_at"
    assert {"id", made, "updated_at", table.org_column or "id"} <= required


async def test_the_synced_tables_are_published_with_full_identity(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT p.tablename::text, c.relreplident::text FROM pg_publication_tables AS p "
        "JOIN pg_class AS c ON c.oid = format('%I.%I', p.schemaname, p.tablename)::regclass "
        "WHERE p.pubname = 'electric_publication_default'"
    )
    assert {row[0]: row[1] for row in rows} == {table.name: "f" for table in SYNCED}


async def test_D_11_electric_may_read_the_synced_tables_and_nothing_else(
    superuser: asyncpg.Connection,
) -> None:
    rows = await superuser.fetch(
        "SELECT c.relname::text, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a "
        "WHERE a.grantee = 'electric'::regrole"
    )
    assert {(row[0], row[1]) for row in rows} == {(table.name, "SELECT") for table in SYNCED}


async def test_S_07_no_type_is_used_on_which_electric_cannot_filter(superuser: asyncpg.Connection) -> None:
    enums = await superuser.fetchval(
        "SELECT count(*) FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace"
    )
    assert enums == 0
    generated = await superuser.fetch(
        "SELECT attrelid::regclass::text, attname::text FROM pg_attribute WHERE attgenerated <> ''"
    )
    assert {tuple(row) for row in generated} == GENERATED
