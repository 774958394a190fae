"""The types that a filter may compare, by every name that Postgres has for them.

Only types that Postgres and Electric compare alike (PROTOCOL 5). A column of any other type can be tested for
NULL; one of a type that is not known here, which an enum is, can be compared by its text too. Pure.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final


class Kind(enum.Enum):
    """A group of values that compare with each other."""

    BOOL = "bool"
    INT2 = "int2"
    INT4 = "int4"
    INT8 = "int8"
    NUMERIC = "numeric"
    FLOAT4 = "float4"
    FLOAT8 = "float8"
    TEXT = "text"
    UUID = "uuid"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    ENUM = "enum"
    """A type that is not known here: an enum, or one that Electric refuses itself."""
    UNREAD = "unread"
    """A known type that is not compared: jsonb, bytea, interval, char(n), ..."""


INTEGERS: Final = frozenset({Kind.INT2, Kind.INT4, Kind.INT8})
NUMBERS: Final = INTEGERS | {Kind.NUMERIC, Kind.FLOAT4, Kind.FLOAT8}
MOMENTS: Final = frozenset({Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})
ORDERED: Final = NUMBERS | MOMENTS | {Kind.TEXT, Kind.UUID}
COMPARED: Final = ORDERED | {Kind.BOOL}

_NAMES: Final = {
    "boolean": Kind.BOOL,
    "smallint": Kind.INT2,
    "int": Kind.INT4,
    "integer": Kind.INT4,
    "bigint": Kind.INT8,
    "decimal": Kind.NUMERIC,
    "real": Kind.FLOAT4,
    "float": Kind.FLOAT8,
    "double precision": Kind.FLOAT8,
    "varchar": Kind.TEXT,
    "character varying": Kind.TEXT,
    "time without time zone": Kind.TIME,
    "timestamp without time zone": Kind.TIMESTAMP,
    "timestamp with time zone": Kind.TIMESTAMPTZ,
} | {kind.value: kind for kind in COMPARED}
_UNREAD: Final = frozenset(
    {"bit varying", "time with time zone"}.union(
        *(
            line.split()
            for line in (
                "bit box bpchar bytea char character cid cidr circle citext daterange geography",
                "geometry hstore inet int4range int8range interval json jsonb jsonpath line lseg",
                "ltree macaddr macaddr8 money name numrange oid path pg_lsn point polygon regclass",
                "regproc regtype tid timetz tsquery tsrange tstzrange tsvector txid_snapshot varbit",
                "vector xid xid8 xml",
            )
        )
    )
)
_PRECISION: Final = re.compile(r"\s*\([0-9, ]*\)")
TYPE_NAMES: Final = frozenset(_NAMES)
"""Every name of a type that a client may write behind `::`, its words a space apart."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type as far as comparisons care."""

    kind: Kind
    is_array: bool = False

    def __str__(self) -> str:
        return self.kind.value + ("[]" if self.is_array else "")

    @property
    def is_compared(self) -> bool:
        """Whether its values may be compared at all."""
        return self.kind in COMPARED

    @property
    def is_ordered(self) -> bool:
        """Whether Electric knows `<` for it."""
        return self.kind in ORDERED and not self.is_array


def column_type(name: str) -> ColumnType:
    """Read the type of a column as a policy file names it; never fails."""
    plain = _PRECISION.sub("", name.strip().lower())
    element = plain.removesuffix("[]").rstrip()
    kind = _NAMES.get(element, Kind.UNREAD if element in _UNREAD or not element else Kind.ENUM)
    return ColumnType(kind, element != plain)


def cast_kind(name: str) -> Kind | None:
    """Read the type's name behind `::`; None if a constant cannot be cast to it."""
    return _NAMES.get(name)
