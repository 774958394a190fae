"""The policy file and `confine`: what it does not name is refused, what it names is confined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.errors import ColumnNotAllowed, ConfigError, FilterNotAccepted, TableNotAllowed
from shapegate_proxy.policy import Policy, confine, parse_policy
from shapegate_wire.identifier import TableName
from shapegate_wire.offset import BEFORE_ALL
from shapegate_wire.request import ShapeRequest
from shapegate_wire.shape import ShapeDefinition
from tests.proxy.builders import ACME, GLOBEX, USER, policy, principal


def asked(**definition: object) -> ShapeRequest:
    return ShapeRequest(
        definition=ShapeDefinition(**{"table": "items", **definition}),  # type: ignore[arg-type]  # a table of cases
        offset=BEFORE_ALL,
    )


def test_P_09_the_org_is_a_parameter_and_never_text() -> None:
    confined = confine(principal(), asked(), policy())
    assert confined.where == '"organization_id" = $1'
    assert confined.params == (ACME,)


def test_I_01_each_org_gets_its_own_scope() -> None:
    assert confine(principal(org=GLOBEX), asked(), policy()).params == (GLOBEX,)


def test_a_scope_by_user_takes_the_user() -> None:
    assert confine(principal(), asked(table="notes"), policy()).params == (USER,)


def test_I_03_without_a_column_list_the_policy_lists_them() -> None:
    confined = confine(principal(), asked(), policy())
    assert confined.columns == confined.queryable_columns == ("id", "name", "organization_id")


def test_P_14_the_order_of_asked_columns_does_not_matter() -> None:
    first = confine(principal(), asked(columns=("name", "id")), policy())
    second = confine(principal(), asked(columns=("id", "name")), policy())
    assert first.columns == second.columns == ("id", "name")


@pytest.mark.parametrize("table", ["pg_catalog.pg_class", "secrets", '"Items"', "other.items", '"items "'])
def test_I_04_a_table_that_is_not_named_is_refused(table: str) -> None:
    with pytest.raises(TableNotAllowed):
        confine(principal(), asked(table=table), policy())


@pytest.mark.parametrize("table", ["items", "ITEMS", '"items"', "public.items", 'Public."items"'])
def test_I_04_every_spelling_of_a_named_table_is_the_same_table(table: str) -> None:
    assert confine(principal(), asked(table=table), policy()).table == TableName("public", "items")


@pytest.mark.parametrize("columns", [("id", "hidden"), ("*",), ("Id",), ("id", "ctid")])
def test_I_03_a_column_that_is_not_named_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(ColumnNotAllowed):
        confine(principal(), asked(columns=columns), policy())


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"where": "1=1) OR (1=1"}, "position"),
        ({"where": "true) OR (true"}, "position"),
        ({"where": "true OR organization_id <> $1", "params": ("x",)}, "position"),
        ({"where": "name = 'a' -- "}, "position"),
        ({"where": "hidden = 'a'"}, "hidden"),
        ({"where": "items::text = ''"}, "items"),
        ({"where": "id IN (SELECT id FROM items)"}, "position"),
        ({"where": "name = $2", "params": ("a", "b")}, "position"),
        ({"where": "name = 'a'", "params": ("b",)}, "position"),
        ({"params": ("x",)}, "no `where`"),
    ],
)
def test_I_02_P_10_a_filter_outside_of_the_grammar_is_refused(
    definition: dict[str, object], said: str
) -> None:
    with pytest.raises(FilterNotAccepted) as caught:
        confine(principal(), asked(**definition), policy())
    assert said in caught.value.message


def test_P_10_a_filter_is_printed_anew_behind_the_scope_with_parameters_only() -> None:
    definition = {"where": "NAME = 'x'' OR true' or name in ($1,$2)", "params": ("b", "a")}
    confined = confine(principal(), asked(**definition), policy())
    assert confined.where == '"organization_id" = $1 AND (("name" = $2) OR ("name" = ANY ($3)))'
    assert confined.params == (ACME, "x' OR true", "{a,b}")


@pytest.mark.parametrize(
    "where", ["true", "organization_id <> 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb' OR true"]
)
def test_I_01_a_wide_filter_stays_behind_the_scope(where: str) -> None:
    confined = confine(principal(), asked(where=where), policy())
    assert confined.where.startswith('"organization_id" = $1 AND ')
    assert " OR " not in confined.where.partition("(")[0]
    assert confined.params[0] == ACME


def entry(scope: str = 'scope = "org = {org}"', columns: str = 'org = "uuid"', name: str = "t") -> str:
    return f"version = 1\n[tables.{name}]\n{scope}\n[tables.{name}.columns]\n{columns}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version is None"),
        ("version = 1", "names no table"),
        ("version = 2\n[tables.t]", "version is 2"),
        ("version = 1\nextra = 1\n[tables.t]", "unknown key 'extra'"),
        ("version = [", "not TOML"),
        (entry(scope=""), "scope is None"),
        (entry(scope='scope = ""'), "scope is ''"),
        (entry(scope='scope = "true"'), "scope is 'true'"),
        (entry(scope='scope = "org = {org} OR true"'), "scope is 'org = {org} OR true'"),
        (entry(scope='scope = "org = {org} -- {org}"'), "scope is"),
        (entry(scope='scope = "a,org = {org}"'), "not in the column list"),
        (entry(scope='scope = "other = {org}"'), "'other' is not in the column list"),
        (entry(scope='scope = "org = {claims.org}"'), "scope is"),
        (entry(columns=""), "names no columns"),
        (entry(columns="org = 1"), "column 'org' has type 1"),
        (entry(columns='org = "uuid; drop"'), "column 'org' has type"),
        (entry(scope='scope = "org = {org}"\nroles = ["owner"]'), "unknown key 'roles'"),
        (entry(name='"a.b.c"'), "has 3 parts"),
        (entry() + entry(name='"public.t"').removeprefix("version = 1"), "named twice"),
    ],
)
def test_a_policy_with_a_problem_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("type_", ["numeric", "float8", "bpchar", "character(5)", "citext", "bool", "jsonb"])
def test_P_16_a_scope_column_must_compare_alike_everywhere(type_: str) -> None:
    with pytest.raises(ConfigError):
        parse_policy(entry(columns=f'org = "{type_}"'))


def test_all_problems_of_a_file_are_named_at_once() -> None:
    text = "version = 3\nextra = 1\n[tables.a]\nscope = 'x'\n[tables.b]\n"
    with pytest.raises(ConfigError) as caught:
        parse_policy(text)
    assert len(caught.value.problems) >= 5


@given(st.text(max_size=200))
def test_nothing_but_ConfigError_escapes_from_any_text(text: str) -> None:
    try:
        parsed = parse_policy(text)
    except ConfigError:
        return
    assert isinstance(parsed, Policy)


@given(st.text(max_size=80))
def test_any_scope_text_is_an_equality_or_refused(scope: str) -> None:
    quoted = scope.replace("\\", "\\\\").replace('"', '\\"')
    try:
        parsed = parse_policy(entry(scope=f'scope = "{quoted}"'))
    except ConfigError:
        return
    assert [table.scope.to_sql() for table in parsed.tables.values()] == ['"org" = $1']
