"""Lines of keys, in every spelling that TOML has for them."""

from __future__ import annotations

import tomllib
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.toml_lines import KeyPath, key_lines, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = """# a comment
version = 1

[tables.a]
scope = "x"  # [tables.fake]
columns.id = "uuid"
columns."a.b" = "[tables.fake]"

[tables.'b.c'.columns] # behind
  id   =   "uuid"
'q uo' = '''
[tables.fake]
key = 1
'''
roles = [
  "owner",  # ]
  { name = "x" },
]
inline = { x = 1, y = { z = [
  2 ] } }

[[issuers]]
issuer = "one"
[issuers.claims]
client = "c"
[[ "issuers" ]]
issuer = "two"
[issuers.claims]
client = "d"
[[issuers.keys]]
file = "k"
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("version",), 2),
        (("tables",), 4),
        (("tables", "a"), 4),
        (("tables", "a", "scope"), 5),
        (("tables", "a", "columns"), 6),
        (("tables", "a", "columns", "id"), 6),
        (("tables", "a", "columns", "a.b"), 7),
        (("tables", "b.c"), 9),
        (("tables", "b.c", "columns"), 9),
        (("tables", "b.c", "columns", "id"), 10),
        (("tables", "b.c", "columns", "q uo"), 11),
        (("tables", "b.c", "columns", "roles"), 15),
        (("tables", "b.c", "columns", "inline", "y", "z"), 19),
        (("issuers",), 22),
        (("issuers", "0", "issuer"), 23),
        (("issuers", "0", "claims"), 24),
        (("issuers", "0", "claims", "client"), 25),
        (("issuers", "1"), 26),
        (("issuers", "1", "issuer"), 27),
        (("issuers", "1", "claims", "client"), 29),
        (("issuers", "1", "keys", "0", "file"), 31),
    ],
)
def test_a_key_is_found_on_the_line_of_its_statement(path: KeyPath, line: int) -> None:
    assert key_lines(DOCUMENT)[path] == line
    assert key_lines(DOCUMENT.replace("\n", "\r\n"))[path] == line


def test_a_statement_may_be_indented() -> None:
    lines = key_lines("  [a]\n\tb = 1\n \t[[c]]\n  d = 1\n")
    assert lines == {("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", "0"): 3, ("c", "0", "d"): 4}


def test_what_only_looks_like_a_key_is_none() -> None:
    assert not [path for path in key_lines(DOCUMENT) if "fake" in path or "key" in path]


def test_a_key_that_is_missing_has_the_line_of_what_it_is_missing_in() -> None:
    lines = key_lines(DOCUMENT)
    assert line_of(("tables", "a", "roles"), lines) == 4
    assert line_of(("lookups", "a"), lines) == 1


def test_a_document_without_statements_has_no_keys() -> None:
    assert key_lines("\n# nothing\n") == {}


_KEYS = st.sampled_from(["a", "b", "'x.y'", '"[q]"', "1", "_", '"#"'])
_VALUES = st.sampled_from(
    ["1", "'[a]'", '"""\n[b]\n"""', "[\n1,\n2]", "{a = 1, b.c = '''\n'''}", '"a = 1"', "[[1]]", "{}"]
)
_STATEMENTS = st.one_of(
    st.builds(lambda keys: f"[{'.'.join(keys)}]", st.lists(_KEYS, min_size=1, max_size=2)),
    st.builds(lambda key: f"[[ {key} ]] # x", _KEYS),
    st.builds(
        lambda keys, value: f"{' . '.join(keys)} = {value}", st.lists(_KEYS, min_size=1, max_size=2), _VALUES
    ),
    st.sampled_from(["", "  # a = 1", "\t"]),
)


def named(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of a parsed document; arrays that are values have no lines of their own."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from named(item, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from named(item, (*path, str(number)))


@given(st.lists(_STATEMENTS, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_any_document_has_the_line_of_a_statement(statements: list[str], newline: str) -> None:
    text = newline.join(statement.replace("\n", newline) for statement in statements)
    try:
        loaded = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)
    assert set(named(loaded)) <= lines.keys()
    before = accumulate((statement.count("\n") + 1 for statement in statements), initial=1)
    assert set(lines.values()) <= set(before)
