"""The news in the bytes of an event stream (PROTOCOL 3.6; C-43, C-44). Pure: no I/O, no clock."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shapegate_client.event import Arrived, KeptAlive, Malformed
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Message, MustRefetch, UpToDate, parse_message
from shapegate_wire.sse import EventParser

MESSAGES_MAX: Final = 2_000
"""A longer batch arrives in parts, so that memory stays bounded whatever a transaction holds."""

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n")
_COMMENT: Final = re.compile(rb"(?::[^\r\n]*\r?\n)+\r?\n")


class StreamReader:
    """Reads one stream: messages wait here for their up-to-date."""

    def __init__(self, *, event_bytes_max: int) -> None:
        """Bound a single event; one larger ends the stream as malformed."""
        self._parser = EventParser(event_bytes_max=event_bytes_max)
        self._waiting: list[Message] = []
        self._end = b""
        """The last bytes that came."""

    @property
    def half_received(self) -> bool:
        """Whether messages wait for their up-to-date."""
        return bool(self._waiting)

    def feed(self, block: bytes) -> list[Arrived | KeptAlive | Malformed]:
        """Return what this block completes; Malformed is the last there will be."""
        news: list[Arrived | KeptAlive | Malformed] = []
        if self._keeps_alive(block):
            news.append(KeptAlive())
        try:
            for data in self._parser.feed(block):
                message = parse_message(msgspec.json.decode(data))
                self._waiting.append(message)
                if isinstance(message, UpToDate | MustRefetch) or len(self._waiting) >= MESSAGES_MAX:
                    news.append(Arrived(tuple(self._waiting)))
                    self._waiting.clear()
        except MalformedResponse as exc:
            news.append(Malformed(str(exc)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            news.append(Malformed("an event is not JSON"))
        return news

    def _keeps_alive(self, block: bytes) -> bool:
        """Tell whether a block is a comment between two messages; one that is cut to pieces may be missed."""
        between = not self._waiting and (not self._end or self._end.endswith(_EVENT_ENDS))
        self._end = (self._end + block[-4:])[-4:]
        return between and _COMMENT.fullmatch(block) is not None
