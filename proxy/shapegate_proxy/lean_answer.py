"""Reading the answers of one connection, one after the other, with httptools.

Pure: bytes go in, as they come; what is no answer, or not the only one, is told (SECURITY W-03).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httptools

from shapegate_proxy.lean_framing import Framing, leaves_nothing, read_framing
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_BYTES_MAX: Final = 64 * 1024
"""Of the heads before a body, interim ones included (SECURITY W-08)."""
HEADERS_MAX: Final = 256
VOID_BYTES_MAX: Final = 64 * 1024
"""How much that is no body may come between two bytes of a body, or behind it: sizes of chunks, trailers."""

_FRAMES: Final = frozenset({"content-length", "transfer-encoding"})
_NAMES: Final[Mapping[bytes, str]] = {
    name.encode(): name
    for name in (
        names.CACHE_CONTROL,
        names.ELECTRIC_CURSOR,
        names.ELECTRIC_HANDLE,
        names.ELECTRIC_HAS_DATA,
        names.ELECTRIC_OFFSET,
        names.ELECTRIC_SCHEMA,
        names.ELECTRIC_SERVER,
        names.ELECTRIC_SNAPSHOT,
        names.ELECTRIC_UP_TO_DATE,
        names.ETAG,
        "access-control-allow-methods",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "connection",
        "content-length",
        "content-type",
        "date",
        "transfer-encoding",
        "vary",
        "x-request-id",
    )
}
"""What Electric sends; finding a name is cheaper than making it."""


class _Unreadable(Exception):
    """What came is no answer; caught where the parser was called."""


class AnswerReader:
    """Takes in what a connection brings; `begin` before each answer, `close` in the end.

    `framing` is None until the head was read, and `status` and `headers` are there from then on.
    """

    __slots__ = (
        "_bodyless",
        "_doubled",
        "_fields",
        "_head_bytes",
        "_left_over",
        "_parser",
        "_pieces",
        "_void_bytes",
        "complete",
        "framing",
        "headers",
        "keeps",
        "on_body",
        "status",
    )

    status: int
    headers: Mapping[str, str]

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self.begin(bodyless=False)
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def begin(self, *, bodyless: bool) -> None:
        """Expect an answer; `bodyless` says that it has no body, whatever it announces (HEAD)."""
        self._bodyless = bodyless
        self._doubled = self._left_over = self.complete = self.keeps = False
        self._head_bytes = self._void_bytes = 0
        self._fields: dict[str, str] | None = {}
        self.framing: Framing | None = None

    @property
    def touched(self) -> bool:
        """Whether anything of the answer has come."""
        return self._head_bytes > 0

    def feed(self, data: memoryview) -> bool:
        """Take in bytes; returns whether they are part of the answer, and no more than it.

        What they hold of the answer counts nevertheless: it may be complete.
        """
        parser, size = self._parser, len(data)
        assert parser is not None
        try:
            if self.framing is not None:
                self._void_bytes += size
                parser.feed_data(data)
                return self._void_bytes <= VOID_BYTES_MAX or bool(self._pieces)
            room = min(size, HEAD_BYTES_MAX - self._head_bytes)
            self._head_bytes += room
            parser.feed_data(data[:room])
            return self._is_bounded() and (room == size or self.feed(data[room:]))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False

    def take(self) -> bytes:
        """Return what came of the body since it was last asked, which may be nothing."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._void_bytes = 0
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return b"" if self._bodyless else taken

    def close(self) -> None:
        """Let go of the parser, which holds this object by its methods."""
        self._parser = None

    def _is_bounded(self) -> bool:
        return self.framing is not None or (self._head_bytes < HEAD_BYTES_MAX and not self._pieces)

    # What the parser calls; an exception stops it.

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Unreadable

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self._fields
        key = _NAMES.get(name) or name.decode("ascii").lower()
        if fields is None:  # A trailer is dropped, but for one that says anew where the body ends.
            if key in _FRAMES:
                raise _Unreadable
            return
        if key in fields:
            self._doubled = self._doubled or key in _FRAMES
            return
        try:
            fields[key] = value.decode()
        except UnicodeDecodeError:
            fields[key] = value.decode("utf-8", "surrogateescape")

    def on_headers_complete(self) -> None:
        parser, fields = self._parser, self._fields
        assert parser is not None
        assert fields is not None
        status = parser.get_status_code()
        if status < 100 or status == 101 or len(fields) > HEADERS_MAX:
            raise _Unreadable
        if status < 200:
            fields.clear()
            self._doubled = False
            return
        modern = "transfer-encoding" not in fields or parser.get_http_version() == "1.1"
        self.status, self.headers, self._fields = status, fields, None
        self.framing = read_framing(fields, doubled=self._doubled, modern=modern)
        if self._bodyless:
            self.complete = True
        if self._bodyless or status in (204, 304):
            self._left_over = not leaves_nothing(fields)

    def on_message_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        if self.framing is not None:
            self.complete = True
            sure = self.framing is not Framing.FAULTY and not self._left_over
            self.keeps = sure and parser.should_keep_alive()
        elif self._pieces:
            raise _Unreadable
