"""Scopes as conditions: how they are printed, what Postgres' own parser reads, and whose rows they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, assert_never

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shapegate_proxy.claims import Claim, Fact, NamedClaim, ScopeType
from shapegate_proxy.scope import Both, Compared, Condition, Either, IsNull, Scope, Within, scope_of
from shapegate_proxy.scope_tokens import ScopeRefused
from tests.proxy.builders import ACME, GLOBEX, USER, principal
from tests.proxy.scopes import KINDS, MUTATED_SCOPES, PARENTS, SCOPES, scope
from tests.wire.filter.test_printer import where_clause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pglast = pytest.importorskip("pglast")

Node = Any  # pglast has no types
Shape = tuple[object, ...]


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("org", '"org" = $1'),
        ("id", '"u" = $1'),
        ("two-sided", '("t" = $1 OR "v" = $2) AND true'),
        ("user-or-null", '"org" = $1 AND ("u" = $2 OR "u" IS NULL)'),
        (
            "child",
            '"t" IN (SELECT "key" FROM "public"."parents" WHERE ("client" = $1 OR "vendor" = $2))',
        ),
    ],
)
def test_P_09_P_13_each_kind_is_printed_with_parameters_only(kind: str, sql: str) -> None:
    assert scope(KINDS[kind]).sql == sql


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("u IS NULL AND org = {org}", '"org" = $1 AND "u" IS NULL'),
        ("(u IS NULL OR u = {user}) AND org = {org}", '"org" = $1 AND ("u" IS NULL OR "u" = $2)'),
        ("j IS NULL AND (t = {user} AND org = {org})", '"t" = $1 AND "org" = $2 AND "j" IS NULL'),
        ("((org = {org}))", '"org" = $1'),
        ("org = {org} AND true", '"org" = $1'),
        ("org = {org} OR u = {org}", '("org" = $1 OR "u" = $2) AND true'),
        ("org = {org} OR u = {user} AND TRUE", '("org" = $1 OR "u" = $2) AND true'),
        (
            "org = {org} AND b IS NULL OR u = {user}",
            '(("org" = $1 AND "b" IS NULL) OR "u" = $2) AND true',
        ),
        ("ORG={org}", '"org" = $1'),
        ('"Mixed Case" = {claims.client}', '"Mixed Case" = $1'),
        ("größe = {claims.size}", '"größe" = $1'),
    ],
)
def test_P_13_P_15_a_scope_has_one_text_that_begins_with_an_equality_where_it_can(
    text: str, sql: str
) -> None:
    assert scope(text).sql == sql


def test_P_14_equal_rights_are_equal_texts_and_values_whoever_asks() -> None:
    asked = scope(KINDS["two-sided"])
    one = principal(role="owner", named={"client": "TC-1", "vendor": "TV-1", "tenant": "TNT-1"})
    other = principal(org=GLOBEX, user="somebody", named={"vendor": "TV-1", "client": "TC-1"})
    assert asked.params(one) == asked.params(other) == ("TC-1", "TV-1")


def test_P_09_the_values_stand_in_the_order_of_their_numbers() -> None:
    caller = principal(named={"client": "C", "vendor": "V"})
    asked = scope("(u = {user} OR u IS NULL) AND org = {org} AND (" + KINDS["child"] + ")")
    assert asked.sql.startswith('"org" = $1 AND ("u" = $2 OR "u" IS NULL) AND "t" IN (')
    assert asked.params(caller) == (ACME, USER, "C", "V")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (KINDS["org"], "org"),
        (KINDS["user-or-null"], "org"),
        (KINDS["two-sided"], None),
        (KINDS["child"], None),
        ("u = {user}", None),
    ],
)
def test_the_org_column_is_the_one_that_every_row_has_the_org_in(text: str, column: str | None) -> None:
    assert scope(text).org_column == column


LOOSE = [
    IsNull("u"),
    Compared("t", ScopeType.TEXT, Fact.ROLE),
    Both((IsNull("u"), IsNull("t"))),
    Either((Compared("org", ScopeType.UUID, Fact.ORG), IsNull("u"))),
    Within("t", PARENTS, "key", Compared("client", ScopeType.TEXT, Fact.ROLE)),
]


@pytest.mark.parametrize("condition", LOOSE, ids=str)
def test_P_02_a_scope_that_shows_rows_of_everybody_cannot_be_made(condition: Condition) -> None:
    with pytest.raises(ValueError, match=r"^a scope binds each of its alternatives to a claim$"):
        scope_of(condition)


def test_P_02_a_scope_without_a_comparison_cannot_be_made() -> None:
    bound = scope("org = {org}")
    with pytest.raises(ValueError, match=r"^a scope binds each of its alternatives to a claim$"):
        Scope(condition=bound.condition, sql="true", compared=())


# --- whose rows


Row = dict[str, object]


def holds(condition: Condition, row: Mapping[str, object], claims: Callable[[Claim], object]) -> bool:
    """Evaluate a condition as SQL does; the other table has the row `parents` of the row."""
    match condition:
        case Compared():
            return row[condition.column] is not None and row[condition.column] == claims(condition.claim)
        case IsNull():
            return row[condition.column] is None
        case Within():
            parent = row["parents"]
            assert isinstance(parent, dict)
            found = holds(condition.condition, parent, claims)
            return found and parent[condition.selected] == row[condition.column]
        case Both():
            return all(holds(item, row, claims) for item in condition.items)
        case Either():
            return any(holds(item, row, claims) for item in condition.items)
        case _:
            assert_never(condition)


_VALUES = st.sampled_from([None, "owner", "value"])
_ROWS = st.fixed_dictionaries(
    dict.fromkeys(("org", "u", "t", "v", "n", "l", "s", "user", "größe", "Mixed Case", "j", "day"), _VALUES)
    | {"parents": st.fixed_dictionaries(dict.fromkeys(("key", "client", "vendor", "org"), _VALUES))}
)


def stranger(claim: Claim) -> object:
    """Claims of somebody whom no row names; the role is everybody's."""
    return "owner" if claim is Fact.ROLE else "stranger"


