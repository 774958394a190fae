from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from shapegate_schema.domains import domain_names, migration_sets, policy_file, read_set, seed_scripts
from shapegate_schema.errors import UnknownDomain
from tests.schema.tables import SYNCED

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

CATALOGUE = """
SELECT p.tablename, a.attname, t.typname,
       EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary
               AND a.attnum = ANY(i.indkey)) AS in_key
FROM pg_publication_tables AS p
JOIN pg_attribute AS a ON a.attrelid = format('%I.%I', p.schemaname, p.tablename)::regclass
    AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE p.pubname = 'electric_publication_default'
ORDER BY p.tablename, a.attnum
"""


def load_policy(domain: str) -> dict[str, dict[str, object]]:
    content = tomllib.loads(policy_file(domain).read_text(encoding="utf-8"))
    assert content["version"] == 1
    tables: dict[str, dict[str, object]] = content["tables"]
    return tables


def test_controls_is_shipped() -> None:
    assert "controls" in domain_names()


@pytest.mark.parametrize("name", ["", "nope", ".", "..", "../migrations", "controls/", "CONTROLS"])
def test_a_domain_that_is_not_shipped_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownDomain, match=r"there are .*controls"):
        policy_file(name)
    with pytest.raises(UnknownDomain):
        migration_sets(name)
    with pytest.raises(UnknownDomain):
        seed_scripts(name)


def test_the_shared_set_comes_first() -> None:
    assert [one.name for one in migration_sets("controls")] == ["shared", "controls"]


def test_a_folder_gives_its_sql_files_but_not_the_seed(tmp_path: Path) -> None:
    for name in ("2_b.sql", "1_a.sql", "seed.sql", "policy.toml", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    files = read_set("any", tmp_path).files
    assert [(file.name, file.content) for file in files] == [("1_a.sql", b"1_a.sql"), ("2_b.sql", b"2_b.sql")]


def test_the_policy_names_the_synced_tables_and_scopes_each_by_the_org_alone() -> None:
    scopes = {name: table["scope"] for name, table in load_policy("controls").items()}
    expected = dict.fromkeys(SYNCED, "organization_id = {org}")
    assert scopes == {**expected, "organizations": "id = {org}"}


async def test_the_policy_is_what_the_catalogue_says(superuser: asyncpg.Connection) -> None:
    catalogue: dict[str, dict[str, str]] = {}
    for row in await superuser.fetch(CATALOGUE):
        catalogue.setdefault(row["tablename"], {})[row["attname"]] = row["typname"]
    policy = {name: table["columns"] for name, table in load_policy("controls").items()}
    assert policy == catalogue


async def test_the_policy_has_every_primary_key(superuser: asyncpg.Connection) -> None:
    keys = {(row["tablename"], row["attname"]) for row in await superuser.fetch(CATALOGUE) if row["in_key"]}
    assert {table for table, _ in keys} == set(SYNCED)
    columns = {
        (name, column)
        for name, table in load_policy("controls").items()
        for column in list_of(table["columns"])
    }
    assert keys <= columns


async def test_the_policy_does_not_scope_by_a_type_on_which_electric_errs(
    superuser: asyncpg.Connection,
) -> None:
    """P-16: numeric, float and char(n) compare differently in Electric's snapshot and in its log."""
    scopes = {name: str(table["scope"]).partition(" ")[0] for name, table in load_policy("controls").items()}
    types = {(row["tablename"], row["attname"]): row["typname"] for row in await superuser.fetch(CATALOGUE)}
    assert {types[scope] for scope in scopes.items()} == {"uuid"}


def list_of(columns: object) -> list[str]:
    assert isinstance(columns, dict)
    return list(columns)
