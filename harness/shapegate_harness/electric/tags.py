"""Tags and conditions of rows, and the events that speak of them (PROTOCOL 3.5; recorded).

A tag has a slot per position: empty outside its disjunct, `1` for a plain condition, else a hash of the row's
value there, salted per handle. Python and Postgres print them alike. Pure: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.printer import print_literal
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shapegate_harness.electric.dnf import Branches
    from shapegate_harness.electric.members import Value

_PLAIN: Final = "1"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a row stands to a shape's filter."""

    shown: bool
    active: tuple[bool, ...] = ()
    """Whether the condition at each position holds; empty in shapes without subqueries."""
    tags: tuple[str, ...] = ()


SHOWN: Final = Standing(True)
HIDDEN: Final = Standing(False)


def hash_value(salt: str, value: Value) -> str:
    """Hash the value that a row has at a position."""
    parts = ("n" if part is None else "v" + part for part in value)
    return _md5(salt + "".join(map(_md5, parts)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def print_tags(branches: Branches, hashes: Mapping[int, str]) -> tuple[str, ...]:
    """Print a row's tags, one per disjunct; `hashes` has those of its values by leaf."""
    count = len(branches.positions)
    return tuple(
        "/".join(
            hashes.get(branches.positions[at].leaf, _PLAIN) if at in disjunct else "" for at in range(count)
        )
        for disjunct in branches.disjuncts
    )


def tags_sql(branches: Branches, salt: str, columns: Mapping[int, tuple[str, ...]]) -> list[str]:
    """Print expressions that, one after the other, are the rows' tags in JSON; `columns` are by leaf."""
    parts = [print_literal('"tags":[')]
    for number, disjunct in enumerate(branches.disjuncts):
        parts.append(print_literal(',"' if number else '"'))
        for at, position in enumerate(branches.positions):
            slash = "/" if at else ""
            compared = columns.get(position.leaf)
            if at not in disjunct or compared is None:
                parts.append(print_literal(slash + (_PLAIN if at in disjunct else "")))
            else:
                parts += [print_literal(slash), _hash_sql(salt, compared)]
        parts.append(print_literal('"'))
    return [*parts, print_literal("],")]


def _hash_sql(salt: str, columns: Sequence[str]) -> str:
    hashed = [_md5_sql(_part_sql(quote(column))) for column in columns]
    return _md5_sql(" || ".join((print_literal(salt), *hashed)))


def _part_sql(column: str) -> str:
    # concat uses the output function, as the log does: a boolean is t, where a cast to text says true.
    return f"CASE WHEN {column} IS NULL THEN 'n' ELSE concat('v', {column}) END"


def _md5_sql(text: str) -> str:
    return f"md5(convert_to({text}, 'UTF8'))"


def active_sql(literals: Sequence[str]) -> list[str]:
    """Print expressions that, one after the other, are the rows' conditions in JSON."""
    parts = [print_literal('"active_conditions":[')]
    for number, literal in enumerate(literals):
        comma = "," if number else ""
        parts.append(
            f"CASE WHEN ({literal}) IS TRUE THEN {print_literal(comma + 'true')} "
            f"ELSE {print_literal(comma + 'false')} END"
        )
    return [*parts, print_literal("],")]


def print_event(event: str, patterns: Sequence[tuple[int, str]], xids: Sequence[int]) -> bytes:
    """Print a move-in or move-out of the rows with these hashes at these positions."""
    printed = [{"value": hashed, "pos": position} for position, hashed in patterns]
    headers = {"event": event, "txids": list(xids), "patterns": printed}
    return json.dumps({"headers": headers}, separators=(",", ":")).encode()
