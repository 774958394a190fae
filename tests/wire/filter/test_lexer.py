"""Tokens as Postgres reads them."""

from __future__ import annotations

import pytest

from shapegate_wire.filter import FilterRefused
from shapegate_wire.filter.lexer import tokens


def meanings(text: str) -> list[str]:
    """The meanings of all tokens but the end."""
    return [token.text for token in tokens(text)][:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n=-5", ["n", "=", "-", "5"]),
        ("n>=-5", ["n", ">=", "-", "5"]),
        ("a<b", ["a", "<", "b"]),
        ("'a''b'", ["a'b"]),
        ("''''", ["'"]),
        ('"a""b"', ['a"b']),
        ("AB \"AB\" 'AB'", ["ab", "AB", "AB"]),
        ("a$1 $1", ["a$1", "1"]),
        ("1 1.5 .5 5. 1e5 1E-5", ["1", "1.5", ".5", "5.", "1e5", "1E-5"]),
        ("x::int[]", ["x", "::", "int", "[", "]"]),
        ("\u0130\u017f\u212aK", ["\u0130\u017f\u212ak"]),
        ("'--' '/*' \"--\"", ["--", "/*", "--"]),
    ],
)
def test_a_text_is_split_where_postgres_splits_it(text: str, expected: list[str]) -> None:
    assert meanings(text) == expected


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("t = 'a''", 4),
        ("t = 'a'' or b", 4),
        ("t = ''' ", 4),
        ('b and "a""', 6),
        ("n = 1a", 4),
        ("n = 1.2.3", 4),
        ("n = $1x", 4),
        ("n = $12345", 4),
        ("n -- 1", 2),
        ("n =-- 1", 2),
        ("n /* x */", 2),
        ("t = E'x'", 4),
        ("(b", 2),
        ("(" * 41, 40),
        ("[(" * 20 + "[", 40),
        ("b)", 1),
        ("(b]", 2),
        ("t = 'a\x00'", 6),
    ],
)
def test_what_postgres_reads_in_another_way_is_refused_where_it_stands(text: str, position: int) -> None:
    with pytest.raises(FilterRefused) as caught:
        meanings(text)
    assert caught.value.position == position


def test_positions_are_those_of_the_text() -> None:
    assert [token.start for token in tokens(' n  = "x"')] == [1, 4, 6, 9]
