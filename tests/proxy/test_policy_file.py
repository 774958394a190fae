"""The policy file: what it may say, and every problem of it at once with its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_proxy.errors import ConfigError
from shapegate_proxy.policy import Policy, TableLimits
from shapegate_proxy.policy_file import LIMIT_MAX, parse_policy
from shapegate_schema.domains import domain_names, policy_file
from shapegate_wire.identifier import TableName
from tests.refusals import Refusal, told_otherwise

WHOLE = """
version = 1

[tables.messages]
scope = "case_id IN (SELECT case_id FROM cases WHERE client = {claims.client}) AND room IN (SELECT room \
FROM rooms WHERE member = {user})"
roles = ["owner", "admin"]
[tables.messages.columns]
id = "uuid"
case_id = "text"
sent_at = "timestamp(6) without time zone"
amount = "numeric(12,2)"
tags = "character varying(20)[]"
mood = "public.mood"
"Mixed Case" = "text"
[tables.messages.hidden]
room = "int8"
[tables.messages.limits]
shapes_per_hour = 50
subset_rows = 1_000

[tables."Public.cases"]
scope = "(client = {claims.client} OR owner = {user}) AND deleted_at IS NULL"
columns = { id = "uuid", case_id = "text" }
hidden = { client = "text", owner = "uuid", deleted_at = "timestamptz" }

