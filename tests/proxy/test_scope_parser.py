"""The language of scopes is closed: what is not in it is refused, and so is what shows rows of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from shapegate_proxy.claims import Fact, NamedClaim, ScopeType
from shapegate_proxy.scope import Both, Compared, Either, IsNull, Within
from shapegate_proxy.scope_parser import DEPTH_MAX, SUBQUERIES_MAX
from shapegate_proxy.scope_tokens import SCOPE_CHARS_MAX, ScopeRefused, scope_tokens
from tests.proxy.scopes import KINDS, MUTATED_SCOPES, PARENTS, SCOPES, scope
from tests.refusals import told_otherwise


def refusal(text: str) -> str:
    with pytest.raises(ScopeRefused) as caught:
        scope(text)
    return str(caught.value)


ORG = Compared("org", ScopeType.UUID, Fact.ORG)
CLIENT = Compared("client", ScopeType.TEXT, NamedClaim("client"))
VENDOR = Compared("vendor", ScopeType.VARCHAR, NamedClaim("vendor"))
USER = Compared("u", ScopeType.UUID, Fact.USER)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (KINDS["org"], ORG),
        (KINDS["user-or-null"], Both((ORG, Either((USER, IsNull("u")))))),
        (KINDS["child"], Within("t", PARENTS, "key", Either((CLIENT, VENDOR)))),
        (
            '"t" in(select KEY from PUBLIC."parents" where client={claims.client} and org is null)',
            Within("t", PARENTS, "key", Both((CLIENT, IsNull("org")))),
        ),
        ("t = {role} AND org = {org}", Both((Compared("t", ScopeType.TEXT, Fact.ROLE), ORG))),
        ("org = {org} OR (u = {user} OR org = {org})", Either((ORG, USER, ORG))),
    ],
)
def test_a_scope_is_read_as_a_tree(text: str, condition: object) -> None:
    assert scope(text).condition == condition


def test_P_17_what_is_not_in_the_language_is_refused_with_its_whole_message() -> None:
    path = Path(__file__).with_name("scope_refusals.jsonl")
    assert told_otherwise(path, lambda case: refusal(case.text)) == []


def test_a_scope_is_split_into_tokens_up_to_what_is_none() -> None:
    found = scope_tokens('Org = {org}.("A""b")\n??? AND')
    assert [(token.kind, token.text, token.start) for token in found] == [
        ("word", "org", 0),
        ("mark", "=", 4),
        ("claim", "{org}", 6),
        ("mark", ".", 11),
        ("mark", "(", 12),
        ("quoted", '"A""b"', 13),
        ("mark", ")", 19),
        ("other", "??? AND", 21),
        ("end", "", 28),
    ]


@pytest.mark.parametrize(
    "ending",
    [
        "LIMIT 1",
        "OFFSET 1",
        "FETCH FIRST 1 ROW ONLY",
        "UNION SELECT 1",
        "ORDER BY org",
        "FOR UPDATE",
        "-- comment",
        "/* comment */",
        "; DELETE FROM things",
        "#",
        "\x00",
    ],
)
def test_P_17_clauses_and_comments_are_refused(ending: str) -> None:
    assert "at position 12" in refusal(f"org = {{org}} {ending}")
    assert "at position 46" in refusal(f"t IN (SELECT key FROM parents WHERE org={{org}} {ending})")


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        ("u IS NULL", '"u" IS NULL'),
        ("org = {org} OR u IS NULL", '"u" IS NULL'),
        ("org = {org} OR (u IS NULL AND j IS NULL)", '"u" IS NULL AND "j" IS NULL'),
        ("org = {org} AND u IS NULL OR j IS NULL", '"j" IS NULL'),
        ("t = {role}", '"t" = $1'),
        ("org = {org} OR t = {role}", '"t" = $1'),
        ("t IN (SELECT key FROM parents WHERE client IS NULL)", '"client" IS NULL'),
        ("org = {org} AND t IN (SELECT key FROM parents WHERE client IS NULL)", '"client" IS NULL'),
    ],
)
def test_P_02_every_alternative_needs_a_claim_that_says_whose_rows(text: str, loose: str) -> None:
    assert refusal(text).startswith(f"{loose} alone shows rows of everybody")


def test_P_02_an_alternative_that_is_always_true_is_refused() -> None:
    assert "'true' at position 15" in refusal("org = {org} OR true")


@pytest.mark.parametrize("column", ["num", "f", "d", "ch", "tags", "b", "tz", "j", "e"])
def test_P_16_a_column_that_is_not_compared_alike_everywhere_is_refused(column: str) -> None:
    assert "do not compare alike" in refusal(f"org = {{org}} AND {column} = {{user}}")
    assert "do not compare alike" in refusal(f"{column} IN (SELECT key FROM parents WHERE org = {{org}})")


def test_a_column_of_any_type_may_be_tested_for_null() -> None:
    assert scope("org = {org} AND j IS NULL AND tz IS NULL").sql.endswith('"j" IS NULL AND "tz" IS NULL')


def test_a_subquery_may_read_the_own_table_and_nest() -> None:
    text = "org = {org}"
    for _ in range(SUBQUERIES_MAX):
        text = f"t IN (SELECT t FROM things WHERE {text})"
    assert scope(text).sql.count("SELECT") == SUBQUERIES_MAX
    assert "3 of them subqueries" in refusal(f"t IN (SELECT t FROM things WHERE {text})")
    assert scope(f"{text} OR {text} OR {text}").sql.count("SELECT") == 3 * SUBQUERIES_MAX


def test_I_08_depth_and_length_are_bounded() -> None:
    assert scope("(" * DEPTH_MAX + "org = {org}" + ")" * DEPTH_MAX).sql == '"org" = $1'
    beside = " AND ".join(["(" * DEPTH_MAX + "org = {org}" + ")" * DEPTH_MAX] * 2)
    assert scope(beside).sql == '"org" = $1 AND "org" = $2'
    assert scope("t IN (SELECT t FROM things WHERE " + "(" * 9 + "org = {org}" + ")" * 10).compared
    assert "at most 10 levels" in refusal(
        "t IN (SELECT t FROM things WHERE " + "(" * 10 + "org = {org}" + ")" * 11
    )
    assert "at most 10 levels" in refusal("(" * 900 + "org = {org}" + ")" * 900)
    assert scope("org = {org}".ljust(SCOPE_CHARS_MAX)).sql == '"org" = $1'
    too_long = "org = {org}".ljust(SCOPE_CHARS_MAX + 1)
    assert refusal(too_long) == "has 2001 characters: expected at most 2000"


@settings(max_examples=300, deadline=None)
@given(MUTATED_SCOPES)
def test_nothing_but_ScopeRefused_escapes(text: str) -> None:
    try:
        found = scope(text)
    except ScopeRefused:
        return
    assert found.compared


@settings(max_examples=100, deadline=None)
@given(SCOPES)
def test_every_legal_scope_is_accepted(text: str) -> None:
    assert scope(text).sql.startswith(('"', "("))
