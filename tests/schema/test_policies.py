"""The policy files: their format, and that each says what the catalogue of a migrated database says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from shapegate_schema.domains import domain_names, policy_file
from tests.schema.tables import GENERATED, HIDDEN, SYNCED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

TABLE_KEYS = {"scope", "columns", "roles", "limits"}
ROLES = {"owner", "admin", "member", "viewer"}
PARTIES = "({0}_id = {{claims.client}} OR {1}_id = {{claims.vendor}})"
SCOPES = {
    "organizations": "id = {org}",
    "nexus_tenant_relationships": f"{PARTIES.format('client', 'vendor')} AND true",
    "nexus_cases": f"{PARTIES.format('client', 'vendor')} AND true",
    "nexus_invoices": f"{PARTIES.format('client', 'vendor')} AND true",
    "nexus_payments": f"{PARTIES.format('from', 'to')} AND true",
    "nexus_notifications": "tenant_id = {claims.tenant} AND (user_id = {user} OR user_id IS NULL)",
    "nexus_case_messages": (
        "case_id IN (SELECT case_id FROM nexus_cases "
        "WHERE client_id = {claims.client} OR vendor_id = {claims.vendor})"
    ),
}
"""Where another condition than `<org column> = {org}` scopes a table."""
CATALOGUE = """
SELECT p.tablename::text AS table, a.attname::text AS column,
       CASE WHEN t.typcategory = 'A' THEN e.typname || '[]' ELSE t.typname END AS type,
       EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary
               AND a.attnum = ANY(i.indkey)) AS in_key
FROM pg_publication_tables AS p
JOIN pg_attribute AS a ON a.attrelid = format('%I.%I', p.schemaname, p.tablename)::regclass
    AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS e ON e.oid = t.typelem
WHERE p.pubname = 'electric_publication_default'
ORDER BY p.tablename, a.attnum
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a policy file says of one table."""

    scope: str
    columns: Mapping[str, str]
    roles: tuple[str, ...] | None
    limits: Mapping[str, object]


def load_policy(domain: str) -> dict[str, Entry]:
    content = tomllib.loads(policy_file(domain).read_text(encoding="utf-8"))
    assert set(content) == {"version", "tables"}
    assert content["version"] == 1
    entries: dict[str, Entry] = {}
    for name, table in content["tables"].items():
        assert set(table) <= TABLE_KEYS
        entries[name] = Entry(
            scope=table["scope"],
            columns=table["columns"],
            roles=tuple(table["roles"]) if "roles" in table else None,
            limits=table.get("limits", {}),
        )
    return entries


def tables_of(domain: str) -> list[str]:
    return [table.name for table in SYNCED if table.domain in ("shared", domain)]


@pytest.mark.parametrize("domain", domain_names())
def test_a_policy_names_the_tables_of_its_domain_and_scopes_each_as_its_rows_belong(domain: str) -> None:
    by_org = {table.name: f"{table.org_column} = {{org}}" for table in SYNCED if table.org_column}
    assert {name: entry.scope for name, entry in load_policy(domain).items()} == {
        name: SCOPES.get(name) or by_org[name] for name in tables_of(domain)
    }


@pytest.mark.parametrize("domain", domain_names())
def test_roles_and_limits_are_of_the_known_kinds(domain: str) -> None:
    for entry in load_policy(domain).values():
        assert entry.roles is None or (entry.roles and set(entry.roles) <= ROLES)
        assert set(entry.limits) <= {"shapes_per_hour"}
        assert all(type(limit) is int and limit > 0 for limit in entry.limits.values())


@pytest.mark.parametrize("domain", domain_names())
async def test_I_03_a_policy_is_what_the_catalogue_says_but_for_the_hidden_columns(
    superuser: asyncpg.Connection, domain: str
) -> None:
    expected: dict[str, dict[str, str]] = {name: {} for name in tables_of(domain)}
    for row in await superuser.fetch(CATALOGUE):
        if row["table"] in expected and row["column"] not in HIDDEN.get(row["table"], ()):
            expected[row["table"]][row["column"]] = row["type"]
    assert {name: entry.columns for name, entry in load_policy(domain).items()} == expected


async def test_I_03_every_hidden_column_exists_and_generated_ones_are_hidden(
    superuser: asyncpg.Connection,
) -> None:
    hidden = {(table, column) for table, columns in HIDDEN.items() for column in columns}
    assert hidden >= GENERATED
    rows = await superuser.fetch(CATALOGUE)
    assert hidden <= {(row["table"], row["column"]) for row in rows}
    assert not hidden & {(row["table"], row["column"]) for row in rows if row["in_key"]}


@pytest.mark.parametrize("domain", domain_names())
async def test_P_16_no_policy_scopes_by_a_type_on_which_electric_errs(
    superuser: asyncpg.Connection, domain: str
) -> None:
    """Numeric, float and char(n) compare differently in Electric's snapshot and in its log."""
    types = {(row["table"], row["column"]): row["type"] for row in await superuser.fetch(CATALOGUE)}
    for name, entry in load_policy(domain).items():
        compared = re.findall(r"(\w+) (?:=|IN|IS)", entry.scope)
        assert compared
        for column in compared:
            # The parties within the sub-select are those of the parent.
            table = "nexus_cases" if (name, column) not in types else name
            assert types[table, column] in ("uuid", "text")
            assert table != name or column in entry.columns
