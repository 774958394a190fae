from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.errors import Failed, Rejected
from shapegate_harness.electric.filter import FILTER_BYTES_MAX, parse_filter


def refusal(text: str) -> str:
    with pytest.raises(Rejected) as caught:
        parse_filter(text)
    ((parameter, problems),) = caught.value.problems.items()
    assert parameter == "where"
    return problems[0]


EQUAL = [
    ("done = false AND id > 1", '("done" = false) AND ("id" > 1)'),
    ("ID=1", '"id" = 1'),
    ("((id) = (1))", '"id" = 1'),
    ("id = 1 -- ) or true", '"id" = 1'),
    ("id /* a /* b */ c */ = 1", '"id" = 1'),
    ("id != 1", '"id" <> 1'),
    ("t = 'a''b;--'", "\"t\" = 'a''b;--'"),
    (r"t = E'a\'b'", "\"t\" = 'a''b'"),
    ("t = $q$ ' ) $$ $q$", "\"t\" = ' '' ) $$ '"),
    ('"Mixed Case" = $1', '"Mixed Case" = $1'),
    ("a - -1 > 0.5e3", '("a" - (-1)) > 0.5e3'),
    ("a -1 > 2", '("a" - 1) > 2'),
    ("n::integer = cast(m as int4)", 'CAST("n" AS "int4") = CAST("m" AS "int4")'),
    ("d > date '2026-01-01'", '"d" > CAST(\'2026-01-01\' AS "date")'),
    ("d > timestamp with time zone 'x'", '"d" > CAST(\'x\' AS "timestamptz")'),
    ("id IN (1,2) OR lower(t) LIKE 'x%'", '("id" IN (1, 2)) OR (pg_catalog."lower"("t") ~~ \'x%\')'),
    ("id NOT IN (1)", '"id" NOT IN (1)'),
    ("a[1:2] && ARRAY[1]", '(("a")[1:2]) && ARRAY[1]'),
    ("ÄÖ = 'É'", "\"ÄÖ\" = 'É'"),
    ("NOT a AND b OR c", '((NOT "a") AND "b") OR "c"'),
    ("a AND b AND c", '"a" AND "b" AND "c"'),
    ("(a AND b) AND c", '"a" AND "b" AND "c"'),
    ("a AND (b AND c)", '"a" AND ("b" AND "c")'),
    ("a = b IS NULL", '("a" = "b") IS NULL'),
    ("a + b * c ^ d = -e", '("a" + ("b" * ("c" ^ "d"))) = (- "e")'),
    ("a || b = c", '("a" || "b") = "c"'),
    ("a BETWEEN 1 AND 2 AND b", '("a" BETWEEN 1 AND 2) AND "b"'),
    ("a NOT BETWEEN SYMMETRIC 2 AND 1", '"a" NOT BETWEEN SYMMETRIC 2 AND 1'),
    ("a = SOME('{1}')", "\"a\" = ANY ('{1}')"),
    ("a ISNULL", '"a" IS NULL'),
    ("a IS NOT DISTINCT FROM b", '"a" IS NOT DISTINCT FROM "b"'),
    ("t AT TIME ZONE 'UTC' > t", 'pg_catalog."timezone"(\'UTC\', "t") > "t"'),
    ("id = 1 LIMIT 1", '"id" = 1'),
    ("id = 1 OFFSET 2 ROWS FETCH FIRST 3 ROWS ONLY", '"id" = 1'),
    ("a IN (SELECT b FROM t WHERE c = $1)", '"a" IN (SELECT "b" FROM "public"."t" WHERE "c" = $1)'),
    ("a NOT IN ((SELECT b FROM s.t AS x LIMIT 1))", 'NOT ("a" IN (SELECT "b" FROM "s"."t"))'),
    ("(a, b) IN (SELECT c, d FROM t)", 'ROW("a", "b") IN (SELECT "c", "d" FROM "public"."t")'),
]


@pytest.mark.parametrize(("text", "normal"), EQUAL)
def test_a_filter_is_printed_from_its_tree(text: str, normal: str) -> None:
    assert parse_filter(text).normal == normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a AND b", "b AND a"),
        ("a = $1", "a = 'x'"),
        ("a IN ('b', 'a')", "a IN ('a', 'b')"),
        ("a", "A IS TRUE"),
    ],
)
def test_filters_that_electric_tells_apart_are_different_shapes(one: str, other: str) -> None:
    assert parse_filter(one).normal != parse_filter(other).normal


