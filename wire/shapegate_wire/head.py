"""The head of an answer: what its status and headers say of the log (PROTOCOL 2.1, 4.2). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_wire import names
from shapegate_wire.columns import ShapeSchema, parse_schema
from shapegate_wire.errors import MalformedResponse, MissingHeaders
from shapegate_wire.offset import Now, Offset, parse_offset

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """The head of a 200 of a log request."""

    handle: str
    offset: Offset
    schema: ShapeSchema | None = None
    """None on live answers, which carry none."""
    cursor: str | None = None
    up_to_date: bool = False
    has_data: bool = True


def parse_head(headers: Mapping[str, str], *, live: bool) -> ResponseHead:
    """Read a 200's headers; `headers` looks names up without regard to case.

    Raises MissingHeaders if a header that such an answer must have is not there, MalformedResponse if one
    does not parse.
    """
    by_state = names.ELECTRIC_CURSOR if live else names.ELECTRIC_SCHEMA
    required = (names.ELECTRIC_HANDLE, names.ELECTRIC_OFFSET, by_state)
    missing = tuple(name for name in required if not headers.get(name))
    if missing:
        raise MissingHeaders(missing)
    try:
        offset = parse_offset(headers[names.ELECTRIC_OFFSET])
    except ValueError as exc:
        raise MalformedResponse(f"{names.ELECTRIC_OFFSET}: {exc}") from exc
    if isinstance(offset, Now):
        raise MalformedResponse(f"{names.ELECTRIC_OFFSET} is 'now': expected a position")
    schema = headers.get(names.ELECTRIC_SCHEMA)
    return ResponseHead(
        handle=headers[names.ELECTRIC_HANDLE],
        offset=offset,
        schema=parse_schema(schema) if schema else None,
        cursor=headers.get(names.ELECTRIC_CURSOR),
        up_to_date=names.ELECTRIC_UP_TO_DATE in headers,
        has_data=headers.get(names.ELECTRIC_HAS_DATA) != "false",
    )
