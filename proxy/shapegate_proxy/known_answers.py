"""Answers whose head came before, and which are there in one read: they are taken in without a parser.

Electric says an id and a time with each answer, which nobody here looks at; without them the heads of many
answers are the same to the byte, and the same bytes mean the same: what the parser read of the first holds
for all. Whatever is not exactly such a head and one body is the parser's. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.answer_head import LEFT_OUT
from shapegate_proxy.lean_framing import Framing

if TYPE_CHECKING:
    from shapegate_proxy.answer_head import AnswerHead

KNOWN_MAX: Final = 1_024
HEAD_BYTES_MAX: Final = 4_096
"""Together they keep what is known below 20 MB."""
ANSWER_BYTES_MAX: Final = 16 * 1024
"""Longer answers are worth a parser."""
_END: Final = b"\r\n\r\n"
_EACH_ANOTHER: Final = re.compile(
    f"\r\n(?:{'|'.join(map(re.escape, sorted(LEFT_OUT)))}): ".encode("ascii"), re.IGNORECASE
)
"""How a line begins that says a time or an id."""
SPELLINGS_MAX: Final = 4
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_GOES_ON: Final = (b"\r\n ", b"\r\n\t")
"""How a line goes on in the next one."""
_CUT: Final = b"\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """What was read of a head, and what an answer with it is."""

    head: AnswerHead
    keeps: bool
    """Whether its connection can be used again."""
    length: int | None
    """Of the body; None if it comes in chunks."""


class KnownAnswers:
    """The heads that came to one client of Electric."""

    def __init__(self, *, size_max: int = KNOWN_MAX) -> None:
        self._size_max = size_max
        self._each_another: tuple[bytes, ...] = ()
        """How the lines begin that say something else each time, as they came."""
        self._heads: OrderedDict[tuple[bytes, ...], KnownHead] = OrderedDict()
        """In the order in which they became known: one that is used much is soon known again."""
        self._sizes: dict[int, bytes] = {}
        """How Electric says before a chunk how long it is; one for each length of a body at most."""

    def __len__(self) -> int:
        return len(self._heads)

    def _same(self, head: bytes) -> tuple[bytes, ...] | None:
        """Return what stands between the values that each answer says anew; None if one is no plain value.

        What is the same follows these in the same way, so that none of them goes on in another line
        (RFC 9112 5.2, 5.5).
        """
        parts, rest = [], head
        for begins in self._each_another:
            before, found, after = rest.partition(begins)
            if found:
                value, cut, after = after.partition(_CUT)
                rest = cut + after
                if value.translate(None, _PRINTABLE):
                    return None
                parts.append(before)
        parts.append(rest)
        return tuple(parts)

    def recall(self, data: memoryview) -> tuple[KnownHead, bytes] | None:
        """Take in a whole answer, if its head is known: that and the body."""
        if len(data) > ANSWER_BYTES_MAX:
            return None
        head, _, rest = data.tobytes().partition(_END)
        same = self._same(head)
        known = None if same is None else self._heads.get(same)
        if known is None:
            return None
        body = self._body(known, rest)
        return None if body is None else (known, body)

    def _body(self, known: KnownHead, rest: bytes) -> bytes | None:
        """Return the body, if what follows the head is all of it and no more, in no more than one chunk."""
        if known.length is not None:
            return rest if len(rest) == known.length else None
        said, _, chunk = rest.partition(_CUT)
        body = chunk.removesuffix(_LAST_CHUNK)
        length = len(body)
        size = self._sizes.get(length)
        if size is None:
            size = self._sizes[length] = b"%x" % length
        return body if said == size and 0 < length < len(chunk) else None

    def learn(self, data: memoryview, head: AnswerHead, body: bytes, *, keeps: bool) -> None:
        """Keep what the parser read of a whole answer, if the same would be read of it without."""
        if len(data) > ANSWER_BYTES_MAX or head.framing is not Framing.SAID:
            return
        told, _, rest = data.tobytes().partition(_END)
        length = head.headers.get("content-length")
        known = KnownHead(head, keeps, None if length is None else int(length))
        # Heads before that of the answer (1xx) are not the answer's.
        final = told.startswith(b"HTTP/1.1 %d " % head.status)
        if not final or len(told) > HEAD_BYTES_MAX or self._body(known, rest) != body:
            return
        for begins in _EACH_ANOTHER.findall(told):
            if begins not in self._each_another and len(self._each_another) < SPELLINGS_MAX:
                self._each_another += (begins,)
        same = self._same(told)
        if same is None or any(part.startswith(_GOES_ON) or _EACH_ANOTHER.search(part) for part in same):
            return
        self._heads[same] = known
        if len(self._heads) > self._size_max:
            self._heads.popitem(last=False)
