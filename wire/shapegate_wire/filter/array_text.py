"""Arrays as Postgres text, `{a,"b c",NULL}`: one dimension, strict (Postgres: arrays, I/O syntax). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ITEMS_MAX: Final = 1_000
_ITEM: Final = re.compile(
    r"""
    [ \t\n\r]*
    (?: "(?P<quoted>(?:[^"\\]|\\.)*+)" | (?P<plain>[^"\\{},\s](?:[^"\\{},]*[^"\\{},\s])?) )
    [ \t\n\r]*
    """,
    re.DOTALL | re.VERBOSE,
)
_PLAIN: Final = re.compile(r"[0-9A-Za-z_.+-]+", re.ASCII)


def parse_array(text: str) -> tuple[str | None, ...]:
    """Read an array of one dimension; NULL is None. Raises ValueError, which says what is wrong."""
    body = text.strip(" \t\n\r")
    if not (body.startswith("{") and body.endswith("}")):
        raise ValueError("an array as {a,b}")
    if not body[1:-1].strip(" \t\n\r"):
        return ()
    items: list[str | None] = []
    at = 0
    while body[at] != "}":
        matched = _ITEM.match(body, at + 1)
        if matched is None or body[matched.end() : matched.end() + 1] not in (",", "}"):
            raise ValueError("an array of one dimension as {a,b}, elements with commas or braces in quotes")
        items.append(_item(matched))
        if len(items) > ITEMS_MAX:
            raise ValueError(f"an array of at most {ITEMS_MAX} elements")
        at = matched.end()
    if at != len(body) - 1:
        raise ValueError("nothing behind the array's closing brace")
    return tuple(items)


def print_array(items: Iterable[str]) -> str:
    """Print an array; whatever could mean something else is quoted."""
    return "{" + ",".join(_printed(item) for item in items) + "}"


def _item(matched: re.Match[str]) -> str | None:
    quoted = matched["quoted"]
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    plain = matched["plain"]
    return None if plain.upper() == "NULL" else plain


def _printed(item: str) -> str:
    if _PLAIN.fullmatch(item) and item.upper() != "NULL":
        return item
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
