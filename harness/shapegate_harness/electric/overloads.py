"""Operators and functions that Electric's evaluator has, and which of them fits (PROTOCOL 5).

The choice follows Postgres' rules (type conversion: operators, functions) over Electric's own short list.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.pgtypes import (
    INTEGERS,
    NUMBERS,
    TEXT,
    Type,
    implicitly_castable,
    is_preferred,
    union_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Given = tuple[Type | None, ...]
"""The types of arguments; None for a literal or parameter that has none yet."""

_NUMBER, _INTEGER = "number", "integer"
_ANY_ARRAY, _ANY_ENUM = "anyarray", "anyenum"
_COMPATIBLE, _COMPATIBLE_ARRAY = "anycompatible", "anycompatiblearray"
_ORDERED: Final = (*NUMBERS, "text", "uuid", "date", "time", "timestamp", "timestamptz")
_EQUATED: Final = (*_ORDERED, "bool", "interval", _ANY_ARRAY, _ANY_ENUM)
_READ_FROM_TEXT: Final = [
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "bool",
    "uuid",
    "text",
    "date",
    "timestamptz",
]


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature."""

    arguments: tuple[Type, ...]
    result: Type


def _overloads(*signatures: str) -> tuple[Overload, ...]:
    """Read `a b -> c`; `number` and `integer` stand for each of their types in turn."""
    found = []
    for signature in signatures:
        left, _, result = signature.partition(" -> ")
        words = left.split()
        family = NUMBERS if _NUMBER in words else INTEGERS if _INTEGER in words else ("",)
        for member in family:
            types = [Type(member if word in (_NUMBER, _INTEGER) else word) for word in (*words, result)]
            found.append(Overload(tuple(types[:-1]), types[-1]))
    return tuple(found)


_ARITHMETIC: Final = ("number number -> number",)
_ARRAYS: Final = "anyarray anyarray -> bool"
_JOIN: Final = "anycompatiblearray anycompatiblearray -> anycompatiblearray"
_PREPEND: Final = "anycompatible anycompatiblearray -> anycompatiblearray"
_APPEND: Final = "anycompatiblearray anycompatible -> anycompatiblearray"
_TEXTS: Final = "text text -> bool"

BINARY: Final[Mapping[str, tuple[Overload, ...]]] = {
    **{sign: _overloads(*(f"{name} {name} -> bool" for name in _EQUATED)) for sign in ("=", "<>")},
    **{sign: _overloads(*(f"{name} {name} -> bool" for name in _ORDERED)) for sign in ("<", ">", "<=", ">=")},
    **{sign: _overloads(_TEXTS) for sign in ("~~", "~~*", "!~~", "!~~*")},
    **{sign: _overloads(_ARRAYS) for sign in ("@>", "<@", "&&")},
    **{sign: _overloads("integer integer -> integer") for sign in ("&", "|", "#")},
    "+": _overloads(
        *_ARITHMETIC,
        "date int8 -> date",
        "int8 date -> date",
        "date time -> timestamp",
        "time date -> timestamp",
        "interval interval -> interval",
        "date interval -> timestamp",
        "interval date -> timestamp",
        "timestamp interval -> timestamp",
        "interval timestamp -> timestamp",
        "timestamptz interval -> timestamptz",
        "interval timestamptz -> timestamptz",
        "time interval -> time",
        "interval time -> time",
    ),
    "-": _overloads(
        *_ARITHMETIC,
        "date date -> int8",
        "date int8 -> date",
        "date interval -> timestamp",
        "timestamp interval -> timestamp",
        "timestamptz interval -> timestamptz",
        "interval interval -> interval",
        "timestamp timestamp -> interval",
        "timestamptz timestamptz -> interval",
    ),
    "*": _overloads(*_ARITHMETIC, "interval float8 -> interval", "float8 interval -> interval"),
    "/": _overloads("integer integer -> integer", "float8 float8 -> float8"),
    "^": _overloads("numeric numeric -> numeric", "float8 float8 -> float8"),
    "||": _overloads("text text -> text", _JOIN, _PREPEND, _APPEND),
}
UNARY: Final[Mapping[str, tuple[Overload, ...]]] = {
    **{sign: _overloads("number -> number") for sign in ("+", "-", "@")},
    "|/": _overloads("float8 -> float8"),
    "~": _overloads("integer -> integer"),
}
FUNCTIONS: Final[Mapping[tuple[str, int], tuple[Overload, ...]]] = {
    **{(name, 1): _overloads(f"text -> {name}") for name in _READ_FROM_TEXT},
    **{(name, 1): _overloads("text -> text") for name in ("lower", "upper")},
    **{(name, 2): _overloads(_TEXTS) for name in ("like", "ilike")},
    **{(name, 1): _overloads("interval -> interval") for name in ("justify_days", "justify_hours")},
    ("justify_interval", 1): _overloads("interval -> interval"),
    ("timezone", 2): _overloads("text timestamp -> timestamptz", "text timestamptz -> timestamp"),
    ("array_cat", 2): _overloads(_JOIN),
    ("array_prepend", 2): _overloads(_PREPEND),
    ("array_append", 2): _overloads(_APPEND),
    ("array_ndims", 1): _overloads("anyarray -> int4"),
}


