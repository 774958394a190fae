"""Types as Electric's evaluator knows them: their names, categories and casts (PROTOCOL 5). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """A type by its internal name; an array by the name of its elements."""

    name: str
    array: bool = False
    enum: bool = False

    def __str__(self) -> str:
        """Print it as Electric's messages do."""
        return ("enum " if self.enum else "") + self.name + ("[]" if self.array else "")

    @property
    def element(self) -> Type:
        """The type of an array's elements."""
        return Type(self.name, enum=self.enum)

    @property
    def of_array(self) -> Type:
        """The type of an array of this."""
        return Type(self.name, array=True, enum=self.enum)

    @property
    def category(self) -> str:
        """Types of one category may be matched to each other."""
        if self.array:
            return "array"
        return f"enum {self.name}" if self.enum else _CATEGORIES.get(self.name, self.name)


BOOL: Final = Type("bool")
INT4: Final = Type("int4")
INT8: Final = Type("int8")
NUMERIC: Final = Type("numeric")
TEXT: Final = Type("text")

NUMBERS: Final = ("numeric", "float8", "float4", "int8", "int4", "int2")
INTEGERS: Final = ("int8", "int4", "int2")
TEXTS: Final = frozenset({"text", "varchar", "name", "bpchar"})
CASTABLE: Final = frozenset(
    [
        "bool",
        "bytea",
        "date",
        "float4",
        "float8",
        "int2",
        "int4",
        "int8",
        "jsonb",
        "text",
        "time",
        "timestamp",
        "timestamptz",
        "uuid",
        "varchar",
        "interval",
    ]
)
"""Types that a cast may name; numeric is none of them."""

_CATEGORIES: Final = (
    dict.fromkeys(NUMBERS, "numeric")
    | dict.fromkeys(TEXTS, "string")
    | dict.fromkeys(("date", "time", "timestamp", "timestamptz"), "datetime")
)
_PREFERRED: Final = frozenset({"bool", "float8", "text", "timestamptz", "interval"})
_IMPLICIT: Final = {
    "bpchar": {"text", "name", "varchar"},
    "date": {"timestamp"},
    "float4": {"float8"},
    "int2": {"float8", "int8", "int4", "numeric", "float4"},
    "int4": {"float4", "float8", "numeric", "int8"},
    "int8": {"float8", "float4", "numeric"},
    "name": {"text"},
    "numeric": {"float8", "float4"},
    "text": {"bpchar", "varchar", "name"},
    "time": {"interval"},
    "varchar": {"name", "text", "bpchar"},
}
_READ: Final = CASTABLE - {"jsonb", "bytea", "varchar"} | {"numeric"}
"""Types that a text is read as."""
_PRINTED: Final = frozenset(
    [
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "date",
        "time",
        "timestamp",
        "interval",
        "bool",
        "uuid",
    ]
)
"""Types that are printed as text."""
_EXPLICIT: Final = frozenset({("bool", "int4"), ("int4", "bool")})


def is_preferred(type_: Type) -> bool:
    """Tell whether a type is chosen over others of its category."""
    return not type_.array and not type_.enum and type_.name in _PREFERRED


def implicitly_castable(source: Type, target: Type) -> bool:
    """Tell whether a value is converted without being asked to."""
    if source == target:
        return True
    if source.enum or target.enum or source.array != target.array:
        return False
    return target.name in _IMPLICIT.get(source.name, ())


def castable(source: Type, target: Type) -> bool:
    """Tell whether `::` converts one to the other."""
    if implicitly_castable(source, target):
        return True
    if source.array and target.array:
        return castable(source.element, target.element)
    if source.array or target.enum:
        return False
    if source == TEXT:
        return target.name in _READ
    if target.array:
        return False
    if target == TEXT:
        return source.enum or source.name in _PRINTED
    return not source.enum and (source.name, target.name) in _EXPLICIT


def union_type(types: list[Type | None]) -> Type | tuple[Type, Type]:
    """Find the one type of several values, or two that do not match (Postgres: UNION and related types).

    None stands for a value without a type; all of these together are text.
    """
    chosen: Type | None = None
    for type_ in types:
        if type_ is None or type_ == chosen:
            continue
        if chosen is None:
            chosen = type_
        elif type_.category != chosen.category:
            return type_, chosen
        elif not is_preferred(chosen) and (is_preferred(type_) or implicitly_castable(chosen, type_)):
            chosen = type_
    return TEXT if chosen is None else chosen
