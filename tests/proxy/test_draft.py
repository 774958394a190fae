"""A drafted policy can be read, grants no more than is safe, and says why it leaves something out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.agreement import compare
from shapegate_proxy.catalogue import Catalogue, CatalogueColumn, CatalogueTable
from shapegate_proxy.draft import draft_policy
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.policy_file import parse_policy
from shapegate_wire.identifier import TableName
from tests.proxy.catalogues import TYPE_IDS, catalogue, column, items, table

ITEMS = TableName(schema="public", name="items")


def test_a_table_with_an_org_column_is_scoped_by_it() -> None:
    drafted = parse_policy(draft_policy(catalogue(items())))
    assert drafted.tables[ITEMS].scope.sql == '"organization_id" = $1'
    assert dict(drafted.tables[ITEMS].columns) == {"id": "uuid", "organization_id": "uuid", "name": "text"}


def test_the_table_that_org_columns_refer_to_is_scoped_by_its_key() -> None:
    home = table("organizations", column("id", "uuid"), column("name"))
    drafted = parse_policy(
        draft_policy(catalogue(home, items(references={"organization_id": "organizations"})))
    )
    assert drafted.tables[home.table].scope.sql == '"id" = $1'


def test_another_org_column_can_be_named() -> None:
    other = table("jobs", column("id", "uuid"), column("Team", "uuid"))
    drafted = parse_policy(draft_policy(catalogue(other), org_columns=("Team",)))
    assert drafted.tables[other.table].scope.sql == '"Team" = $1'


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (table("report", column("id", "uuid"), column("organization_id", "uuid"), kind="view"), "is a view"),
        (table("bare", column("organization_id", "uuid"), key=()), "no primary key"),
        (table("countries", column("id", "int8")), "no column organization_id or org_id or tenant_id"),
        (table("odd", column("id", "int8"), column("org_id", "numeric")), "of a type that a scope compares"),
        (table('"new\nline = 1"', column("id", "Odd"), column("org_id", "uuid")), "cannot spell"),
    ],
    ids=["view", "no key", "no org column", "org column of numeric", "type with capitals"],
)
def test_what_cannot_be_synced_is_a_comment_with_its_reason(left_out: CatalogueTable, reason: str) -> None:
    text = draft_policy(catalogue(left_out, items()))
    assert list(parse_policy(text).tables) == [ITEMS]
    assert [line for line in text.splitlines() if line.startswith("# [tables.") and reason in line]


@pytest.mark.parametrize(
    ("risky", "reason"),
    [
        (column("password_hash"), "looks like a secret"),
        (column("api_key"), "looks like a secret"),
        (column("total", "int8", generated=True), "does not replicate"),
        (column("title", collation="ci", deterministic=False), "not deterministic"),
        (column("mood", "Mood"), "cannot be spelled"),
    ],
    ids=lambda value: value.name if isinstance(value, CatalogueColumn) else "",
)
def test_I_03_a_risky_column_is_a_comment_with_its_reason(risky: CatalogueColumn, reason: str) -> None:
    risky_table = table("items", column("id", "uuid"), column("organization_id", "uuid"), risky)
    text = draft_policy(catalogue(risky_table))
    assert risky.name not in parse_policy(text).tables[ITEMS].columns
    assert [line for line in text.splitlines() if line.startswith(f"# {risky.name}") and reason in line]


def test_S_07_a_generated_column_is_synced_where_postgres_replicates_it() -> None:
    total = table("items", *items().columns.values(), column("total", "int8", generated=True))
    drafted = parse_policy(draft_policy(catalogue(total, server_version=180_000)))
    assert "total" in drafted.tables[ITEMS].columns


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
COLUMNS = st.builds(
    column,
    NAMES,
    st.one_of(st.sampled_from(sorted(TYPE_IDS)), NAMES),
    nullable=st.booleans(),
    generated=st.booleans(),
    deterministic=st.booleans(),
)


@st.composite
def tables(draw: st.DrawFn) -> CatalogueTable:
    key = draw(st.sampled_from(["uuid", "int8", "Odd", "mood"]))
    own = [column("id", key), column("org_id", draw(st.sampled_from(["uuid", "text", "citext"])))]
    columns = {each.name: each for each in [*own, *draw(st.lists(COLUMNS, max_size=4))]}
    return CatalogueTable(
        table=TableName(schema=draw(st.sampled_from(["public", "Odd one"])), name=draw(NAMES)),
        kind=draw(st.sampled_from(["table", "partitioned table", "view"])),
        columns=columns,
        key=("id",),
        leading=frozenset(),
        sends_old_rows=draw(st.booleans()),
        references={},
    )


@given(st.lists(tables(), max_size=4), st.sampled_from([150_000, 180_000]))
def test_any_catalogue_is_drafted_into_a_policy_that_agrees_with_it(
    found: list[CatalogueTable], server_version: int
) -> None:
    seen: Catalogue = catalogue(*found, server_version=server_version)
    text = draft_policy(seen)
    if "\n[tables." not in text:
        with pytest.raises(ConfigError, match="names no table"):
            parse_policy(text)
        return
    drafted = parse_policy(text)
    for granted in drafted.tables.values():
        columns = seen.tables[granted.table].columns
        assert {name: columns[name].type for name in granted.columns} == dict(granted.columns)
    known = {each.type: each.type_id for item in found for each in item.columns.values()}
    typed = Catalogue(server_version=server_version, tables=seen.tables, type_ids=known)
    assert [finding.text for finding in compare(drafted, typed) if finding.is_problem] == []
