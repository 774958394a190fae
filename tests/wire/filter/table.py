"""The table that the filter tests are about: every type, NULLs, and values at the edges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ORGS = ("00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b")
COLUMNS = {
    "id": "int4",
    "org": "uuid",
    "s": "int2",
    "n": "integer",
    "l": "int8",
    "num": "numeric",
    "f": "float4",
    "d": "double precision",
    "t": "text",
    "v": "character varying",
    "b": "boolean",
    "c": "bool",
    "u": "uuid",
    "day": "date",
    "tm": "time",
    "ts": "timestamp without time zone",
    "tz": "timestamptz",
    "tags": "text[]",
    "ns": "int4[]",
    "us": "uuid[]",
    "e": "mood",
    "j": "jsonb",
    "ch": "char(5)",
    "Mixed Case": "text",
    "user": "text",
    'we"ird $1': "int4",
    "größe": "int4",
}
_KEEP = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([0-9]+)""")


def ddl() -> str:
    """The statements that make the table and its type."""
    columns = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {type_}' for name, type_ in COLUMNS.items())
    return f"CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TABLE things ({columns});"


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def with_values(sql: str, params: Sequence[str], *, first: int = 1) -> str:
    """Write `$n` as literals without a type, as Electric does before it asks Postgres."""
    return _KEEP.sub(lambda found: literal(params[int(found[1]) - first]) if found[1] else found[0], sql)


def rows() -> list[str]:
    """Statements that fill the table."""
    statements = []
    for number, values in enumerate(_ROWS, start=1):
        names = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in values)
        written = ", ".join(literal(value) for value in values.values())
        org = literal(ORGS[number % 2])
        separator = ", " if values else ""
        statements.append(
            f"INSERT INTO things (id, org{separator}{names}) VALUES ({number}, {org}{separator}{written})"
        )
    return statements


_PLAIN = {
    "s": "1",
    "n": "5",
    "l": "5",
    "num": "1.5",
    "f": "0.1",
    "d": "0.1",
    "t": "abc",
    "v": "Abc",
    "b": "t",
    "c": "f",
    "u": ORGS[0],
    "day": "2026-01-31",
    "tm": "01:02:03",
    "ts": "2026-01-31 01:02:03",
    "tz": "2026-01-31 01:02:03Z",
    "tags": "{a,b}",
    "ns": "{1,2}",
    "us": "{" + ORGS[0] + "}",
    "e": "ok",
    "j": '{"a": 1}',
    "ch": "ab",
    "Mixed Case": "x",
    "user": "ada",
    'we"ird $1': "1",
    "größe": "2",
}
_ROWS: list[dict[str, str]] = [
    _PLAIN,
    _PLAIN,
    {},
    {},
    {
        "s": "-32768",
        "n": "-2147483648",
        "l": "-9223372036854775808",
        "num": "NaN",
        "f": "NaN",
        "d": "-Infinity",
        "t": "",
        "v": "",
        "b": "f",
        "day": "-infinity",
        "ts": "infinity",
        "tz": "-infinity",
        "tm": "00:00:00",
        "tags": "{}",
        "ns": "{}",
        "us": "{}",
        "e": "sad",
    },
    {
        "s": "32767",
        "n": "2147483647",
        "l": "9223372036854775807",
        "num": "1e-20",
        "f": "Infinity",
        "d": "1e308",
        "t": "100%_\\ 'quoted' \"x\"",
        "v": "\u0130\u0131\u017f\u212a \u00c0B",
        "tm": "24:00:00",
        "day": "0044-03-15 BC",
        "tags": "{NULL,a}",
        "ns": "{NULL,1}",
        "us": "{NULL}",
    },
    {
        "s": "0",
        "n": "0",
        "l": "0",
        "num": "12345678901234567890.123456789",
        "f": "0.5",
        "d": "0",
        "t": "a\nb",
        "v": "NULL",
        "tags": "{{a,b},{c,d}}",
        "ns": "[2:3]={1,5}",
        "tz": "9999-12-31 23:59:59Z",
        "b": "t",
        "c": "t",
    },
    {"n": "-5", "num": "-0.5", "t": "ABC", "v": "b", "tags": '{"NULL","a b","x,y"}', "d": "5e-324", "c": "f"},
]
