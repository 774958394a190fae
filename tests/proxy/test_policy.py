"""`confine`: what the policy does not name is refused, what it names is confined."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.errors import (
    ColumnNotAllowed,
    FilterNotAccepted,
    MissingClaim,
    Refused,
    SubsetTooLarge,
    TableNotAllowed,
)
from shapegate_proxy.policy import ConfinedRequest, TableLimits, confine
from shapegate_proxy.policy_file import parse_policy
from shapegate_proxy.subset import ConfinedSubset
from shapegate_wire.identifier import TableName
from shapegate_wire.offset import BEFORE_ALL
from shapegate_wire.request import ShapeRequest
from shapegate_wire.shape import ShapeDefinition
from shapegate_wire.subset import SubsetRequest
from tests.proxy.builders import ACME, GLOBEX, USER, policy, principal

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = parse_policy("""
version = 1

[tables.cases]
scope = "(client = {claims.client} OR vendor = {claims.vendor}) AND true"
[tables.cases.columns]
id = "uuid"
subject = "text"
[tables.cases.hidden]
client = "text"
vendor = "text"
[tables.cases.limits]
subset_rows = 10

[tables.staff]
scope = "org = {org}"
roles = ["owner", "admin"]
columns = { org = "uuid" }
""")
BOTH = principal(named={"client": "TC-1", "vendor": "TV-1"})


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
    with pytest.raises(ColumnNotAllowed) as caught:
        confine(principal(), asked(columns=columns), policy())
    assert caught.value.message == "A column of `columns` is not synced"


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
    ],
)
def test_I_02_P_10_a_filter_outside_of_the_grammar_is_refused(
    definition: dict[str, object], said: str
) -> None:
    with pytest.raises(FilterNotAccepted) as caught:
        confine(principal(), asked(**definition), policy())
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ({"where": "name = 1"}, "where, at position 7: '1': expected a constant of type text; quote a text"),
        ({"params": ("x",)}, "There are `params` but no `where` that uses them"),
    ],
)
def test_a_refused_filter_is_told_with_its_place(definition: dict[str, object], told: str) -> None:
    with pytest.raises(FilterNotAccepted) as caught:
        confine(principal(), asked(**definition), policy())
    assert caught.value.message == told


def test_P_10_I_08_a_search_too_costly_for_a_shape_is_refused_and_granted_to_a_subset() -> None:
    costly = "name LIKE '%a%b%'"
    with pytest.raises(FilterNotAccepted) as caught:
        confine(principal(), asked(where=costly), policy())
    assert caught.value.message == (
        "where, the pattern '%a%b%' has 2 % before its end: "
        "expected at most 1 in the filter of a shape; a subset may have ten"
    )
    request = replace(asked(where="name LIKE '%a%'"), subset=SubsetRequest(where=costly))
    assert confine(principal(), request, policy()).subset == ConfinedSubset(
        printed=SubsetRequest(where='("name" LIKE $1)', params=("%a%b%",))
    )
    with pytest.raises(FilterNotAccepted):
        confine(principal(), replace(asked(where=costly), subset=SubsetRequest(where="true")), policy())


def test_I_08_a_subset_is_bounded_by_its_tables_limits() -> None:
    for limit in (None, 11):
        request = replace(case(), subset=SubsetRequest(order_by="id", limit=limit))
        with pytest.raises(SubsetTooLarge, match="at most 10 rows"):
            confine(BOTH, request, CASES)
        unbounded = replace(asked(), subset=request.subset)
        assert confine(principal(), unbounded, policy()).subset is not None


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


def case(**definition: object) -> ShapeRequest:
    return asked(table="cases", **definition)


def test_I_11_a_filter_is_added_behind_a_scope_with_an_OR() -> None:
    confined = confine(BOTH, case(where="subject = 'a' OR subject = 'b'"), CASES)
    assert confined.where == (
        '("client" = $1 OR "vendor" = $2) AND true AND (("subject" = $3) OR ("subject" = $4))'
    )
    assert confined.params == ("TC-1", "TV-1", "a", "b")
    assert confined.limits == TableLimits(subset_rows=10)


def test_P_15_a_scope_is_one_text_with_and_without_a_filter() -> None:
    bare, filtered = confine(BOTH, case(), CASES), confine(BOTH, case(where="true"), CASES)
    assert filtered.where == f"{bare.where} AND true"
    assert filtered.params == bare.params == ("TC-1", "TV-1")


@pytest.mark.parametrize("named", [{}, {"client": "TC-1"}, {"client": "TC-1", "vendor": ""}])
def test_P_02_I_01_a_missing_claim_is_no_row_and_not_half_of_the_scope(named: dict[str, str]) -> None:
    with pytest.raises(MissingClaim):
        confine(principal(named=named), case(), CASES)


@pytest.mark.parametrize(
    "definition",
    [
        lambda name: {"columns": ("id", name)},
        lambda name: {"where": f"{name} = 'TC-2'"},
        lambda name: {"where": f"subject = 'a' OR {name} IS NULL"},
    ],
)
def test_I_03_a_hidden_column_of_a_scope_answers_like_one_that_is_not_there(
    definition: Callable[[str], dict[str, object]],
) -> None:
    def refusal(name: str) -> tuple[type[Refused], str]:
        with pytest.raises((ColumnNotAllowed, FilterNotAccepted)) as caught:
            confine(BOTH, case(**definition(name)), CASES)
        return type(caught.value), caught.value.message.replace(name, "...")

    assert refusal("client") == refusal("nobody")


def test_I_03_hidden_columns_are_sent_in_no_list() -> None:
    confined = confine(BOTH, case(), CASES)
    assert confined.columns == confined.queryable_columns == ("id", "subject")


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_a_role_that_is_listed_may_sync_the_table(role: str) -> None:
    assert confine(principal(role=role), asked(table="staff"), CASES).params == (ACME,)


@pytest.mark.parametrize("role", [None, "", "member", "OWNER", "owner,admin"])
@pytest.mark.parametrize(
    "definition", [{}, {"where": "no filter at all"}, {"columns": ("hidden",)}, {"params": ("x",)}]
)
def test_I_04_I_05_a_table_for_other_roles_answers_like_one_that_is_not_there(
    role: str | None, definition: dict[str, object]
) -> None:
    def refusal(table: str) -> tuple[type[Refused], str]:
        with pytest.raises(Refused) as caught:
            confine(principal(role=role), asked(table=table, **definition), CASES)
        return type(caught.value), caught.value.message

    assert refusal("staff") == refusal("nothing") == (TableNotAllowed, "This table is not synced")


def test_the_whole_of_a_confined_request_is_the_policys_but_for_what_was_asked() -> None:
    caller, request = principal(named={"client": "TC-1", "vendor": "TV-1"}), case(columns=("subject",))
    with_subset = replace(request, subset=SubsetRequest(where="subject = 'a'", order_by="id", limit=10))
    assert confine(caller, with_subset, CASES) == ConfinedRequest(
        principal=caller,
        table=TableName("public", "cases"),
        where='("client" = $1 OR "vendor" = $2) AND true',
        params=("TC-1", "TV-1"),
        columns=("subject",),
        queryable_columns=("id", "subject"),
        subset=ConfinedSubset(
            printed=SubsetRequest(
                where='("subject" = $1)', params=("a",), order_by='"id" ASC NULLS LAST', limit=10
            )
        ),
        limits=TableLimits(subset_rows=10),
        asked=with_subset,
    )


@pytest.mark.parametrize(
    "change",
    [{"where": " "}, {"params": ()}, {"columns": ()}, {"queryable_columns": ()}],
)
def test_P_02_P_03_a_confined_request_is_never_empty(change: dict[str, object]) -> None:
    good = confine(principal(), asked(), policy())
    fields = {name: getattr(good, name) for name in ConfinedRequest.__dataclass_fields__}
    with pytest.raises(
        ValueError, match=r"^a confined request needs a filter, its parameter and a column list$"
    ):
        ConfinedRequest(**{**fields, **change})
