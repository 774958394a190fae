"""Reading the answers of one connection, one after the other, with httptools.

Pure: bytes go in, as they come; what is no answer, or not the only one, is told (SECURITY W-03).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httptools

from shapegate_proxy.answer_head import FRAMES, read_head
from shapegate_proxy.lean_framing import Framing

if TYPE_CHECKING:
    from shapegate_proxy.answer_head import AnswerHead

HEAD_BYTES_MAX: Final = 64 * 1024
"""Of the heads before a body, interim ones included (SECURITY W-08)."""
HEADERS_MAX: Final = 256
VOID_BYTES_MAX: Final = 64 * 1024
"""How much that is no body may come between two bytes of a body, or behind it: sizes of chunks, trailers."""


class _Unreadable(Exception):
    """What came is no answer; caught where the parser was called."""


class AnswerReader:
    """Takes in what a connection brings; `begin` before each answer but the first, `close` in the end.

    `head` is None until it was read.
    """

    __slots__ = (
        "_bodyless",
        "_fields",
        "_head_bytes",
        "_left_over",
        "_parser",
        "_pieces",
        "_void_bytes",
        "complete",
        "fresh",
        "head",
        "keeps",
        "on_body",
    )

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self.begin(bodyless=False)
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def begin(self, *, bodyless: bool) -> None:
        """Expect an answer; `bodyless` says that it has no body, whatever it announces (HEAD)."""
        self._bodyless = bodyless
        self.fresh = not bodyless
        """Whether nothing came of an answer that may have a body."""
        self._left_over = self.complete = self.keeps = False
        self._head_bytes = self._void_bytes = 0
        self._fields: list[tuple[bytes, bytes]] = []
        """Lines of the head, or of trailers."""
        self.head: AnswerHead | None = None

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
            if self.head is not None:
                self._void_bytes += size
                parser.feed_data(data)
                return self._void_bytes <= VOID_BYTES_MAX or bool(self._pieces)
            self.fresh = False
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
        return self.head is not None or (self._head_bytes < HEAD_BYTES_MAX and not self._pieces)

    # What the parser calls; an exception stops it.

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Unreadable

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        parser, fields = self._parser, self._fields
        assert parser is not None
        self._fields = []
        status = parser.get_status_code()
        if status < 100 or status == 101 or len(fields) > HEADERS_MAX:
            raise _Unreadable
        if status < 200:
            return
        head = read_head(status, fields, modern=parser.get_http_version() == "1.1")
        self.head = head
        if self._bodyless:
            self.complete = True
        if self._bodyless or status in (204, 304):
            self._left_over = not head.leaves_nothing

    def on_message_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        if self._fields and any(name.decode("ascii").lower() in FRAMES for name, _ in self._fields):
            raise _Unreadable  # A trailer is dropped, but for one that says anew where the body ends.
        if self.head is not None:
            self.complete = True
            sure = self.head.framing is not Framing.FAULTY and not self._left_over
            self.keeps = sure and parser.should_keep_alive()
        elif self._pieces:
            raise _Unreadable