[lookups.rooms]
room = "bigint"
member = "text"
"""
MESSAGES, CASES, ROOMS = (TableName("public", name) for name in ("messages", "cases", "rooms"))


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, source="policy.toml")
    return caught.value.problems


def test_a_file_is_read_whole() -> None:
    policy = parse_policy(WHOLE)
    messages, cases = policy.tables[MESSAGES], policy.tables[CASES]
    assert policy.tables.keys() == {MESSAGES, CASES}
    assert messages.scope.sql == (
        '"case_id" IN (SELECT "case_id" FROM "public"."cases" WHERE "client" = $1)'
        ' AND "room" IN (SELECT "room" FROM "public"."rooms" WHERE "member" = $2)'
    )
    assert list(messages.columns) == ["id", "case_id", "sent_at", "amount", "tags", "mood", "Mixed Case"]
    assert messages.hidden == {"room": "int8"}
    assert messages.roles == frozenset({"owner", "admin"})
    assert messages.limits == TableLimits(shapes_per_hour=50, subset_rows=1_000)
    assert cases.scope.sql == '("client" = $1 OR "owner" = $2) AND "deleted_at" IS NULL'
    assert (cases.roles, cases.limits) == (None, TableLimits())
    assert policy.lookups == {ROOMS: {"room": "bigint", "member": "text"}}


@pytest.mark.parametrize("domain", domain_names())
def test_the_policies_of_the_example_domains_are_accepted(domain: str) -> None:
    policy = parse_policy(policy_file(domain).read_text(encoding="utf-8"))
    assert all(table.scope.compared for table in policy.tables.values())


def test_I_01_the_example_domains_have_every_kind_of_scope() -> None:
    texts = {
        table.scope.sql
        for domain in domain_names()
        for table in parse_policy(policy_file(domain).read_text(encoding="utf-8")).tables.values()
    }
    kinds = [
        r'"organization_id" = \$1',
        r'"tenant_id" = \$1',
        r'"id" = \$1',
        r'\("client_id" = \$1 OR "vendor_id" = \$2\) AND true',
        r'"tenant_id" = \$1 AND \("user_id" = \$2 OR "user_id" IS NULL\)',
        r'"case_id" IN \(SELECT "case_id" FROM "public"."nexus_cases" WHERE \(.*\)\)',
    ]
    assert [kind for kind in kinds if not any(re.fullmatch(kind, text) for text in texts)] == []


def entry(scope: str = 'scope = "org = {org}"', columns: str = 'org = "uuid"') -> str:
    return f"version = 1\n[tables.t]\n{scope}\n[tables.t.columns]\n{columns}\n"


def test_P_02_all_problems_of_a_policy_are_told_whole_each_with_its_line() -> None:
    def told(case: Refusal) -> str:
        return "\n".join(problems(case.text))

    assert told_otherwise(Path(__file__).with_name("policy_refusals.jsonl"), told) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = [", r"policy\.toml: is not TOML: [^(]* \(at end of document\)"),
        ("version = 1\nversion 2", r"policy\.toml:2: is not TOML: [^(]* at column 9"),
        ("version = 1 \u0007", r"policy\.toml:1: is not TOML: [^(]* at column 13"),
        ("a = " + "[" * 5_000, r"policy\.toml: is .*"),
    ],
)
def test_what_is_no_TOML_is_refused_where_it_stands(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert re.fullmatch(said, problem)


def test_a_file_without_a_name_is_called_policy() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy("version = 1")
    assert caught.value.problems == ("policy:1: names no table: expected at least one [tables.<name>]",)


@pytest.mark.parametrize("value", [1, LIMIT_MAX])
def test_I_08_limits_at_their_bounds_are_taken(value: int) -> None:
    limits = f"[tables.t.limits]\nshapes_per_hour = {value}\nsubset_rows = {value}"
    (table,) = parse_policy(entry() + limits).tables.values()
    assert table.limits == TableLimits(shapes_per_hour=value, subset_rows=value)


@pytest.mark.parametrize("type_", ["numeric", "float8", "bpchar", "character(5)", "citext", "bool", "jsonb"])
def test_P_16_a_scope_column_must_compare_alike_everywhere(type_: str) -> None:
    assert "do not compare alike" in problems(entry(columns=f'org = "{type_}"'))[0]


@pytest.mark.parametrize("ending", ["LIMIT 1", "OFFSET 1", "FETCH FIRST ROW ONLY", "UNION SELECT 1", "-- x"])
def test_P_17_a_scope_with_a_clause_or_a_comment_is_refused(ending: str) -> None:
    assert "at position 12" in problems(entry(scope=f'scope = "org = {{org}} {ending}"'))[0]


def test_a_long_value_is_shown_cut() -> None:
    assert all(len(problem) < 250 for problem in problems(entry(columns=f'org = "{"x" * 5_000}"')))


@given(st.text(max_size=200))
def test_nothing_but_ConfigError_escapes_from_any_text(text: str) -> None:
    try:
        parsed = parse_policy(text)
    except ConfigError:
        return
    assert isinstance(parsed, Policy)


_VALUES = st.recursive(
    st.sampled_from(['"org = {org}"', '"uuid"', '"x"', "1", "true", "1.5", "1979-05-27", '"""\n"""']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[\n{', '.join(items)}]")
        | st.builds(lambda key, item: f"{{ {key} = {item} }}", st.sampled_from(["org", "id"]), inner)
    ),
    max_leaves=3,
)
_LINES = st.one_of(
    st.builds(
        lambda key, value: f"{key} = {value}",
        st.sampled_from(
            ["version", "scope", "roles", "columns", "hidden", "limits.subset_rows", "org", '""']
        ),
        _VALUES,
    ),
    st.sampled_from(
        [
            "[tables]",
            "[tables.t]",
            '[tables."T"]',
            "[tables.t.columns]",
            "[[tables.u]]",
            "[lookups.u]",
            "# x",
            "[x]",
        ]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_LINES, max_size=10))
def test_every_problem_of_any_document_names_a_line_of_it(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        tomllib.loads(text)
        parse_policy(text, source="policy.toml")
    except tomllib.TOMLDecodeError:
        return
    except ConfigError as exc:
        for problem in exc.problems:
            matched = re.match(r"policy\.toml:([0-9]+): .", problem)
            assert matched is not None
            assert 1 <= int(matched[1]) <= text.count("\n") + 1
