"""Hostile filters at random: legal ones cut, spliced and sprinkled with what breaks out of lesser parsers."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.wire.filter.legal import FILTERS, Written

PIECES = [
    *(
        "'",
        '"',
        "''",
        "(",
        ")",
        "((",
        "))",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        ".",
        ":",
        "::",
        "$",
        "$0",
        "$01",
        "$1a",
        "$2",
    ),
    *(
        "--",
        "/*",
        "*/",
        "/**/",
        "$$",
        "$a$",
        "E'",
        "e'\\''",
        "U&'",
        'U&"',
        "B'1'",
        "X'1'",
        "N'a'",
        "\\",
        "\x00",
        "\x0b",
    ),
    *(
        "AND",
        "OR",
        "NOT",
        "IS",
        "NULL",
        "TRUE",
        "IN",
        "ANY",
        "ALL",
        "ARRAY[",
        "BETWEEN",
        "SYMMETRIC",
        "LIKE",
        "ESCAPE",
    ),
    *(
        "=",
        "<>",
        "!=",
        "<=",
        "=>",
        "@>",
        "&&",
        "||",
        "~",
        "->>",
        "-",
        "+",
        "*",
        "%",
        "@@",
        "OPERATOR(pg_catalog.=)",
    ),
    *(
        "SELECT 1",
        "UNION",
        "LIMIT 1",
        "ORDER BY 1",
        "CASE",
        "COLLATE",
        "AT TIME ZONE",
        "ROW(1)",
        "EXISTS(SELECT 1)",
    ),
    *(
        "now()",
        "user",
        "current_user",
        "lower(",
        "pg_sleep(1)",
        "::regclass",
        "::int",
        "::text",
        "things.",
        "t",
        "n",
    ),
    *(
        "1e5",
        ".5",
        "5.",
        "0x1F",
        "1_0",
        "1e",
        "9999999999",
        "4294967297",
        "- -",
        "\u017f",
        "\u0130",
        "\u212a",
        "\u00a0",
    ),
    *(
        "\u2028",
        "\ufeff",
        "\ud800",
        "\n",
        "\t",
        "\r",
        "b",
        "c",
        "true",
        "'a'",
        "'{1}'",
        "5",
        "$1",
        "\u2019",
        "\uff07",
    ),
]


@st.composite
def _mutated(draw: st.DrawFn) -> Written:
    asked = draw(FILTERS)
    text = asked.text
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 6))
        piece = draw(st.sampled_from(PIECES) | st.just("") | st.just(" "))
        space = draw(st.sampled_from(["", " "]))
        text = text[:start] + space + piece + space + text[start + cut :]
    return Written(text, asked.params)


MUTATED = _mutated()
NOISE = st.builds(
    lambda pieces, params: Written("".join(pieces), tuple(params)),
    st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60),
    st.lists(st.text(max_size=5), max_size=3),
)
