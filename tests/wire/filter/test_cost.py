"""What a shape's filter may cost Electric for each change: wildcards, LIKEs and what is searched for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_wire.filter import FilterTooCostly, check_cost, parse_filter
from shapegate_wire.filter.cost import LIKES_MAX, SEARCHED_CHARS_MAX
from tests.wire.filter.legal import FILTERS, Written
from tests.wire.filter.table import COLUMNS, literal

PATTERNS = st.text(alphabet="ab%_\\\n", max_size=12).filter(lambda text: not _ends_in_half_an_escape(text))


def _ends_in_half_an_escape(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def check(where: str, *params: str) -> None:
    check_cost(parse_filter(where, params=params, columns=COLUMNS))


@pytest.mark.parametrize("word", ["LIKE", "not like", "ILIKE", "NOT ILIKE"])
@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "%",
        "foo",
        "foo%",
        "%foo",
        "%foo%",
        "a%b",
        "a%b%",
        "a%%b%%",
        "%%",
        r"\%a\%b\%c%",
        r"a\\%b%",
        "_a_%_",
    ],
)
def test_P_10_I_08_a_pattern_with_one_wildcard_before_its_end_is_followed(word: str, pattern: str) -> None:
    check(f"t {word} {literal(pattern)}")
    check(f"t {word} $1", pattern)


@pytest.mark.parametrize("word", ["LIKE", "not like", "ILIKE", "NOT ILIKE"])
@pytest.mark.parametrize(
    ("pattern", "count"),
    [("%a%b", 2), ("%a%b%", 2), ("a%b%c", 2), ("a%b%c%", 2), ("%a%a%a%b", 4), (r"\\%a%b", 2), (r"%a%\%", 2)],
)
def test_P_10_I_08_a_pattern_with_more_wildcards_is_too_costly(word: str, pattern: str, count: int) -> None:
    for where, params in ((f"t {word} {literal(pattern)}", ()), (f"t {word} $1", (pattern,))):
        with pytest.raises(FilterTooCostly) as caught:
            check(where, *params)
        assert str(caught.value) == (
            f"the pattern {pattern!r} has {count} % before its end: "
            "expected at most 1 in the filter of a shape; a subset may have ten"
        )


@pytest.mark.parametrize(
    "where",
    [
        "NOT t LIKE '%a%b'",
        "b OR (n = 1 AND (t = 'x' OR t LIKE '%a%b'))",
        "(t LIKE '%a%b') IS NOT TRUE",
        "(NOT (b AND v LIKE '%a%b')) IS UNKNOWN",
        "lower(t) LIKE '%a%b'",
        "coalesce(v, 'x') LIKE '%a%b'",
        "u::text LIKE '%a%b'",
        "t LIKE 'a%' AND v LIKE '%a%b'",
    ],
)
def test_I_08_a_costly_pattern_is_found_wherever_it_stands(where: str) -> None:
    with pytest.raises(FilterTooCostly, match="before its end"):
        check(where)
    check(where.replace("%a%b", "%ab"))


def test_I_08_so_many_LIKEs_are_followed_and_no_more() -> None:
    likes = ["t LIKE 'a'", "v NOT ILIKE 'b%'"] * (LIKES_MAX // 2)
    check(" OR ".join(likes))
    told = "^21 LIKEs: expected at most 20 in the filter of a shape; a subset may have more$"
    with pytest.raises(FilterTooCostly, match=told):
        check(" OR ".join([*likes, "t LIKE 'c'"]))


def test_I_08_what_is_searched_for_is_bounded_and_what_a_text_begins_with_is_not() -> None:
    half = "x" * (SEARCHED_CHARS_MAX // 2 - 1)
    check("t LIKE $1 OR v ILIKE $2", f"%{half}", f"{half}%")
    check("t LIKE $1 OR v ILIKE $2", "x" * 4000, "y" * 4000 + "%")
    check("t LIKE $1 AND v ILIKE $2 AND t LIKE 'no search%'", f"%{half}", f"%{half}")
    told = (
        "^patterns with a % before their end have 501 characters: "
        "expected at most 500 together in the filter of a shape; a subset may have more$"
    )
    with pytest.raises(FilterTooCostly, match=told):
        check("t LIKE $1 AND v ILIKE $2", f"%{half}", f"%{half}y")


def test_I_08_a_long_pattern_is_told_in_part_only() -> None:
    with pytest.raises(FilterTooCostly) as caught:
        check("t LIKE $1", "%a%" + "x" * 400)
    assert "x" * 50 not in str(caught.value)


def searches(pattern: str) -> int:
    """Count the `.*` before the end of the regular expression that Electric makes of a pattern."""
    parts = re.findall(r"\\.|%+|[^\\%]", pattern, re.DOTALL)
    regex = [".*" if part.startswith("%") else "letter" for part in parts]
    return regex[:-1].count(".*")


@given(PATTERNS)
def test_P_10_I_08_what_is_followed_has_one_search_at_most(pattern: str) -> None:
    if pattern.count("%") <= 10:
        try:
            check("t LIKE $1", pattern)
        except FilterTooCostly:
            assert searches(pattern) > 1
        else:
            assert searches(pattern) <= 1


@given(FILTERS)
def test_a_filter_of_few_plain_patterns_is_followed(asked: Written) -> None:
    check(asked.text, *asked.params)
