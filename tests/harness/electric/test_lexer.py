from __future__ import annotations

import pytest

from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.lexer import Kind, split


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("A=1", [(Kind.WORD, "a", 0), (Kind.SYMBOL, "=", 1), (Kind.NUMBER, "1", 2)]),
        ("a=-1", [(Kind.WORD, "a", 0), (Kind.SYMBOL, "=", 1), (Kind.SYMBOL, "-", 2), (Kind.NUMBER, "1", 3)]),
        ("a@-1", [(Kind.WORD, "a", 0), (Kind.SYMBOL, "@-", 1), (Kind.NUMBER, "1", 3)]),
        ("x--y\nz", [(Kind.WORD, "x", 0), (Kind.WORD, "z", 5)]),
        ("/* /* */ ' */ x", [(Kind.WORD, "x", 14)]),
        ("a+--b", [(Kind.WORD, "a", 0), (Kind.SYMBOL, "+", 1)]),
        ("a/*b*/*c", [(Kind.WORD, "a", 0), (Kind.SYMBOL, "*", 6), (Kind.WORD, "c", 7)]),
        ("'a''b'x", [(Kind.TEXT, "a'b", 0), (Kind.WORD, "x", 6)]),
        (r"e'\''x", [(Kind.TEXT, "'", 0), (Kind.WORD, "x", 5)]),
        (r"E'a\n\\\q'", [(Kind.TEXT, "a\n\\q", 0)]),
        ("'\\'x", [(Kind.TEXT, "\\", 0), (Kind.WORD, "x", 3)]),
        ("b'01'", [(Kind.BITS, "b'01'", 0)]),
        ("$t$ $$ $t$x", [(Kind.TEXT, " $$ ", 0), (Kind.WORD, "x", 10)]),
        ("a$1 $12", [(Kind.WORD, "a$1", 0), (Kind.PARAM, "$12", 4)]),
        ('"A""b"', [(Kind.QUOTED, 'A"b', 0)]),
        ("a::b", [(Kind.WORD, "a", 0), (Kind.SYMBOL, "::", 1), (Kind.WORD, "b", 3)]),
        # A no-break space is a letter to Postgres, not a space.
        ("a\u00a0b", [(Kind.WORD, "a\u00a0b", 0)]),
    ],
)
def test_a_text_is_split_as_postgres_does(text: str, tokens: list[tuple[Kind, str, int]]) -> None:
    assert [(token.kind, token.text, token.start) for token in split(text)] == tokens


@pytest.mark.parametrize(
    "text",
    ["'", '"', '""', "$t$", "/*", "/*/", "U&'x'", 'u&"x"', "N'x'", r"E'\x41'", "$0", "\x00", "\\", "{"],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        split(text)
