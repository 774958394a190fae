from __future__ import annotations

import pytest

from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.lexer import Kind, split


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("A=1", [(Kind.WORD, "a", 0), (Kind.OTHER, "=", 1), (Kind.OTHER, "1", 2)]),
        ("x--y\nz", [(Kind.WORD, "x", 0), (Kind.WORD, "z", 5)]),
        ("/* /* */ ' */ x", [(Kind.WORD, "x", 14)]),
        ("a+--b", [(Kind.WORD, "a", 0), (Kind.OTHER, "+", 1)]),
        ("a/*b*/*c", [(Kind.WORD, "a", 0), (Kind.OTHER, "*", 6), (Kind.WORD, "c", 7)]),
        ("'a''b'x", [(Kind.TEXT, "'a''b'", 0), (Kind.WORD, "x", 6)]),
        (r"e'\''x", [(Kind.TEXT, r"e'\''", 0), (Kind.WORD, "x", 5)]),
        ("'\\'x", [(Kind.TEXT, "'\\'", 0), (Kind.WORD, "x", 3)]),
        ("$t$ $$ $t$x", [(Kind.TEXT, "$t$ $$ $t$", 0), (Kind.WORD, "x", 10)]),
        ("a$1 $12", [(Kind.WORD, "a$1", 0), (Kind.PARAM, "$12", 4)]),
        ('"A""b"', [(Kind.QUOTED, '"A""b"', 0)]),
        ("a::b", [(Kind.WORD, "a", 0), (Kind.OTHER, "::", 1), (Kind.WORD, "b", 3)]),
        # A no-break space is a letter to Postgres, not a space.
        ("a\u00a0b", [(Kind.WORD, "a\u00a0b", 0)]),
    ],
)
def test_a_text_is_split_as_postgres_does(text: str, tokens: list[tuple[Kind, str, int]]) -> None:
    assert [(token.kind, token.text, token.start) for token in split(text)] == tokens


@pytest.mark.parametrize(
    "text", ["'", '"', '""', "$t$", "/*", "/*/", "U&'x'", 'u&"x"', "$0", "\x00", "\\", "{"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        split(text)