REFUSED = [
    # As recorded of a real Electric.
    ("id = = 1", 'At location 20: syntax error at or near "="'),
    ("id=1; drop table t", 'unescaped ";" causing statement split'),
    ("count(*) > 1", "At location 0: aggregation is not supported in this context"),
    ("case when id=1 then true else false end", "At location 0: CaseExpr is not supported in this context"),
    ("%zz", 'At location 15: syntax error at or near "%"'),
    ("id =", "At location 19: syntax error at end of input"),
    # As documented.
    ("id = 1 ORDER BY id", "malformed query ending with SQL clauses"),
    ("id = 1 GROUP BY id", "malformed query ending with SQL clauses"),
    ("id = 1 FOR UPDATE", "malformed query ending with SQL clauses"),
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
    ("a < b < c", 'At location 21: syntax error at or near "<"'),
    ("a LIKE b LIKE c", 'At location 24: syntax error at or near "LIKE"'),
    ("select", 'At location 15: syntax error at or near "select"'),
    ("a b", 'At location 17: syntax error at or near "b"'),
    ("d < CURRENT_DATE", "At location 4: SQLValueFunction is not supported in this context"),
    ("t COLLATE \"C\" = 'a'", "At location 2: CollateClause is not supported in this context"),
    ("t SIMILAR TO 'a'", "At location 2: unknown or unsupported function similar_to_escape/1"),
    ("t LIKE 'a' ESCAPE 'b'", "At location 2: unknown or unsupported function like_escape/2"),
    ("extract(year from t) = 1", "At location 0: unknown or unsupported function extract/2"),
    ("sum(a) OVER () > 1", "At location 0: aggregation is not supported in this context"),
    ("b'1' = b'1'", "At location 0: BitString values are not supported"),
    ("id IN (TABLE x)", "SELECT statement must not contain any clauses"),
    ("id IN (SELECT DISTINCT a FROM t)", "SELECT statement must not contain any clauses"),
    ("id IN (SELECT a FROM t OFFSET 1)", "SELECT statement must not contain any clauses"),
    ("id IN (SELECT *, a FROM t)", "At location 29: Expected a plain column reference"),
    (
        "id = ANY (SELECT a FROM t)",
        "At location 3: only `value IN (SELECT ...)` sublinks are supported right now",
    ),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_what_is_no_filter_is_refused(text: str, problem: str) -> None:
    assert refusal(text) == problem


def test_a_union_fails_as_it_does_in_electric() -> None:
    with pytest.raises(Failed):
        parse_filter("id IN (SELECT a FROM t UNION SELECT b FROM t)")


@pytest.mark.parametrize("number", ["2147483648", "1e5", "1.", ".5"])
def test_a_number_that_electric_cannot_read_is_refused(number: str) -> None:
    assert number in refusal(f"n > {number}")


@pytest.mark.parametrize(
    "text", ["(" * 2000 + "a", "NOT " * 500 + "a", "- " * 500 + "1 = 1", "a" + "||a" * 500 + "=a"]
)
def test_a_filter_that_is_nested_too_deeply_is_refused(text: str) -> None:
    assert "levels" in refusal(text)


def test_a_long_list_is_not_deep() -> None:
    assert len(parse_filter("a IN (" + ",".join(map(str, range(5000))) + ")").normal) > 20_000
    assert parse_filter(" AND ".join(["a"] * 5000)).normal.count("AND") == 4999


def test_a_filter_has_a_largest_size() -> None:
    assert parse_filter("t = '" + "x" * (FILTER_BYTES_MAX - 6) + "'").normal
    assert refusal("t = '" + "é" * 40_000 + "'") == "query size 80006 is bigger than maximum size 65536"


def test_params_and_subqueries_are_found_at_any_depth() -> None:
    inner = "SELECT a FROM t WHERE c = '$9' AND d IN (SELECT d FROM s.u WHERE e = $1)"
    parsed = parse_filter(f"b = $3 AND a IN ({inner})")
    assert parsed.params == (1, 3)
    assert [str(select.table) for select in parsed.subqueries] == ["public.t", "s.u"]


WORDS = [
    *[
        "id",
        "=",
        "1",
        "'x'",
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
        "and",
        "or",
        "not",
        "in",
        "between",
        "is",
        "null",
        "like",
        "any",
        "array",
        "[",
        "]",
    ],
    *[
        "::",
        "int4",
        ",",
        "select",
        "from",
        "where",
        "t",
        "limit",
        "case",
        "+",
        "-",
        "*",
        "<",
        "@>",
        "lower(",
        "exists",
        '"q"',
    ],
]
PIECES = st.lists(st.sampled_from([*WORDS, "\n", " "]), max_size=14).map(" ".join)


@given(st.one_of(PIECES, st.text(max_size=40)))
@settings(max_examples=100, deadline=None)
def test_printing_is_stable_and_nothing_but_a_refusal_escapes(text: str) -> None:
    try:
        parsed = parse_filter(text)
    except (Rejected, Failed):
        return
    assert parse_filter(parsed.normal).normal == parsed.normal
