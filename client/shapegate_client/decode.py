"""The body of a log to typed messages; a snapshot's rows stay as they are until they are wanted.

`shapegate_wire.message.parse_body` says what a log is: whatever does not look like a long run of inserts, and
whatever turns out to be none, is read by it or just as strictly (PERFORMANCE, "Client").
Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_client.changes import read_changes
from shapegate_client.inserts import Inserts, cut, look_for_inserts
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Message, parse_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_wire.columns import ShapeSchema

FAST_BYTES_MIN: Final = 16_384
"""Below that, reading a run of inserts costs more than it saves."""
_TAIL_BYTES: Final = 4_096
"""Where messages that are no changes are looked for first."""
_OTHER: Final = b',{"headers":'
"""Begins the first message that is no change as the server prints it; a control message has no key."""

LogItem = Message | Inserts


def read_log(body: bytes, schema: ShapeSchema | None) -> tuple[LogItem, ...]:
    """Read a whole body; `schema` is what its head says, None if it says nothing.

    What is given as Inserts may turn out to be a Misread; then `read_again` says what it is.
    Raises MalformedResponse for anything but a JSON array of messages.
    """
    # Other messages are at the end mostly, and what follows one of them elsewhere is no run of changes.
    end = body.find(_OTHER, max(0, len(body) - _TAIL_BYTES))
    read = _read_run(body, end, schema)
    if read is None and (first := body.find(_OTHER)) != end:
        end = first
        read = _read_run(body, end, schema)
    if read is None:
        return _parse(body)
    return (*read, *(() if end < 0 else _parse(b"[" + body[end + 1 :])))


def read_again(messages: Iterable[LogItem]) -> tuple[Message, ...]:
    """Read what was taken for inserts as the messages that it is. Raises MalformedResponse."""
    read: list[Message] = []
    for item in messages:
        read += _parse(item.array) if isinstance(item, Inserts) else (item,)
    return tuple(read)


def _read_run(body: bytes, end: int, schema: ShapeSchema | None) -> tuple[LogItem, ...] | None:
    """Read an array of plain changes up to `end`, -1 for all of it; None if it is anything else."""
    end = len(body) if end < 0 else end
    inserts = None if schema is None or end < FAST_BYTES_MIN else look_for_inserts(body, end, schema)
    return read_changes(cut(body, end)) if inserts is None else (inserts,)


def _parse(body: bytes) -> tuple[Message, ...]:
    try:
        return parse_body(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedResponse("the body is not JSON") from exc
