"""The closed grammar: what is in, what it is printed as, and that all else is refused quickly."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import WireError
from shapegate_wire.filter import FilterRefused, parse_filter, print_filter
from tests.wire.filter.hostile import MUTATED, NOISE
from tests.wire.filter.legal import FILTERS, Written
from tests.wire.filter.outside import OUTSIDE
from tests.wire.filter.table import COLUMNS

ID = "00000000-0000-0000-0000-00000000000a"
REFUSAL_SECONDS_MAX = 0.05


def printed(text: str, *params: str) -> tuple[str, tuple[str, ...]]:
    """Parse and print, numbered from 2 on as behind a scope of one parameter."""
    found = print_filter(parse_filter(text, params=params, columns=COLUMNS), first_param=2)
    return found.sql, found.params


def refused(text: str, *params: str) -> FilterRefused:
    """The refusal of a filter."""
    with pytest.raises(FilterRefused) as caught:
        parse_filter(text, params=params, columns=COLUMNS)
    return caught.value


@pytest.mark.parametrize(
    ("text", "sql", "params"),
    [
        ("b", '"b"', ()),
        ("not b", '(NOT "b")', ()),
        ("TRUE", "true", ()),
        ("N = 5", '("n" = $2)', ("5",)),
        ("5 > n", '("n" < $2)', ("5",)),
        ("n != 5", '("n" <> $2)', ("5",)),
        ("n=-5", '("n" = $2)', ("-5",)),
        ("((n)) = ((5))", '("n" = $2)', ("5",)),
        ("n = 5::bigint", '("n" = $2)', ("5",)),
        ("n = n", '("n" = "n")', ()),
        ("s < l", '("s" < "l")', ()),
        ("\"Mixed Case\" = 'a''b'", '("Mixed Case" = $2)', ("a'b",)),
        ('"we""ird $1" = 1', '("we""ird $1" = $2)', ("1",)),
        ("num = 1e5", '("num" = $2)', ("100000",)),
        ("num = 5::int4", '("num" = $2)', ("5",)),
        ("num = .50", '("num" = $2)', ("0.5",)),
        (f"u = '{ID.upper()}'", '("u" = $2)', (ID,)),
        ("u::text = 'x'", '(("u"::text) = $2)', ("x",)),
        ("e::text <> 'ok'", '(("e"::text) <> $2)', ("ok",)),
        ("lower(t) = 'x'", '(lower("t") = $2)', ("x",)),
        ("coalesce(t, 'a') = 'b'", '(coalesce("t", $2) = $3)', ("a", "b")),
        ("n in (3, 1, 3, 2)", '("n" = ANY ($2))', ("{1,2,3}",)),
        ("n in (3)", '("n" = $2)', ("3",)),
        ("n not in (1, 2)", '("n" <> ALL ($2))', ("{1,2}",)),
        ("n in (1, 2, null)", '(("n" = ANY ($2)) OR NULL)', ("{1,2}",)),
        ("n not in (1, null)", '(("n" <> $2) AND NULL)', ("1",)),
        ("n in (null)", "NULL", ()),
        ("n = any ('{}')", "false", ()),
        ("n <> all (array[]::int[])", "true", ()),
        ("n = any (null)", "NULL", ()),
        ("t = any (array['b', 'a,\"\\', 'NULL'])", '("t" = ANY ($2))', ('{"NULL","a,\\"\\\\",b}',)),
        ("'a' = any (tags)", '($2 = ANY ("tags"))', ("a",)),
        ("tags @> '{b,a,b}'", '("tags" @> $2)', ("{a,b}",)),
        ("'{a}' @> tags", '("tags" <@ $2)', ("{a}",)),
        ("tags = '{b,a}'", '("tags" = $2)', ("{b,a}",)),
        ("n between 1 and 2", '(("n" >= $2) AND ("n" <= $3))', ("1", "2")),
        ("n not between 1 and 2", '(("n" < $2) OR ("n" > $3))', ("1", "2")),
        ("n between 1 and 2 and b", '(("n" >= $2) AND ("n" <= $3) AND "b")', ("1", "2")),
        ("n is null", '("n" IS NULL)', ()),
        ("j is not null", '("j" IS NOT NULL)', ()),
        ("n = 1 is null", '(("n" = $2) IS UNKNOWN)', ("1",)),
        ("n is distinct from null", '("n" IS NOT NULL)', ()),
        ("n is not distinct from 1", '("n" IS NOT DISTINCT FROM $2)', ("1",)),
        ("n = null", "NULL", ()),
        ("t like 'a%%'", '("t" LIKE $2)', ("a%",)),
        ("t not ilike '\\%'", '("t" NOT ILIKE $2)', ("\\%",)),
        ("tm > '01:00'", '("tm" > $2)', ("01:00:00",)),
        ("ts > '2026-01-31'", '("ts" > $2)', ("2026-01-31 00:00:00",)),
        ("tz > '2026-01-31T00:30+02'", '("tz" > $2)', ("2026-01-30 22:30:00Z",)),
        ("tz = '2026-01-31 00:00:00.50Z'", '("tz" = $2)', ("2026-01-31 00:00:00.500000Z",)),
        ("tz = '2026-01-31 00:00-09:30'", '("tz" = $2)', ("2026-01-31 09:30:00Z",)),
        ("tz = '2026-01-31 00:00+14:00'", '("tz" = $2)', ("2026-01-30 10:00:00Z",)),
        ("b or c and not b", '("b" OR ("c" AND (NOT "b")))', ()),
        ("(b or c) and b", '(("b" OR "c") AND "b")', ()),
        ("b and (c and b)", '("b" AND "c" AND "b")', ()),
        ("not n = 1", '(NOT ("n" = $2))', ("1",)),
        ("\n\t b\r\n", '"b"', ()),
    ],
)
def test_I_02_a_legal_filter_is_printed_in_one_way(text: str, sql: str, params: tuple[str, ...]) -> None:
    assert printed(text) == (sql, params)


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("n = $1", ("5",), ("5",)),
        ("n = $1 or s = $2 or n = $1", ("5", "6"), ("5", "6", "5")),
        ("s = $2 or n = $1", ("5", "6"), ("6", "5")),
        ("u = any ($1)", ("{" + ID.upper() + "," + ID[:-1] + "b}",), ("{" + ID + "," + ID[:-1] + "b}",)),
        ("u in ($1)", (ID,), (ID,)),
        ("t = $1", ("' OR true --",), ("' OR true --",)),
        ("tags && $1::text[]", ("{a}",), ("{a}",)),
        ("t = any (array[$1, $2])", ("b", "a"), ("{a,b}",)),
    ],
)
def test_I_07_the_values_of_parameters_become_parameters(
    text: str, params: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert printed(text, *params)[1] == expected


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("n = $1", ()),
        ("n = 1", ("1",)),
        ("n = $2", ("1", "2")),
        ("n = $1", ("1", "2")),
        ("n = $1 or l = $1", ("1",)),
        ("n = $1 or t = $1", ("1",)),
        ("n = $1 or n = any ($1)", ("1",)),
        ("n = $1", ("",)),
        ("n = $1", ("1; drop",)),
        ("t = $1", ("\x00",)),
        ("t = $1", ("\ud800",)),
        ("n = any ($1)", ("1",)),
        ("n = any ($1)", ("{1",)),
        ("n = any ($1)", ("{{1}}",)),
        ("n = any ($1)", ("{1,}",)),
        ("n = any ($1)", ("{1}x",)),
        ("n = any ($1)", ("{1}}",)),
        ("n = any ($1)", ("{" + "1," * 1000 + "1}",)),
        ("n in ($1)", ("{1}",)),
        ("tags @> $1", ("{a,NULL}",)),
        ("n = $0", ("1",)),
        ("n = $01", ("1",)),
        ("n = $1a", ("1",)),
        ("n = $10000", ("1",)),
        ("n = $4294967297", ("1",)),
        ("n = $-1", ("1",)),
        ("n = $\u0661", ("1",)),
    ],
)
def test_I_07_parameters_are_numbered_without_gap_and_have_one_type(
    text: str, params: tuple[str, ...]
) -> None:
    refused(text, *params)


@pytest.mark.parametrize("text", OUTSIDE)
def test_I_02_a_filter_outside_of_the_grammar_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    "text", ["hidden = 5", "hidden is null", "lower(hidden) = 'a'", "n = hidden", "t like hidden"]
)
def test_I_03_a_hidden_column_and_a_missing_one_give_the_same_answer(text: str) -> None:
    hidden = refused(text)
    missing = refused(text.replace("hidden", "absent"))
    assert str(hidden).replace("hidden", "absent") == str(missing)


def test_I_03_a_column_is_found_by_its_exact_name_only() -> None:
    columns = {"K": "int4", "\u0130": "int4", "s": "int4"}
    for text in ("k = 1", "K = 1", "\u212a = 1", "i = 1", "i\u0307 = 1", "\u017f = 1", '"S" = 1'):
        with pytest.raises(FilterRefused):
            parse_filter(text, params=(), columns=columns)
    assert print_filter(parse_filter('"K" = 1 or S = 1', params=(), columns=columns), first_param=1).sql == (
        '(("K" = $1) OR ("s" = $2))'
    )


def test_a_column_named_like_a_key_word_is_quoted() -> None:
    assert printed("\"user\" = 'ada'") == ('("user" = $2)', ("ada",))
    assert "quote a column" in str(refused("user = 'ada'"))


SYMMETRIC = "n between symmetric 1 and 2"
"""Four constants, seven nodes."""
BOUNDS = [
    ("characters", "b" + " " * 7_999, "b" + " " * 8_000),
    ("brackets", "(" * 40 + "b" + ")" * 40, "(" * 41 + "b" + ")" * 41),
    ("depth", "not " * 40 + "b", "not " * 41 + "b"),
    ("mixed depth", "not (" * 20 + "b" + ")" * 20, "not (" * 21 + "b" + ")" * 21),
    ("nodes", " and ".join(["b"] * 600), " and ".join(["b"] * 601)),
    ("list items", "n in (" + ",".join(["1"] * 200) + ")", "n in (" + ",".join(["1"] * 201) + ")"),
    (
        "array items",
        "n = any (array[" + ",".join(["1"] * 200) + "])",
        "n = any (array[" + ",".join(["1"] * 201) + "])",
    ),
    (
        "elements",
        "n = any ('{" + ",".join(["1"] * 1000) + "}')",
        "n = any ('{" + ",".join(["1"] * 1001) + "}')",
    ),
    ("constants", " or ".join([SYMMETRIC] * 50), " or ".join([SYMMETRIC] * 50 + ["n = 1"])),
    ("%", "t like '" + "%a" * 10 + "'", "t like '" + "%a" * 11 + "'"),
]


@pytest.mark.parametrize(
    ("legal", "illegal"), [case[1:] for case in BOUNDS], ids=[case[0] for case in BOUNDS]
)
def test_I_08_cost_is_bounded_exactly_there(legal: str, illegal: str) -> None:
    parse_filter(legal, params=(), columns=COLUMNS)
    refused(illegal)


def test_I_08_parameters_are_bounded_in_number_size_and_elements() -> None:
    uses = " or ".join(f"s = ${number}" for number in range(1, 152))
    parse_filter(uses, params=["1"] * 151, columns=COLUMNS)
    for params in (["1"] * 201, ["1" * 40_001], ["{" + "1," * 999 + "1}"] * 3):
        text = " or ".join(f"n = any (${number})" for number in range(1, len(params) + 1))
        with pytest.raises(FilterRefused, match="at most"):
            parse_filter(text, params=params, columns=COLUMNS)


def fill(piece: str) -> str:
    """As long a text as is looked at."""
    return (piece * 8_000)[:8_000]


WORST = [
    *(
        "(",
        ")",
        "[(",
        "not ",
        "'",
        '"',
        "''",
        "- ",
        "= - ",
        "b and ",
        "b or ",
        "n=1 or ",
        "n in (1,2) or ",
        "$1 ",
        "$",
    ),
    *(
        "1",
        "1 ",
        "1.",
        ".",
        "1e",
        "\u017f",
        "\U0001d49c",
        "::",
        "n::int ",
        ",",
        "b is true ",
        "b is not ",
        "<=>",
        "--",
        "/*",
    ),
    *(
        "n between 1 and 2 and ",
        "t like '%%%%%%%%%%' or ",
        "coalesce(t,'a')=",
        "lower(",
        "array[",
        "\\",
        " ",
        "{",
        '"a"',
    ),
]
PREFIXED = [
    *(
        "n in (" + fill("1,"),
        "n = any (array[" + fill("1,"),
        "n = any ('" + fill("{"),
        "n = any ('{" + fill("1,")[:7900] + "}')",
    ),
    *(
        "t = any ('{a" + " " * 7900 + "b}')",
        "t = any ('{\"" + "\\" * 7900 + "\"}')",
        "n = " + "9" * 7900,
        "num = 1e" + "9" * 7900,
    ),
    *(
        "t like '" + "%" * 7900 + "'",
        "t like '" + "\\" * 7901 + "'",
        "num = " + "1." + "0" * 7900,
        "n='1'::" + fill("double "),
    ),
    "(" * 38 + fill("b and ")[:7900] + ")" * 38,
]


@pytest.mark.parametrize("text", [*map(fill, WORST), *(text[:8_000] for text in PREFIXED)])
def test_I_08_the_worst_texts_are_answered_within_50_ms_of_computing(text: str) -> None:
    def seconds() -> float:
        started = time.process_time()
        with contextlib.suppress(FilterRefused):
            parse_filter(text, params=("x" * 8_000,), columns=COLUMNS)
        return time.process_time() - started

    assert min(seconds() for _ in range(3)) < REFUSAL_SECONDS_MAX


def test_a_refusal_says_where_what_was_seen_what_was_expected_and_what_to_do() -> None:
    error = refused("n = 5 and user = 'ada'")
    assert isinstance(error, WireError)
    assert (error.position, error.seen, error.expected) == (10, "'user'", "a column or a constant")
    assert error.advice == "quote a column that is named like a key word"
    assert str(error) == f"at position 10: 'user': expected {error.expected}; {error.advice}"


@pytest.mark.parametrize(
    "text", ["n = '" + "s" * 500 + "'", "x" * 50 + " = 1", "n" * 500, "n = $1", "t like '" + "s%" * 99 + "'"]
)
def test_a_refusal_repeats_at_most_40_characters_of_input(text: str) -> None:
    message = str(refused(text, *(["s" * 500] if "$1" in text else [])))
    windows = {text[at : at + 41] for at in range(len(text) - 40)} | {"s" * 41}
    assert not any(window in message for window in windows)


@settings(max_examples=100, deadline=None)
@given(FILTERS)
def test_what_is_printed_is_read_as_the_same_tree(asked: Written) -> None:
    first = parse_filter(asked.text, params=asked.params, columns=COLUMNS)
    once = print_filter(first, first_param=1)
    second = parse_filter(once.sql, params=once.params, columns=COLUMNS)
    assert second == first
    assert print_filter(second, first_param=1) == once


@settings(max_examples=100, deadline=None)
@given(MUTATED | NOISE | st.builds(Written, st.text(max_size=80), st.just(())))
def test_I_02_nothing_but_a_refusal_escapes(asked: Written) -> None:
    with contextlib.suppress(FilterRefused):
        found = print_filter(parse_filter(asked.text, params=asked.params, columns=COLUMNS), first_param=2)
        assert found.sql.count("(") == found.sql.count(")")
