"""What can come back for a shape request."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from shapegate_client.event import (
    Answer,
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
    read_event,
    read_opening,
)

HEAD = {
    "Electric-Handle": "h1",
    "Electric-Offset": "0_0",
    "Electric-Schema": '{"id":{"type":"int8","pk_index":0}}',
    "Electric-Cursor": "1",
}
BOUNDS = b'{"message":"Invalid request","errors":{"offset":["out of bounds for this shape"]}}'


def read(status: int, body: bytes = b"[]", headers: dict[str, str] = HEAD, *, live: bool = False) -> Answer:
    return read_event(status, CIMultiDict(headers), body, live=live, retry_after=7.0)


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in HEAD.items() if name not in names}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (read(200), Answered),
        (read(200, headers=without("Electric-Cursor")), Answered),
        (read(200, headers=without("Electric-Schema"), live=True), Answered),
        (read(200, b"{}"), Malformed),
        (read(200, b"<html>"), Malformed),
        (read(200, b"[1]"), Malformed),
        (read(200, b'[{"key":"k","value":{"id":1},"headers":{"operation":"insert"}}]'), Malformed),
        (read(200, headers={**HEAD, "Electric-Offset": "x"}), Malformed),
        (read(204, b""), NoContent),
        (read(401), Unauthorized),
        (read(400, BOUNDS), OutOfBounds),
        (read(400, b'{"message":"no"}'), Rejected),
        (read(403), Rejected),
        (read(404), Rejected),
        (read(405), Rejected),
        (read(413), Rejected),
        (read(414, b""), Rejected),
        (read(302), Rejected),
        (read(304), Malformed),
        (read(408), Failed),
        (read(429), Failed),
        (read(500, b"<html>"), Failed),
        (read(503), Failed),
    ],
)
def test_C_10_C_19_C_21_C_22_each_status_has_its_event(event: Answer, kind: type[Answer]) -> None:
    assert isinstance(event, kind)


@pytest.mark.parametrize(
    ("live", "lost"),
    [
        (False, ("electric-handle",)),
        (False, ("electric-schema",)),
        (True, ("electric-cursor",)),
        (True, ("electric-handle", "electric-offset", "electric-cursor")),
    ],
)
def test_C_08_an_answer_without_its_headers_names_them(live: bool, lost: tuple[str, ...]) -> None:
    kept = {name: value for name, value in HEAD.items() if name.lower() not in lost}
    assert read(200, headers=kept, live=live) == HeadersLost(lost)


def test_C_08_C_30_a_stream_opens_with_the_headers_of_a_live_answer_and_no_schema() -> None:
    opening = read_opening(CIMultiDict(without("Electric-Schema")))
    assert isinstance(opening, StreamOpened)
    assert (opening.head.handle, opening.head.cursor, opening.head.schema) == ("h1", "1", None)
    assert read_opening(CIMultiDict(without("Electric-Cursor"))) == HeadersLost(("electric-cursor",))
    assert isinstance(read_opening(CIMultiDict({**HEAD, "Electric-Offset": "now"})), Malformed)


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'[{"headers":{"control":"must-refetch"}}]'])
def test_C_13_a_409_needs_no_body(body: bytes) -> None:
    assert read(409, body) == Conflict("h1")
    assert read(409, body, {}) == Conflict(None)


def test_a_refusal_carries_the_proxys_words_without_control_characters() -> None:
    event = read(403, b'{"code":"table_not_allowed","message":"no\\u001b[31m such table"}')
    assert event == Rejected(status=403, code="table_not_allowed", message="no [31m such table")


@given(st.integers(200, 599), st.binary(max_size=200), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_an_event(status: int, body: bytes, live: bool) -> None:
    read(status, body, live=live)
