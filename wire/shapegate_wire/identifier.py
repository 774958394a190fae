"""Postgres identifiers as shape requests spell them (PROTOCOL 1.2; Postgres: SQL syntax, identifiers).

Unquoted names fold to lower case, quoted ones are kept; both are at most 63 bytes. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shapegate_wire.errors import WireError

IDENTIFIER_BYTES_MAX: Final = 63
_PLAIN: Final = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")
_SIMPLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
"""What nearly every name is: it stays as it is, and is short enough."""
_QUOTED: Final = re.compile(r'"(?:[^"\x00]|"")+"')


class MalformedIdentifier(WireError):
    """Text that is not an identifier, or not a list of them."""


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table by schema and name, both as Postgres stores them."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def to_sql(self) -> str:
        """Print both parts quoted, for SQL and for the `table` parameter."""
        return f"{quote(self.schema)}.{quote(self.name)}"


def quote(name: str) -> str:
    """Quote one identifier, whatever it holds."""
    return '"' + (name.replace('"', '""') if '"' in name else name) + '"'


def parse_table(text: str) -> TableName:
    """Read `name` or `schema.name`; the schema defaults to `public`. Raises MalformedIdentifier."""
    if _SIMPLE.fullmatch(text):
        return TableName(schema="public", name=text)
    parts = _split(text, ".")
    if len(parts) > 2:
        raise MalformedIdentifier(f"table {text[:80]!r} has {len(parts)} parts: expected name or schema.name")
    return TableName(schema=parts[0] if len(parts) == 2 else "public", name=parts[-1])


def parse_columns(text: str) -> tuple[str, ...]:
    """Read a comma list of column names, in the order given, each once. Raises MalformedIdentifier."""
    columns = text.split(",")
    if not all(map(_SIMPLE.fullmatch, columns)):
        columns = _split(text, ",")
    if len(set(columns)) != len(columns):
        raise MalformedIdentifier("a column is named twice: expected each column once")
    return tuple(columns)


def print_columns(columns: tuple[str, ...]) -> str:
    """Print a comma list with every name quoted, so that commas and case survive."""
    return ",".join(map(quote, columns))


def _split(text: str, separator: str) -> list[str]:
    names: list[str] = []
    at = 0
    while True:
        name, at = _identifier(text, at)
        names.append(name)
        if at == len(text):
            return names
        if text[at] != separator:
            raise MalformedIdentifier(f"{text[at]!r} at position {at}: expected {separator!r} or the end")
        at += 1


def _identifier(text: str, at: int) -> tuple[str, int]:
    quoted = _QUOTED.match(text, at)
    plain = None if quoted else _PLAIN.match(text, at)
    if quoted:
        name, end = quoted[0][1:-1].replace('""', '"'), quoted.end()
    elif plain:
        name, end = fold(plain[0]), plain.end()
    else:
        raise MalformedIdentifier(
            f"no identifier at position {at} of {text[:80]!r}: expected a plain or a double-quoted name"
        )
    if len(name.encode("utf-8", "surrogatepass")) > IDENTIFIER_BYTES_MAX:
        raise MalformedIdentifier(f"identifier {name[:80]!r} is longer than {IDENTIFIER_BYTES_MAX} bytes")
    return name, end


def fold(name: str) -> str:
    """Fold an unquoted name as Postgres does in a UTF-8 database: ASCII letters only."""
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in name)
