"""The headers and error bodies of the gate's own answers. Pure: no I/O, no clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from shapegate_proxy.errors import OffsetOutOfBounds, Refused
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPOSED_HEADERS: Final = (
    names.ELECTRIC_OFFSET,
    names.ELECTRIC_HANDLE,
    names.ELECTRIC_SCHEMA,
    names.ELECTRIC_CURSOR,
    names.ELECTRIC_UP_TO_DATE,
    names.ELECTRIC_HAS_DATA,
    names.ELECTRIC_SNAPSHOT,
    names.ELECTRIC_KNOWN_ERROR,
    names.RETRY_AFTER,
    names.ETAG,
    "x-request-id",
    "www-authenticate",
)
"""What a page of an allowed origin may read (REQUIREMENTS P-33)."""

NO_STORE: Final = "private, no-store"
REVALIDATE: Final = "private, no-cache"
VARY: Final = "authorization, origin"
PREFLIGHT_SECONDS: Final = "86400"


def cors_headers(origin: str | None, allowed: frozenset[str]) -> Mapping[str, str]:
    """Say which page may read the answer: exact origins only (SECURITY I-18); none for any other."""
    if origin is None or origin not in allowed:
        return {"vary": VARY}
    return {
        "vary": VARY,
        "access-control-allow-origin": origin,
        "access-control-expose-headers": ", ".join(EXPOSED_HEADERS),
    }


def preflight_headers(origin: str | None, allowed: frozenset[str]) -> Mapping[str, str]:
    """Answer a browser's question before the real request (REQUIREMENTS P-35)."""
    answer = dict(cors_headers(origin, allowed))
    if "access-control-allow-origin" in answer:
        answer |= {
            "access-control-allow-methods": "GET, HEAD, OPTIONS, POST",
            "access-control-allow-headers": "authorization, content-type, if-none-match, traceparent",
            "access-control-max-age": PREFLIGHT_SECONDS,
        }
    return answer


def plain_headers(request_id: str) -> Mapping[str, str]:
    """Say what every answer says: its id in the log, but not which versions made it (SECURITY I-10)."""
    return {"server": "shapegate", "x-content-type-options": "nosniff", "x-request-id": request_id}


def refusal_headers(refused: Refused, body: bytes) -> Mapping[str, str]:
    """Say what the answer to a refusal is, and that nobody keeps it."""
    return {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **refused.headers,
        names.CACHE_CONTROL: NO_STORE,
    }


def error_body(refused: Refused, request_id: str) -> bytes:
    """Print a refusal as JSON (DESIGN 14, REQUIREMENTS P-52)."""
    body: dict[str, object] = {
        "message": refused.message,
        "code": refused.code,
        "hint": refused.hint,
        "request_id": request_id,
    }
    if isinstance(refused, OffsetOutOfBounds):
        body["errors"] = {"offset": ["out of bounds for this shape"]}
    return json.dumps(body).encode()
