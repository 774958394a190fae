"""Literals and parameters as Electric reads them, which is more strictly than Postgres (recorded). Pure.

Where Electric's reader is not known to take a spelling, it is refused: what is let through here has to work
there.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.pgtypes import TEXTS, Type

if TYPE_CHECKING:
    from collections.abc import Callable

_BITS: Final = {"int2": 15, "int4": 31, "int8": 63}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BOOLS: Final = frozenset(["t", "tr", "tru", "true", "f", "fa", "fal", "fals", "false"])
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_CLOCK: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_TIME: Final = re.compile(_CLOCK, re.ASCII)
_TIMESTAMP: Final = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[T ]({_CLOCK})(Z|[+-][0-9]{{2}}:[0-9]{{2}})?", re.ASCII
)
_INTERVAL: Final = re.compile(
    r"P(?=.)(?:-?[0-9]+Y)?(?:-?[0-9]+M)?(?:-?[0-9]+W)?(?:-?[0-9]+D)?"
    r"(?:T(?=.)(?:-?[0-9]+H)?(?:-?[0-9]+M)?(?:-?[0-9]+(?:\.[0-9]+)?S)?)?"
    r"|(?:[+-]?[0-9]+ (?:year|mon|month|week|day|hour|minute|min|second|sec)s?)"
    r"(?: [+-]?[0-9]+ (?:year|mon|month|week|day|hour|minute|min|second|sec)s?)*",
    re.ASCII,
)
_ELEMENT: Final = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|([^"{},\\\s](?:[^"{},\\]*[^"{},\\\s])?))\s*', re.DOTALL
)


def can_read(type_: Type, text: str) -> bool:
    """Tell whether Electric reads a text as a value of a type; an enum's constants it reads never."""
    if type_.enum:
        return False
    if type_.array:
        elements = _elements(text)
        return elements is not None and all(can_read(type_.element, element) for element in elements)
    if type_.name in TEXTS:
        return True
    reader = _READERS.get(type_.name)
    return reader is not None and reader(text)


def _integer(type_: str) -> Callable[[str], bool]:
    bound = 1 << _BITS[type_]
    return lambda text: _INTEGER.fullmatch(text) is not None and -bound <= int(text) < bound


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _date(text: str) -> bool:
    text = text.strip()
    return text == "epoch" or (_DATE.fullmatch(text) is not None and _is_day(text))


def _is_day(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _time(text: str) -> bool:
    return _TIME.fullmatch(text.strip()) is not None and _is_clock(text.strip())


def _is_clock(text: str) -> bool:
    hours, minutes, seconds = text.split(":")
    return int(hours) < 24 and int(minutes) < 60 and float(seconds) < 60


def _timestamp(text: str) -> bool:
    matched = _TIMESTAMP.fullmatch(text)
    return text == "epoch" or (matched is not None and _is_day(matched[1]) and _is_clock(matched[2]))


def _timestamptz(text: str) -> bool:
    matched = _TIMESTAMP.fullmatch(text)
    return _timestamp(text) and (matched is None or matched[3] is not None)


def _elements(text: str) -> list[str] | None:
    """Split a flat array into its elements without the nulls; None if it is none."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inner, at = text[1:-1], 0
    found: list[str] = []
    while inner.strip():
        matched = _ELEMENT.match(inner, at)
        if matched is None:
            return None
        if matched[1] is not None:
            found.append(re.sub(r"\\(.)", r"\1", matched[1], flags=re.DOTALL))
        elif matched[2].upper() != "NULL":
            found.append(matched[2])
        at = matched.end()
        if at == len(inner):
            break
        if inner[at] != ",":
            return None
        at += 1
    return found


_READERS: Final[dict[str, Callable[[str], bool]]] = {
    **{name: _integer(name) for name in _BITS},
    **{name: _matches(_FLOAT) for name in ("float4", "float8", "numeric")},
    "bool": lambda text: text in _BOOLS,
    "uuid": _matches(_UUID),
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "interval": _matches(_INTERVAL),
}
