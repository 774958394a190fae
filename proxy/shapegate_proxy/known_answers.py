"""Answers to a request that is sent again and again, which are read without a parser.

Electric says an id and a time with each answer, which nobody here looks at. An answer that else is the same
to the byte up to its body, and whose body is as long, means the same: what the parser read of the first one
holds for all. Whatever is not exactly that, in one read, is the parser's. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from shapegate_proxy.answer_head import LEFT_OUT
from shapegate_proxy.lean_framing import Framing

if TYPE_CHECKING:
    from shapegate_proxy.answer_head import AnswerHead

HEAD_BYTES_MAX: Final = 4_096
HEADERS_MAX: Final = 64
"""One answer is known for each request that is kept: some 10 MB of heads of usual size, and 30 MB at most."""
ANSWER_BYTES_MAX: Final = 16 * 1024
"""Longer answers are worth a parser."""
_END: Final = b"\r\n\r\n"
_CUT: Final = b"\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_EACH_ANOTHER: Final = re.compile(
    rf"\r\n(?:{'|'.join(map(re.escape, sorted(LEFT_OUT)))}): ([ -~]*)(?=\r\n[^ \t]|\Z)".encode("ascii"),
    re.IGNORECASE,
)
"""A line that says a time or an id, and does not go on in the next one (RFC 9112 5.2)."""


class Sending:
    """One request on the wire: what is sent each time, and how the answer looked."""

    __slots__ = ("known", "message")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.known: KnownAnswer | None = None


class KnownAnswer:
    """One answer that a parser read."""

    __slots__ = ("_layout", "_same", "head", "keeps")

    def __init__(self, pieces: tuple[bytes, ...], head: AnswerHead, *, keeps: bool) -> None:
        """`pieces` are the whole answer: text, value, text, value, text, body, text; a value may be empty."""
        self._layout = struct.Struct("".join(f"{len(piece)}s" for piece in pieces))
        self._same = pieces[0::2]
        self.head = head
        self.keeps = keeps
        """Whether its connection can be used again."""

    def body(self, buffer: memoryview, size: int) -> bytes | None:
        """Return the body of an answer, the first `size` bytes of a buffer; None if it is not known."""
        layout = self._layout
        if layout.size != size:
            return None
        first, time, second, identity, third, body, last = layout.unpack_from(buffer)
        if (first, second, third, last) != self._same:
            return None
        try:
            return body if (time + identity).decode().isprintable() else None
        except UnicodeDecodeError:
            return None  # What a byte that is no text means is the parser's to say (RFC 9112 5.5).


def know(data: memoryview, head: AnswerHead, body: bytes, *, keeps: bool) -> KnownAnswer | None:
    """Keep what a parser read of a whole answer; None if one like it might be read in another way."""
    if len(data) > ANSWER_BYTES_MAX or len(head.headers) > HEADERS_MAX or head.framing is not Framing.SAID:
        return None
    told, _, rest = data.tobytes().partition(_END)
    if len(told) > HEAD_BYTES_MAX or not told.startswith(b"HTTP/1.1 %d " % head.status):
        return None  # A head of another status is that of an answer before the answer (1xx).
    length = head.headers.get("content-length")
    if length is None:
        size, cut, chunk = rest.partition(_CUT)
        last = _LAST_CHUNK
    else:
        size, cut, chunk, last = b"", b"", rest, b""
    if chunk != body + last or (length is not None and int(length) != len(body)):
        return None  # Its body came in several chunks or with trailers, or is none whatever the head says.
    values = [found.span(1) for found in _EACH_ANOTHER.finditer(told)]
    if len(values) > len(LEFT_OUT):
        return None
    values += [(len(told), len(told))] * (len(LEFT_OUT) - len(values))
    (one, one_end), (other, other_end) = values
    end = told[other_end:] + _END + size + cut
    pieces = (told[:one], told[one:one_end], told[one_end:other], told[other:other_end], end, body, last)
    return KnownAnswer(pieces, head, keeps=keeps)
