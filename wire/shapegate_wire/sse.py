"""The lines of an event stream, read as they come (PROTOCOL 3.6; WHATWG HTML 9.2). Pure: no I/O, no clock.

Blocks of bytes may end anywhere, inside of a line, a character or a CRLF. An event that the stream does not
finish is never given out (REQUIREMENTS C-43, C-44).
"""

from __future__ import annotations

from typing import Final

from shapegate_wire.errors import MalformedResponse

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DEFAULT_TYPES: Final = (b"", b"message")


class EventParser:
    """Takes the bytes of one stream, gives the data of its events; others than messages are left out."""

    def __init__(self, *, event_bytes_max: int) -> None:
        """Bound what one event may hold until it is complete."""
        self._event_bytes_max = event_bytes_max
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = b""
        self._after_return = False
        """Whether a line feed that comes next belongs to a line end that was seen already."""
        self._first = True

    def feed(self, block: bytes) -> list[bytes]:
        """Return the data of each event that this block completes.

        Raises MalformedResponse if an event is larger than allowed; the parser is of no use then.
        """
        if self._after_return and block:
            block = block.removeprefix(b"\n")
            self._after_return = False
        found: list[bytes] = []
        for piece in block.splitlines(keepends=True):
            self._line += piece
            if piece.endswith((b"\n", b"\r")):
                self._take_line(bytes(self._line).rstrip(b"\r\n"), found)
                self._line.clear()
            if len(self._line) + self._data_bytes > self._event_bytes_max:
                raise MalformedResponse(f"an event has more than {self._event_bytes_max} bytes")
        if block.endswith(b"\r"):
            self._after_return = True
        return found

    def _take_line(self, line: bytes, found: list[bytes]) -> None:
        if self._first:
            line, self._first = line.removeprefix(_BYTE_ORDER_MARK), False
        if not line:
            self._end_event(found)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._type = value

    def _end_event(self, found: list[bytes]) -> None:
        if self._data and self._type in _DEFAULT_TYPES:
            found.append(b"\n".join(self._data))
        self._data, self._data_bytes, self._type = [], 0, b""
