"""Scopes over the table of the filter tests: the five kinds, and any at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from shapegate_proxy.scope_parser import parse_scope
from shapegate_wire.identifier import TableName
from tests.wire.filter.table import COLUMNS

if TYPE_CHECKING:
    from shapegate_proxy.scope import Scope

THINGS = TableName("public", "things")
PARENTS = TableName("public", "parents")
PARENT_COLUMNS = {"key": "text", "client": "text", "vendor": "character varying(20)", "org": "uuid"}
TABLES = {THINGS: COLUMNS, PARENTS: PARENT_COLUMNS}

KINDS = {
    "org": "org = {org}",
    "id": "u = {org}",
    "two-sided": "(t = {claims.client} OR v = {claims.vendor}) AND true",
    "user-or-null": "org = {org} AND (u = {user} OR u IS NULL)",
    "child": "t IN (SELECT key FROM parents WHERE client = {claims.client} OR vendor = {claims.vendor})",
}
"""Every kind of scope that the example domains have."""


def scope(text: str) -> Scope:
    """Parse a scope of the table."""
    return parse_scope(text, columns=COLUMNS, tables=TABLES)


_CLAIMS = st.sampled_from(["{org}", "{user}", "{claims.client}", "{claims.x_1}"])
_EQUAL = st.sampled_from(["=", " = ", "  =\n"])
_COMPARED = st.builds(
    lambda column, sign, claim: f"{column}{sign}{claim}",
    st.sampled_from(["org", "ORG", "u", "t", '"Mixed Case"', "v", "n", "l", "s", '"user"', "größe"]),
    _EQUAL,
    _CLAIMS,
)
_PARENT_COMPARED = st.builds(
    lambda column, sign, claim: f"{column}{sign}{claim}",
    st.sampled_from(["client", "vendor", "org"]),
    _EQUAL,
    _CLAIMS,
)
_NULL = st.sampled_from(["u IS NULL", "j is null", '"Mixed Case" Is Null', "day IS NULL"])
_ROLE = st.just("t = {role}")


def _joined(
    left: st.SearchStrategy[str], words: list[str], right: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    return st.builds(lambda a, word, b: f"({a}) {word} ({b})", left, st.sampled_from(words), right)


def _narrower(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts that stay bound: anything may be added by AND, by OR only what is bound itself."""
    return st.one_of(
        _joined(inner, ["AND", "and"], st.one_of(_NULL, _ROLE, _joined(_NULL, ["or", "and"], _ROLE))),
        _joined(_NULL, ["and"], inner),
        _joined(inner, ["OR", "and"], inner),
        st.builds(lambda text: f"( {text} )", inner),
    )


_WITHIN = st.builds(
    lambda inner: f'"t" IN ( select "key" FROM Public.parents WHERE {inner})',
    st.recursive(_PARENT_COMPARED, lambda inner: _joined(inner, ["OR", "AND"], inner), max_leaves=3),
)
SCOPES = st.builds(
    lambda text, end: text + end,
    st.recursive(_COMPARED | _WITHIN, _narrower, max_leaves=4),
    st.sampled_from(["", " AND true", "\nand TRUE "]),
)
_PIECES = st.sampled_from(
    [
        *(
            "'",
            '"',
            "(",
            ")",
            ";",
            "--",
            "/*",
            "*/",
            "$1",
            "$$",
            "E'",
            "\x00",
            "{org}",
            "{role}",
            "{user",
            "}",
        ),
        *("OR", "OR true", "AND false", "NOT", "NULL", "IS NULL", "1=1", "= 'a'", "= 1", "t", "org =", "."),
        *("LIMIT 1", "OFFSET 1", "FETCH FIRST ROW ONLY", "UNION SELECT key FROM parents", "ORDER BY 1"),
        *(
            "IN (SELECT key FROM parents)",
            "IN ('a')",
            "EXISTS",
            "lower(t)",
            "<>",
            "::text",
            "\u017f",
            "\ud800",
        ),
    ]
)


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    text: str = draw(SCOPES)
    for _ in range(draw(st.integers(1, 3))):
        start, cut = draw(st.integers(0, len(text))), draw(st.integers(0, 8))
        text = f"{text[:start]} {draw(_PIECES)} {text[start + cut :]}"
    return text


MUTATED_SCOPES = _mutated() | st.text(max_size=60)
