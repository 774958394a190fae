"""Which filters are accepted, and in which words they are refused."""

from __future__ import annotations

import pytest

from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.filter import parse_filter
from shapegate_harness.electric.pgtypes import Type
from shapegate_harness.electric.typecheck import Terms, check_filter

NAMES = (
    "bool int2 int4 int8 float4 float8 numeric text varchar uuid date time timestamp timestamptz "
    "interval bytea"
)
COLUMNS = {
    **{f"c_{name}": Type(name) for name in NAMES.split()},
    "ch": Type("bpchar"),
    "cit": Type('"citext"'),
    "dom": Type('"posint"'),
    "doc": Type("jsonb"),
    "inet": Type("inet"),
    "mood": Type("mood", enum=True),
    "ints": Type("int4", array=True),
    "texts": Type("text", array=True),
    "Odd": Type("text"),
}


def check(text: str, *params: str, enums: bool = False) -> dict[int, str]:
    terms = Terms(columns=COLUMNS, params=params, enums=enums)
    return {at: str(type_) for at, type_ in check_filter(parse_filter(text).tree, terms).items()}


def refusal(text: str, *params: str) -> str:
    with pytest.raises(Rejected) as caught:
        check(text, *params)
    return caught.value.problems["where"][0]


ACCEPTED = [
    "c_bool",
    "NOT c_bool AND c_bool IS NOT TRUE OR c_int4 IS NULL",
    "doc IS NOT NULL AND inet IS NULL",
    "c_int8 = 1 AND c_int2 < c_int8 AND c_float8 > 1 AND c_numeric > 1 AND c_float4 <= 1.5",
    "c_int4 + 1 > c_int8 * 2 AND -c_int4 < 0 AND c_int4 / 2 = 1 AND c_int4 & 1 = 1",
    "c_text = 'a' AND c_varchar = 'v' AND ch = 'ab' AND c_text < 'b'",
    "c_text || 'x' LIKE '%x' AND lower(c_varchar) ILIKE 'a%' AND c_text NOT LIKE 'b'",
    "concat(c_text, 'a') = 'x' AND coalesce(c_text, 'x') <> greatest('a', c_text)",
    "c_uuid = '00000000-0000-0000-0000-000000000001'",
    "c_date > '2020-01-01' AND c_timestamp >= c_date AND c_date - c_date > 3",
    "c_timestamptz > '2026-01-01 00:00:00Z' AND c_time < '10:00:00'",
    "c_timestamp + '1 day'::interval > c_timestamp AND c_interval = 'P1D'",
    "c_timestamptz AT TIME ZONE 'UTC' > '2026-01-01 00:00:00'",
    "c_int4 IN (1, 2) AND c_int8 NOT IN (1) AND c_text IN ('a')",
    "c_int4 BETWEEN 1 AND 2 AND c_int8 NOT BETWEEN SYMMETRIC 2 AND 1",
    "c_int4 = ANY(ints) AND 'a' = ANY(texts) AND c_int8 = ANY('{1,2}') AND c_int4 <> ALL (ARRAY[1,2])",
    "ints && ARRAY[1,2] AND texts @> '{a}' AND texts <@ ARRAY['a', c_text] AND ints = '{1,NULL}'",
    "ints[1] = 1 AND ints[1:2] = '{1,2}' AND array_ndims(ints) = 1",
    "c_text IS DISTINCT FROM NULL AND c_int4 IS NOT DISTINCT FROM 1",
    "c_int4::text = '1' AND c_text::int4 = 1 AND mood::text = 'ok' AND '{1}'::int4[] = ints",
    "c_bool::int4 = 1",
    "mood = mood",
    "\"Odd\" = 'x' AND true",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_electric_accepts_is_accepted(text: str) -> None:
    assert check(text) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # As recorded of a real Electric.
        ("nope = 1", "At location 0: unknown reference nope"),
        ("c_int8 = 'abc'", "At location 9: invalid syntax for type int8: abc"),
        ("c_int8 + 1", "WHERE clause must return a boolean"),
        ("c_date > now()", "At location 9: unknown or unsupported function now/0"),
        ("foo(c_text) = 'a'", "At location 0: unknown or unsupported function foo/1"),
        ("c_int8=$1", "At location 7: parameter $1 was not provided"),
        ("doc->>'k' = '1'", 'At location 3: unknown binary operator "->>"'),
        ("doc->'a' = '1'", 'At location 3: unknown binary operator "->"'),
        ("c_int4 % 2 = 0", 'At location 7: unknown binary operator "%"'),
        ("mood = 'ok'", "At location 7: invalid syntax for type enum mood: ok"),
        ("c_interval > '1 day'::interval", "At location 11: Could not select an operator overload"),
        ("dom = 5", "At location 4: Could not select an operator overload"),
        ("c_bytea = '\\xde'", "At location 8: Could not select an operator overload"),
        ("inet = '10.0.0.1/24'", "At location 5: Could not select an operator overload"),
        ("c_timestamptz > '2020-01-01'", "At location 16: invalid syntax for type timestamptz: 2020-01-01"),
        ("c_time > '01:00'", "At location 9: invalid syntax for type time: 01:00"),
        # As documented.
        ("cit = 'a'", "At location 4: Could not select an operator overload"),
        ("mood < mood", "At location 5: Could not select an operator overload"),
        ("mood IN ('ok')", "At location 9: invalid syntax for type enum mood: ok"),
        ("c_text ~ 'a'", 'At location 7: unknown binary operator "~"'),
        ("length(c_text) > 1", "At location 0: unknown or unsupported function length/1"),
        ("t.c_int4 = 1", "At location 0: unknown reference t.c_int4"),
        ("pg_catalog.pg_sleep(1) IS NULL", "At location 0: unknown or unsupported function pg_sleep/1"),
        ('"pg_sleep"(1) IS NULL', "At location 0: unknown or unsupported function pg_sleep/1"),
        ("lower(pg_sleep(1)) = ''", "At location 6: unknown or unsupported function pg_sleep/1"),
        ('"Foo"(1) = 1', 'At location 0: unknown or unsupported function "Foo"/1'),
        ("c_text = c_int8", "At location 7: Could not select an operator overload"),
        ("c_int4 AND true", "At location 0: reference c_int4 of type int4 is not castable to bool"),
        ("c_int4 IS TRUE", "At location 7: argument of IS TRUE must be bool, not int4"),
        ("c_int4 = ANY(c_int8)", "At location 13: argument of ANY must be an array"),
        ("c_numeric::numeric = 1", "At location 11: unsupported type numeric"),
        ("c_int8::int4 = 1", "At location 0: unknown cast from type int8 to type int4"),
        ("'a'::int4 = 1", 'At location 0: could not cast value "a" from text to int4'),
        ("lower(c_int4) = 'a'", "At location 0: Could not select a function overload for lower(int4)"),
        ("(c_int4, c_int8) = (1, 2)", "At location 0: Could not select an operator overload"),
        ("ARRAY[1, 'a', c_text] = ints", "At location 0: ARRAY types text and int4 cannot be matched"),
        ("'x'", "WHERE clause must return a boolean"),
        ("NULL", "WHERE clause must return a boolean"),
    ],
)
def test_what_electric_refuses_is_refused_in_its_words(text: str, problem: str) -> None:
    assert refusal(text) == problem


def test_a_param_takes_its_type_from_its_first_use() -> None:
    assert check("c_int8 = $1 AND c_text = $2 AND c_int4 = ANY($3)", "1", "x", "{1}") == {
        9: "int8",
        25: "text",
        45: "int4[]",
    }
    assert refusal("c_int8 = $1", "abc") == "At location 9: invalid syntax for type int8: abc"
    assert (
        refusal("c_int8 = $1 AND c_text = $1", "1") == "At location 23: Could not select an operator overload"
    )
    assert refusal("$1", "t") == "WHERE clause must return a boolean"


def test_a_subset_leaves_constants_of_enums_to_postgres() -> None:
    assert check("mood = $1 AND mood IN ('ok')", "ok", enums=True) == {7: "enum mood"}
