"""How a subset is asked for, and what can come of it (PROTOCOL 1.4, 3.7). Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec

from shapegate_client.event import (
    Answered,
    Conflict,
    Failed,
    HeadersLost,
    Malformed,
    NoContent,
    OutOfBounds,
    Rejected,
    StreamOpened,
    Unauthorized,
    Woken,
    read_event,
)
from shapegate_wire.errors import MalformedResponse, MissingHeaders
from shapegate_wire.head import ResponseHead, parse_head
from shapegate_wire.message import SubsetRows, parse_subset_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.request import ShapeRequest
    from shapegate_wire.shape import QueryPairs

QUERY_CHARS_MAX: Final = 4_000
"""A longer query goes by POST: gates and intermediaries bound the length of a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetAnswered:
    """A complete 200 of a subset."""

    head: ResponseHead
    rows: SubsetRows


Refusal = Conflict | OutOfBounds | Unauthorized | Rejected | Failed | Malformed | HeadersLost
"""An answer without rows."""
SubsetAnswer = SubsetAnswered | Refusal


def addressed(request: ShapeRequest) -> tuple[str, QueryPairs, bytes | None]:
    """Say by which method a request goes, and what stands in its query and its body."""
    query = request.to_query()
    if request.subset is None or len(urlencode(query)) <= QUERY_CHARS_MAX:
        return "GET", query, None
    return "POST", replace(request, subset=None).to_query(), request.subset.to_body()


def read_subset_event(
    status: int, headers: Mapping[str, str], body: bytes, *, retry_after: float | None
) -> SubsetAnswer:
    """Say what an answer is; `headers` looks names up without regard to case."""
    if status == 200:
        return _read_rows(headers, body)
    match read_event(status, headers, body, live=False, retry_after=retry_after):
        case Answered() | StreamOpened() | NoContent() | Woken():
            return Malformed(f"a {status} came for a subset")
        case refused:
            return refused


def _read_rows(headers: Mapping[str, str], body: bytes) -> SubsetAnswer:
    try:
        # Handle, offset and schema are all that it must have (REQUIREMENTS C-09).
        head = parse_head(headers, live=False)
        return SubsetAnswered(head=head, rows=parse_subset_rows(msgspec.json.decode(body)))
    except MissingHeaders as exc:
        return HeadersLost(exc.names)
    except MalformedResponse as exc:
        return Malformed(str(exc))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Malformed("the body is not JSON")
