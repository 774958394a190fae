from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.filter import FILTER_BYTES_MAX, parse_filter


def refusal(text: str) -> str:
    with pytest.raises(Rejected) as caught:
        parse_filter(text)
    ((parameter, problems),) = caught.value.problems.items()
    assert parameter == "where"
    return problems[0]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("done = false AND id > 1", "done = false and id > 1"),
        ("ID=1", "id = 1"),
        ("id = 1 -- ) or true", "id = 1"),
        ("id /* a /* b */ c */ = 1", "id = 1"),
        ("t = 'a''b;--'", "t = 'a''b;--'"),
        (r"t = E'a\'b'", r"t = E'a\'b'"),
        ("t = $q$ ' ) $$ $q$", "t = $q$ ' ) $$ $q$"),
        ('"Mixed Case" = $1', '"Mixed Case" = $1'),
        ("a - -1 > +.5e3", "a - - 1 > + .5e3"),
        ("n::numeric(10,2) = 1.50", "n :: numeric ( 10 , 2 ) = 1.50"),
        ("id IN (1,2) OR lower(t) LIKE 'x%'", "id in ( 1 , 2 ) or lower ( t ) like 'x%'"),
        ("a[1:2] && ARRAY[1]", "a [ 1 : 2 ] && array [ 1 ]"),
        ("ÄÖ = 'É'", "ÄÖ = 'É'"),
    ],
)
def test_a_filter_is_printed_from_its_tokens(text: str, normal: str) -> None:
    assert parse_filter(text).normal == normal
    assert parse_filter(normal).normal == normal


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # As recorded of a real Electric.
        ("id=1; drop table t", 'unescaped ";" causing statement split'),
        ("created_at > now()", "At location 13: unknown or unsupported function now/0"),
        ("foo(title) = 'a'", "At location 0: unknown or unsupported function foo/1"),
        ("count(*) > 1", "At location 0: aggregation is not supported in this context"),
        (
            "case when id=1 then true else false end",
            "At location 0: CaseExpr is not supported in this context",
        ),
        ("%zz é(", "At location 21: syntax error at end of input"),
        # Ways out of the parentheses, and things that are no filter.
        ("id = 1) OR (true", 'At location 21: syntax error at or near ")"'),
        ("(id = 1", "At location 22: syntax error at end of input"),
        ("a[1) = 2]", 'At location 18: syntax error at or near ")"'),
        ("t = 'open", 'At location 19: syntax error at or near "\'"'),
        ('"open = 1', 'At location 15: syntax error at or near """'),
        ("t = $a$ open $b$", 'At location 19: syntax error at or near "$"'),
        ("id = 1 /* open /* */", 'At location 22: syntax error at or near "/*"'),
        ("t = U&'d\\0061t'", 'At location 19: syntax error at or near "U"'),
        ("-- nothing", "At location 25: syntax error at end of input"),
        ("id = $0", 'At location 20: syntax error at or near "$"'),
        ("id IN (SELECT 1)", "At location 7: subqueries are not supported by this development server yet"),
        ("id IN (TABLE x)", "At location 7: subqueries are not supported by this development server yet"),
        (
            "pg_catalog.pg_sleep(1) IS NULL",
            "At location 10: qualified names are not supported in this context",
        ),
        ("t.id = 1", "At location 1: qualified names are not supported in this context"),
        ('"pg_sleep"(1) IS NULL', "At location 0: unknown or unsupported function pg_sleep/1"),
        ("pg_sleep (1, (2, 3)) IS NULL", "At location 0: unknown or unsupported function pg_sleep/2"),
        ("lower(pg_sleep(1)) = ''", "At location 6: unknown or unsupported function pg_sleep/1"),
        ("d < CURRENT_DATE", "At location 4: SQLValueFunction current_date is not supported in this context"),
    ],
)
def test_what_is_no_filter_is_refused(text: str, problem: str) -> None:
    assert refusal(text) == problem


def test_a_filter_has_a_largest_size() -> None:
    assert len(parse_filter("t = '" + "x" * (FILTER_BYTES_MAX - 6) + "'").tokens) == 3
    assert "bigger than maximum size 65536" in refusal("t = '" + "x" * (FILTER_BYTES_MAX - 5) + "'")


def test_params_are_renumbered_and_cast() -> None:
    parsed = parse_filter("b = $3 AND a = $1 AND c = $3")
    assert parsed.params == (1, 3)
    assert parsed.to_sql() == "b = $2 AND a = $1 AND c = $2"
    assert parsed.to_sql(("uuid", "int8")) == (
        "b = ( $2 :: text :: int8 ) AND a = ( $1 :: text :: uuid ) AND c = ( $2 :: text :: int8 )"
    )
    assert parsed.first_use(3) == 4


def test_a_dollar_in_a_text_is_no_param() -> None:
    parsed = parse_filter("a = '$1' AND b = $$ $2 $$")
    assert parsed.params == ()
    assert parsed.to_sql(()) == "a = '$1' AND b = $$ $2 $$"


def test_positions_lead_back_to_what_the_client_wrote() -> None:
    parsed = parse_filter("a   =  'x' /* c */ AND nope=1")
    printed = parsed.to_sql()
    assert parsed.start_of(printed.index("nope")) == 23
    assert parsed.start_of(printed.index("'x'")) == 7
    assert parsed.start_of(10_000) == 28


def test_every_name_that_may_be_a_column_is_mentioned() -> None:
    parsed = parse_filter("""Id = 1 AND "We""ird" = 'text'""")
    assert parsed.mentioned == {"id", "and", 'We"ird'}


PIECES = st.lists(
    st.sampled_from(
        [
            "id",
            "=",
            "1",
            "'",
            '"',
            "(",
            ")",
            "--",
            "/*",
            "*/",
            "$1",
            "$$",
            "$a$",
            "E'",
            "\\",
            ";",
            "\n",
            " ",
            "x",
        ]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(PIECES, st.text(max_size=40)))
@settings(max_examples=100, deadline=None)
def test_printing_is_stable_and_nothing_but_rejected_escapes(text: str) -> None:
    try:
        parsed = parse_filter(text)
    except Rejected:
        return
    again = parse_filter(parsed.normal)
    assert [token.text for token in again.tokens] == [token.text for token in parsed.tokens]
    assert ";" not in {token.text for token in parsed.tokens}
