"""The body of a POST: a subset, flat or nested; never the shape's definition (PROTOCOL 1.4; recorded).

It is read whatever its content type says. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.subset import FIELDS, IGNORED, SUBSET
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

DEPTH_MAX: Final = 100
"""Arrays and objects within each other: bounds the recursion of the JSON parser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a POST asks for beside its query."""

    subset: Mapping[str, object] | None = None
    """None if the body names no field of a subset."""
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A body that Electric does not read; `problem` is its answer."""

    problem: Mapping[str, str]


def parse_body(raw: bytes) -> Body | Malformed:
    """Read a body; an empty one asks for nothing. Raises Rejected if `subset` is not an object."""
    if not raw.strip():
        return Body()
    try:
        loaded = _load(raw)
    except json.JSONDecodeError as exc:
        return _malformed(_fault(exc))
    except UnicodeDecodeError as exc:
        return _malformed(_byte_fault(exc.start, raw[exc.start]))
    except ValueError as exc:
        return _malformed(str(exc))
    if not isinstance(loaded, dict):
        return Malformed(problem={"error": "Request body must be a JSON object"})
    nested = loaded.get(SUBSET)
    if nested is not None and not isinstance(nested, dict):
        raise Rejected({SUBSET: ("is invalid",)})
    flat = {name: value for name, value in loaded.items() if name in FIELDS | IGNORED}
    found = {**flat, **nested} if nested is not None else flat
    return Body(
        subset=None if nested is None and not flat else found,
        # A JSON false is not the text `false`, so Electric takes it for true (PROTOCOL 1.4).
        live=names.LIVE in loaded and loaded[names.LIVE] != "false",
    )


def _load(raw: bytes) -> object:
    text = raw.decode()
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth(text) > DEPTH_MAX:
        raise ValueError(f"is nested deeper than {DEPTH_MAX} levels")
    return json.loads(text, parse_constant=_refuse_constant)


def _depth(text: str) -> int:
    """Bound the nesting from above: brackets inside of texts count, too."""
    depth = deepest = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _malformed(details: str) -> Malformed:
    return Malformed(problem={"error": "Invalid JSON in request body", "details": details})


def _fault(exc: json.JSONDecodeError) -> str:
    at = len(exc.doc[: exc.pos].encode())
    rest = exc.doc[exc.pos :].encode()
    return _byte_fault(at, rest[0]) if rest else f"unexpected end of input at position {at}"


def _byte_fault(at: int, byte: int) -> str:
    shown = f' ("{chr(byte)}")' if 0x20 <= byte < 0x7F else ""
    return f"unexpected byte at position {at}: 0x{byte:02X}{shown}"
