from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.errors import RejectedSubset
from shapegate_harness.electric.ordering import (
    TERMS_MAX,
    check_ordering,
    parse_ordering,
    print_ordering,
)
from shapegate_wire.identifier import TableName

T = TableName("public", "t")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("id", '"t"."id" ASC'),
        ("ID desc", '"t"."id" DESC'),
        ('"Id" ASC NULLS FIRST', '"t"."Id" ASC NULLS FIRST'),
        ("price DESC NULLS LAST, id ASC", '"t"."price" DESC NULLS LAST, "t"."id" ASC'),
        ("a nulls last /* c */ , b -- d", '"t"."a" ASC NULLS LAST, "t"."b" ASC'),
        ("1", "1 ASC"),
        ("'it''s'", "'it''s' ASC"),
        ("null, true", "NULL ASC, TRUE ASC"),
        ("nulls nulls first", '"t"."nulls" ASC NULLS FIRST'),
        ('"a""; drop table t"', '"t"."a""; drop table t" ASC'),
    ],
)
def test_columns_and_constants_are_printed_from_what_was_read(text: str, printed: str) -> None:
    assert print_ordering(parse_ordering(text), T) == f" ORDER BY {printed}"


def test_no_order_prints_nothing() -> None:
    assert print_ordering((), T) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lower(title)", "At location 18: FuncCall expressions are not allowed in ORDER BY clauses"),
        ("a, lower(b)", "At location 21: FuncCall expressions are not allowed in ORDER BY clauses"),
        ("id::text", "At location 20: TypeCast expressions are not allowed in ORDER BY clauses"),
        ("id + 1", "At location 21: A_Expr expressions are not allowed in ORDER BY clauses"),
        ("-id", 'At location 18: syntax error at or near "-"'),
        ("$1", "At location 18: ParamRef expressions are not allowed in ORDER BY clauses"),
        ("(select 1)", "At location 18: SubLink expressions are not allowed in ORDER BY clauses"),
        ("(id)", "At location 18: A_Expr expressions are not allowed in ORDER BY clauses"),
        (
            "case when a then b end",
            "At location 18: CaseExpr expressions are not allowed in ORDER BY clauses",
        ),
        (
            'a collate "C"',
            "At location 20: CollateClause expressions are not allowed in ORDER BY clauses",
        ),
        ("tags[1]", "At location 18: A_Indirection expressions are not allowed in ORDER BY clauses"),
        ("t.id", "At location 18: unknown reference t.id"),
        ("id asc desc", 'At location 25: syntax error at or near "desc"'),
        ("id nulls", "At location 26: syntax error at end of input"),
        ("id,", "At location 21: syntax error at end of input"),
        ("id; drop table t", 'At location 20: syntax error at or near ";"'),
        ("id limit 1", 'At location 21: syntax error at or near "limit"'),
        ("id using <", 'At location 21: syntax error at or near "using"'),
        ("select", 'At location 18: syntax error at or near "select"'),
        ("a, 'a", 'At location 21: syntax error at or near "\'"'),
        ("E'\\x61'", "At location 18: the escape \\x is not supported: write the character itself"),
    ],
)
def test_everything_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(RejectedSubset) as caught:
        parse_ordering(text)
    assert caught.value.problems == {"order_by": (problem,)}


def test_only_columns_that_may_be_spoken_of_are_taken() -> None:
    terms = parse_ordering("id, 1, secret")
    check_ordering(terms, {"id", "secret"})
    with pytest.raises(RejectedSubset) as caught:
        check_ordering(terms, {"id"})
    assert caught.value.problems == {"order_by": ("At location 25: unknown reference secret",)}


def test_the_number_of_sort_keys_is_bounded() -> None:
    assert len(parse_ordering(", ".join(["a"] * TERMS_MAX))) == TERMS_MAX
    with pytest.raises(RejectedSubset, match="more than 100 sort keys"):
        parse_ordering(", ".join(["a"] * (TERMS_MAX + 1)))


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=9), st.sampled_from(["", " ASC", " DESC"])), min_size=1)
)
@example([('"', ""), ("a';--", " DESC")])
@settings(max_examples=100, deadline=None)
def test_quoted_names_come_out_as_they_went_in(columns: list[tuple[str, str]]) -> None:
    text = ", ".join('"' + name.replace('"', '""') + '"' + direction for name, direction in columns)
    assert [term.column for term in parse_ordering(text)] == [name for name, _ in columns]


@given(st.text(alphabet="ab,\"'$1()[]:;.+-*/ \nASCDENULSFIRTcollate", max_size=30))
@settings(max_examples=100, deadline=None)
def test_what_is_printed_can_be_read_again(text: str) -> None:
    with suppress(RejectedSubset):
        terms = parse_ordering(text)
        printed = print_ordering(terms, T).removeprefix(" ORDER BY ").replace('"t".', "")
        assert [(t.column, t.direction, t.nulls) for t in parse_ordering(printed)] == [
            (t.column, t.direction, t.nulls) for t in terms
        ]
