"""Where the keys of a TOML document stand, so that a problem can name its line. Pure: no I/O, no clock.

tomllib keeps no positions. Each statement of TOML stands alone on its lines, so tomllib itself says where one
ends: at the first line up to which it parses.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath = tuple[str, ...]
"""Keys from the top down; an element of an array of tables is its number from 0."""


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Find the line, from 1, on which each key of a valid document is first named."""
    lines: dict[KeyPath, int] = {}
    elements: dict[KeyPath, int] = {}
    header: KeyPath = ()
    statement, start = "", 1
    for number, line in enumerate(re.split(r"\r?\n", text), start=1):
        statement += line + "\n"
        try:
            loaded = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # its value goes on
        paths = list(_paths(loaded))
        if statement.lstrip().startswith("["):
            paths, header = _header(paths[-1], elements, is_array=statement.lstrip().startswith("[["))
        else:
            paths = [header + path for path in paths]
        for path in paths:
            lines.setdefault(path, start)
        statement, start = "", number + 1
    return lines


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """Find the line of a key, or of the nearest one above it that is named; else 1."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _paths(loaded: Mapping[str, object]) -> Iterator[KeyPath]:
    """Name every key of one statement; of a header these are its own parts, the deepest last."""
    for key, value in loaded.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))


def _header(names: KeyPath, elements: dict[KeyPath, int], *, is_array: bool) -> tuple[list[KeyPath], KeyPath]:
    """Read `[a.b]` or `[[a.b]]`: the paths that it names, and the one that following keys are below.

    `elements` counts the elements of each array of tables; a name of such an array means its last element.
    """
    paths: list[KeyPath] = []
    path: KeyPath = ()
    for depth, name in enumerate(names, start=1):
        path = (*path, name)
        paths.append(path)
        if is_array and depth == len(names):
            elements[path] = elements.get(path, 0) + 1
        if path in elements:
            path = (*path, str(elements[path] - 1))
            paths.append(path)
    return paths, path