@settings(max_examples=300, deadline=None)
@given(MUTATED_SCOPES | SCOPES, _ROWS)
def test_P_02_I_01_a_stranger_sees_no_row_whatever_the_scope_and_the_row(text: str, row: Row) -> None:
    try:
        found = scope(text)
    except ScopeRefused:
        return
    assert not holds(found.condition, row, stranger)


# --- what Postgres reads


def expected(item: Condition) -> Shape:
    """What a condition means, with the claim in place of its parameter."""
    match item:
        case Compared():
            return ("OP", "=", ("column", item.column), item.claim)
        case IsNull():
            return ("null", ("column", item.column))
        case Within():
            table = (item.table.schema, item.table.name)
            return ("in", ("column", item.column), item.selected, table, expected(item.condition))
        case Both():
            return ("AND", *map(expected, item.items))
        case Either():
            return ("OR", *map(expected, item.items))
        case _:
            assert_never(item)


class PostgresReads:
    """Postgres' tree as the same tuples; what it does not know it does not accept."""

    def __init__(self, found: Scope) -> None:
        self._compared = found.compared
        self.used: list[int] = []

    def shape(self, node: object) -> Shape:
        read: Callable[[object], Shape] = getattr(self, type(node).__name__)
        return read(node)

    def BoolExpr(self, node: Node) -> Shape:
        return (node.boolop.name.removesuffix("_EXPR"), *map(self.shape, node.args))

    def A_Expr(self, node: Node) -> Shape:
        (name,) = node.name
        assert isinstance(node.rexpr, pglast.ast.ParamRef)
        self.used.append(node.rexpr.number)
        kind = node.kind.name.removeprefix("AEXPR_")
        return (kind, name.sval, self.shape(node.lexpr), self._compared[node.rexpr.number - 1].claim)

    def NullTest(self, node: Node) -> Shape:
        assert node.nulltesttype.name == "IS_NULL"
        return ("null", self.shape(node.arg))

    def ColumnRef(self, node: Node) -> Shape:
        (name,) = node.fields
        return ("column", name.sval)

    def A_Const(self, node: Node) -> Shape:
        assert node.val.boolval is True
        return ("true",)

    def SubLink(self, node: Node) -> Shape:
        assert node.subLinkType.name == "ANY_SUBLINK"
        assert node.operName is None
        select = node.subselect
        known = ("targetList", "fromClause", "whereClause", "limitOption", "op", "all", "groupDistinct")
        assert not [name for name in select if name not in known and getattr(select, name)]
        (target,), (table,) = select.targetList, select.fromClause
        selected = self.shape(target.val)[1]
        where = self.shape(select.whereClause)
        return ("in", self.shape(node.testexpr), selected, (table.schemaname, table.relname), where)


def assert_read_alike(found: Scope) -> None:
    """Compare both trees; the `true` behind an OR is printing's own."""
    tree = expected(found.condition)
    meant = ("AND", tree, ("true",)) if tree[0] == "OR" else tree
    postgres = PostgresReads(found)
    assert postgres.shape(where_clause(found.sql)) == meant
    assert sorted(postgres.used) == list(range(1, len(found.compared) + 1))


@settings(max_examples=200, deadline=None)
@given(SCOPES)
def test_P_13_postgres_reads_the_printed_scope_as_the_tree(text: str) -> None:
    assert_read_alike(scope(text))


@settings(max_examples=300, deadline=None)
@given(MUTATED_SCOPES)
def test_P_17_what_is_accepted_of_a_mutated_scope_is_read_alike_too(text: str) -> None:
    try:
        found = scope(text)
    except ScopeRefused:
        return
    assert_read_alike(found)


@settings(max_examples=200, deadline=None)
@given(SCOPES)
def test_P_13_I_11_what_is_added_by_AND_binds_to_the_whole_scope(text: str) -> None:
    found = scope(text)
    clause = where_clause(f"{found.sql} AND added")
    assert isinstance(clause, pglast.ast.BoolExpr)
    assert clause.boolop.name == "AND_EXPR"
    assert PostgresReads(found).shape(clause.args[-1]) == ("column", "added")


@settings(max_examples=200, deadline=None)
@given(SCOPES)
def test_P_15_printing_what_was_parsed_of_the_printed_form_changes_nothing(text: str) -> None:
    found = scope(text)
    assume("$" not in re.sub(r"\$[0-9]+", "", found.sql))
    again = re.sub(r"\$([0-9]+)", lambda match: str(found.compared[int(match[1]) - 1].claim), found.sql)
    assert scope(again) == found


def test_a_claim_is_printed_as_a_policy_writes_it() -> None:
    assert [str(Fact.ORG), str(NamedClaim("client"))] == ["{org}", "{claims.client}"]
