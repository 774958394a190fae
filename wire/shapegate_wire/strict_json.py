"""JSON that every parser reads alike: each name once, no NaN, numbers as they were written.

Of a repeated name some parsers keep the first and some the last value (RFC 8259 4), so there is none.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

from shapegate_wire.errors import WireError


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number; no digit of it is lost."""

    text: str


def parse_object(text: str) -> dict[str, object]:
    """Read an object of objects, lists, texts, Numbers, booleans and None.

    Bound the text before: that bounds the work. Raises WireError.
    """
    try:
        loaded: object = json.loads(
            text,
            object_pairs_hook=_once,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse_constant,
        )
    except WireError:
        raise
    except RecursionError as exc:
        raise WireError("is nested too deeply: expected a JSON object") from exc
    except ValueError as exc:
        raise WireError("is not JSON: expected an object") from exc
    if not isinstance(loaded, dict):
        raise WireError("is no JSON object")
    return loaded


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise WireError("gives a name twice: expected each name once")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"holds {name}, which is no JSON")
