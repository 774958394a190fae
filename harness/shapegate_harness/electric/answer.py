"""The head of every answer: caching, tags and positions by state (PROTOCOL 2.1, 2.2; recorded). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from shapegate_wire import names
from shapegate_wire.offset import BEFORE_ALL, Now, Offset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shapegate_harness.electric.errors import Overloaded, Problems

JSON_TYPE: Final = "application/json; charset=utf-8"
EVENTS_TYPE: Final = "text/event-stream"
FRAMEWORK_CACHE: Final = "max-age=0, private, must-revalidate"
MUST_REFETCH: Final = b'[{"headers":{"control":"must-refetch"}}]'

_CACHE_START: Final = "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746"
_CACHE_CATCH_UP: Final = "public, max-age=60, stale-while-revalidate=300"
_CACHE_LIVE: Final = "public, max-age=5, stale-while-revalidate=5"
_CACHE_EVENTS: Final = "public, max-age=59"
_CURSOR_EPOCH: Final = 1_728_432_000
"""2024-10-09T00:00Z, from which cursors count."""
_CURSOR_JUMP_MAX: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status, its headers and a body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunked: bool = False
    """Electric streams log bodies and gives everything else a length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a request for a log found."""

    handle: str
    schema: str
    asked: Offset | Now
    offset: Offset
    live: bool
    up_to_date: bool
    has_data: bool
    cursor: str | None = None
    """On live answers only."""
    unique: int | None = None
    """Makes the tag of an answer unrepeatable: of `now`, and of a live request that timed out."""
    events: bool = False
    """Whether the body is an event stream."""


def log_answer(served: Served, body: bytes, *, if_none_match: str | None) -> Answer:
    """Answer with messages, or 304 where the asker has them."""
    etag = _etag(served)
    headers = {
        names.CACHE_CONTROL: _cache_control(served),
        "content-type": EVENTS_TYPE if served.events else JSON_TYPE,
        names.ETAG: etag,
        names.ELECTRIC_HANDLE: served.handle,
        names.ELECTRIC_HAS_DATA: "true" if served.has_data else "false",
        names.ELECTRIC_OFFSET: str(served.offset),
    }
    if served.cursor is not None:
        headers[names.ELECTRIC_CURSOR] = served.cursor
    if served.up_to_date:
        headers[names.ELECTRIC_UP_TO_DATE] = ""
    if etag.strip('"') in _tags(if_none_match):
        return Answer(status=304, headers=headers)
    if not served.live:
        headers[names.ELECTRIC_SCHEMA] = served.schema
    if served.events:
        headers["connection"] = "keep-alive"
    return Answer(status=200, headers=headers, body=body, chunked=served.unique is None)


def _etag(served: Served) -> str:
    asked = served.asked.value if isinstance(served.asked, Now) else str(served.asked)
    unique = "" if served.unique is None else f":{served.unique}"
    return f'"{served.handle}:{asked}:{served.offset}{unique}"'


def _cache_control(served: Served) -> str:
    if served.asked == BEFORE_ALL:
        return _CACHE_START
    if served.events:
        return _CACHE_EVENTS
    return _CACHE_LIVE if served.live else _CACHE_CATCH_UP


def _tags(if_none_match: str | None) -> set[str]:
    """Split at commas and trim quotes, as Electric does: a weak tag never matches."""
    return {tag.strip().strip('"') for tag in (if_none_match or "").split(",")}


def up_to_date(lsn: int) -> bytes:
    """Print the control message that ends a log."""
    headers = {"control": "up-to-date", "global_last_seen_lsn": str(lsn)}
    return json.dumps({"headers": headers}, separators=(",", ":")).encode()


def next_cursor(sent: int, *, now: float, long_poll_seconds: float, jitter: Callable[[int, int], int]) -> str:
    """Name the current long-poll interval, or a later one if the asker was given this already."""
    interval = max(1, round(long_poll_seconds))
    current = -(-int(now - _CURSOR_EPOCH) // interval) * interval
    return str(current if current > sent else sent + jitter(1, _CURSOR_JUMP_MAX))


def must_refetch(handle: str | None) -> Answer:
    """Answer that the log is gone; `handle` is that of its successor, where there is one."""
    if handle is None:
        headers = {names.CACHE_CONTROL: "public, max-age=1, must-revalidate"}
    else:
        headers = {
            names.CACHE_CONTROL: "public, max-age=60, must-revalidate",
            names.ETAG: f'"{handle}::"',
            names.ELECTRIC_HANDLE: handle,
        }
    return Answer(status=409, headers={**headers, "content-type": JSON_TYPE}, body=MUST_REFETCH)


def subset_answer(*, handle: str, offset: Offset, schema: str | None, body: bytes) -> Answer:
    """Answer with the rows of a subset; nobody may keep them. `schema` is None on a live request."""
    headers = {
        names.CACHE_CONTROL: "no-cache",
        "content-type": JSON_TYPE,
        names.ELECTRIC_SNAPSHOT: "true",
        names.ELECTRIC_HANDLE: handle,
        names.ELECTRIC_OFFSET: str(offset),
    }
    if schema is not None:
        headers[names.ELECTRIC_SCHEMA] = schema
    return Answer(status=200, headers=headers, body=body, chunked=True)


def malformed_body(status: int, problem: Mapping[str, str]) -> Answer:
    """Answer a POST whose body could not be read; Electric's plug for it sets no cache header of its own."""
    headers = {names.CACHE_CONTROL: FRAMEWORK_CACHE, "content-type": JSON_TYPE}
    body = json.dumps(problem, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status=status, headers=headers, body=body)


def overloaded(exc: Overloaded) -> Answer:
    """Answer a request that found no place."""
    body = {"code": "concurrent_request_limit_exceeded", "message": str(exc)}
    found = failure(503, body, retry_after_seconds=exc.retry_after_seconds)
    return replace(found, headers={**found.headers, names.ELECTRIC_KNOWN_ERROR: "true"})


def invalid(problems: Problems | Mapping[str, object]) -> Answer:
    """Answer a request that cannot be right."""
    return failure(400, {"message": "Invalid request", "errors": problems})


def failure(status: int, body: object, *, retry_after_seconds: int | None = None) -> Answer:
    """Answer with an error that nobody may keep."""
    headers = {names.CACHE_CONTROL: "no-store", "surrogate-control": "no-store", "content-type": JSON_TYPE}
    if retry_after_seconds is not None:
        headers[names.RETRY_AFTER] = str(retry_after_seconds)
    return Answer(status=status, headers=headers, body=json.dumps(body, separators=(",", ":")).encode())