def pick_operator(choices: Sequence[Overload], given: Given) -> Overload | None:
    """Choose as Postgres does for operators: one argument without a type is taken to be like the other."""
    known = [type_ for type_ in given if type_ is not None]
    if len(given) == 2 and len(known) == 1:
        alike = _exact(choices, (known[0], known[0]))
        if alike is not None:
            return alike
    return pick_function(choices, given)


def pick_function(choices: Sequence[Overload], given: Given) -> Overload | None:
    """Choose as Postgres does for functions; None if nothing fits, or more than one does."""
    exact = None if None in given else _exact(choices, given)
    if exact is not None:
        return exact
    fitting = [made for choice in choices if (made := _unified(choice, given)) is not None]
    for rule in (_most_exact, _most_preferred, _by_category, _like_the_known):
        if len(fitting) <= 1:
            break
        fitting = rule(fitting, given)
    return fitting[0] if len(fitting) == 1 else None


def _exact(choices: Iterable[Overload], given: Given) -> Overload | None:
    return next((choice for choice in choices if choice.arguments == given), None)


def _unified(choice: Overload, given: Given) -> Overload | None:
    """Fill in what the polymorphic types stand for; None if an argument does not fit."""
    same: set[Type] = set()
    compatible: list[Type | None] = []
    for is_, wanted in zip(given, choice.arguments, strict=True):
        if is_ is None or is_ == wanted:
            continue
        array = wanted.name in (_ANY_ARRAY, _COMPATIBLE_ARRAY)
        if array and not is_.array:
            return None
        held = is_.element if array else is_
        if wanted.name == _ANY_ARRAY or (wanted.name == _ANY_ENUM and is_.enum and not is_.array):
            same.add(held)
        elif wanted.name in (_COMPATIBLE, _COMPATIBLE_ARRAY):
            compatible.append(held)
        elif not implicitly_castable(is_, wanted):
            return None
    common = union_type(compatible)
    if len(same) > 1 or isinstance(common, tuple):
        return None
    one = next(iter(same), TEXT)
    if any(type_ is not None and not implicitly_castable(type_, common) for type_ in compatible):
        return None
    concrete = {
        _ANY_ARRAY: one.of_array,
        _ANY_ENUM: one,
        _COMPATIBLE: common,
        _COMPATIBLE_ARRAY: common.of_array,
    }
    return replace(
        choice,
        arguments=tuple(concrete.get(type_.name, type_) for type_ in choice.arguments),
        result=concrete.get(choice.result.name, choice.result),
    )


def _best(choices: Iterable[Overload], counts: Iterable[int]) -> list[Overload]:
    pairs = list(zip(choices, counts, strict=True))
    most = max(count for _, count in pairs)
    return [choice for choice, count in pairs if count == most]


def _most_exact(choices: list[Overload], given: Given) -> list[Overload]:
    return _best(choices, (sum(map(_same, choice.arguments, given)) for choice in choices))


def _same(left: Type | None, right: Type | None) -> bool:
    return left == right


def _most_preferred(choices: list[Overload], given: Given) -> list[Overload]:
    def preferred(choice: Overload) -> int:
        pairs = zip(choice.arguments, given, strict=True)
        return sum(is_preferred(wanted) for wanted, is_ in pairs if wanted != is_)

    return _best(choices, map(preferred, choices))


def _by_category(choices: list[Overload], given: Given) -> list[Overload]:
    """Take an argument without a type for text where a choice does, or for what all choices agree on."""
    wanted: dict[int, str] = {}
    for place, type_ in enumerate(given):
        if type_ is not None:
            continue
        offered = {choice.arguments[place].category for choice in choices}
        if "string" not in offered and len(offered) > 1:
            return choices
        wanted[place] = "string" if "string" in offered else next(iter(offered))
    kept = [
        choice
        for choice in choices
        if all(choice.arguments[place].category == category for place, category in wanted.items())
    ]
    return kept or choices


def _like_the_known(choices: list[Overload], given: Given) -> list[Overload]:
    known = {type_ for type_ in given if type_ is not None}
    if None not in given or len(known) != 1:
        return choices
    assumed = (next(iter(known)),) * len(given)
    return [made for choice in choices if (made := _unified(choice, assumed)) is not None]
