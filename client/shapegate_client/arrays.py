"""Postgres' array literals as JSON text (Postgres: Arrays, input and output syntax). Pure: no I/O, no clock.

Quoted elements may hold anything, with backslash escapes; an unquoted NULL is null, a quoted one is text; a
prefix of bounds as in `[2:3]={1,2}` is dropped, since JSON arrays have none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shapegate_wire.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTH_MAX: Final = 6
"""Postgres' own bound, MAXDIM."""

_BOUNDS: Final = re.compile(r"(?:\[-?[0-9]+:-?[0-9]+\])+=", re.ASCII)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parse_array(text: str, print_element: Callable[[str], str], *, delimiter: str = ",") -> str:
    """Print a Postgres array literal as JSON; `print_element` prints one element.

    Raises MalformedResponse.
    """
    bounds = _BOUNDS.match(text)
    reader = _Reader(text, bounds.end() if bounds else 0, print_element, delimiter)
    printed = reader.array(depth=1)
    if reader.at != len(text):
        raise _malformed()
    return printed


class _Reader:
    """A position in one literal."""

    def __init__(self, text: str, at: int, print_element: Callable[[str], str], delimiter: str) -> None:
        self.text = text
        self.at = at
        self._print = print_element
        self._delimiter = delimiter
        self._plain = re.compile(rf'[^"{{}}\\{delimiter}]+')

    def array(self, *, depth: int) -> str:
        if depth > DEPTH_MAX or not self._take("{"):
            raise _malformed()
        items: list[str] = []
        if self._take("}"):
            return "[]"
        while True:
            items.append(self._item(depth))
            if self._take("}"):
                return f"[{','.join(items)}]"
            if not self._take(self._delimiter):
                raise _malformed()

    def _item(self, depth: int) -> str:
        if self.text.startswith("{", self.at):
            return self.array(depth=depth + 1)
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            return self._print(_ESCAPED.sub(r"\1", quoted[1]))
        plain = self._plain.match(self.text, self.at)
        if plain is None:
            raise _malformed()
        self.at = plain.end()
        return "null" if plain[0] == "NULL" else self._print(plain[0])

    def _take(self, char: str) -> bool:
        found = self.text.startswith(char, self.at)
        self.at += found
        return found


def _malformed() -> MalformedResponse:
    return MalformedResponse("an array column holds text that is no array literal")
