"""A policy that does not fit its database is told so, table by table, before a request finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.agreement import compare, type_names
from shapegate_proxy.policy_file import parse_policy
from tests.proxy.catalogues import catalogue, column, items, table

if TYPE_CHECKING:
    from shapegate_proxy.catalogue import CatalogueTable

POLICY = parse_policy("""
version = 1
[tables.items]
scope = "organization_id = {org}"
[tables.items.columns]
id = "uuid"
organization_id = "uuid"
name = "text"
""")
ID, ORG, NAME = items().columns.values()


def test_a_policy_that_agrees_has_no_findings() -> None:
    assert compare(POLICY, catalogue(items())) == ()


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (table("other", ID, ORG, NAME), "is not in the database"),
        (items(kind="view"), "is a view"),
        (items(key=()), "has no primary key"),
        (items(key=("id", "part")), "its key part is not synced"),
        (table("items", ID, ORG), "has no column name"),
        (table("items", ID, ORG, column("name", "citext")), "it is 'citext' in the database"),
        (table("items", ID, column("organization_id", "text"), NAME), "it is 'text' in the database"),
        (table("items", ID, ORG, column("name", generated=True)), "is generated"),
        (table("items", ID, ORG, column("name", collation="ci", deterministic=False)), "LIKE can raise"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_S_07_S_08_P_16_a_problem_is_named(found: CatalogueTable, told: str) -> None:
    findings = compare(POLICY, catalogue(found))
    assert [finding for finding in findings if finding.is_problem and told in finding.text]


def test_S_07_postgres_18_replicates_generated_columns() -> None:
    generated = table("items", ID, ORG, column("name", generated=True))
    assert compare(POLICY, catalogue(generated, server_version=180_001)) == ()


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (items(sends_old_rows=False), "replica identity is not FULL"),
        (items(leading=frozenset({"id"})), "no index begins with it"),
        (table("items", ID, column("organization_id", "uuid", nullable=True), NAME), "may be NULL"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_costs_or_leaves_rows_out_is_a_warning(found: CatalogueTable, told: str) -> None:
    (finding,) = compare(POLICY, catalogue(found))
    assert not finding.is_problem
    assert told in finding.text


TWO_TEXTS = parse_policy("""
version = 1
[tables.items]
scope = "organization_id = {org}"
[tables.items.columns]
id = "uuid"
name = "text"
title = "text"
[tables.items.hidden]
organization_id = "uuid"
""")


def test_I_06_columns_of_differing_collations_are_a_problem_since_comparing_them_raises() -> None:
    differing = table("items", ID, ORG, NAME, column("title", collation="de-x-icu"))
    (finding,) = compare(TWO_TEXTS, catalogue(differing))
    assert finding.is_problem
    assert "de-x-icu" in finding.text
    assert compare(TWO_TEXTS, catalogue(table("items", ID, ORG, NAME, column("title")))) == ()


WITHIN = parse_policy("""
version = 1
[tables.items]
scope = "case_id IN (SELECT id FROM cases WHERE org_id = {org}) AND (owner = {user} OR owner IS NULL)"
[tables.items.columns]
id = "uuid"
case_id = "uuid"
owner = "uuid"
[lookups.cases]
id = "uuid"
org_id = "uuid"
""")


def test_tables_that_scopes_read_are_compared_too() -> None:
    read = table("items", ID, column("case_id", "uuid"), column("owner", "uuid", nullable=True))
    texts = [finding.text for finding in compare(WITHIN, catalogue(read))]
    assert "is not in the database: expected a table of this schema and name" in texts
    cases = table("cases", column("id", "uuid"), column("org_id", "text"))
    texts = [finding.text for finding in compare(WITHIN, catalogue(read, cases))]
    assert "org_id has type 'uuid': it is 'text' in the database" in texts


def test_a_column_whose_NULL_is_selected_is_no_warning() -> None:
    read = table(
        "items",
        ID,
        column("case_id", "uuid"),
        column("owner", "uuid", nullable=True),
        leading=frozenset({"id", "case_id", "owner"}),
    )
    cases = table("cases", column("id", "uuid"), column("org_id", "uuid"))
    assert compare(WITHIN, catalogue(read, cases)) == ()


def test_an_index_for_one_part_of_AND_is_enough_and_OR_needs_one_for_each() -> None:
    scoped = 'version = 1\n[tables.items]\nscope = "{}"\n[tables.items.columns]\n'
    columns = 'id = "uuid"\norganization_id = "uuid"\nowner = "uuid"\n'
    read = catalogue(table("items", ID, ORG, column("owner", "uuid", nullable=True)))
    every = "organization_id = {org} AND (owner = {user} OR owner IS NULL)"
    assert compare(parse_policy(scoped.format(every) + columns), read) == ()
    either = "(organization_id = {org} OR owner = {user}) AND true"
    texts = [finding.text for finding in compare(parse_policy(scoped.format(either) + columns), read)]
    assert len(texts) == 2
    assert texts[1].startswith("owner scopes it and no index begins with it")


def test_every_type_that_a_policy_spells_is_looked_up() -> None:
    assert type_names(TWO_TEXTS) == {"uuid", "text"}
    assert type_names(WITHIN) == {"uuid"}
