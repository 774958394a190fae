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
_BLANKS: Final = b" \t"
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

    def body(self, rest: bytes) -> bytes | None:
        """Return the body, if what follows the head is all of it and no more, in no more than one chunk."""
        if self.length is not None:
            return rest if len(rest) == self.length else None
        size, _, chunk = rest.partition(_CUT)
        length = len(chunk) - len(_LAST_CHUNK)
        if length < 1 or size != b"%x" % length or chunk[length:] != _LAST_CHUNK:
            return None
        return chunk[:length]


class KnownAnswers:
    """The heads that came to one client of Electric."""

    def __init__(self, *, size_max: int = KNOWN_MAX) -> None:
        self._size_max = size_max
        self._each_another: tuple[bytes, ...] = ()
        """As they came."""
        self._heads: OrderedDict[bytes, KnownHead] = OrderedDict()
        """In the order in which they became known: one that is used much is soon known again."""

    def _same(self, head: bytes) -> bytes:
        """Leave out what each answer says anew, unless it may be more than that (RFC 9112 5.2, 5.5)."""
        for begins in self._each_another:
            before, found, rest = head.partition(begins)
            if found:
                value, _, after = rest.partition(_CUT)
                if value.translate(None, _PRINTABLE) or after[:1] in _BLANKS:
                    return head
                head = before + _CUT + after
        return head

    def recall(self, data: memoryview) -> tuple[KnownHead, bytes] | None:
        """Take in a whole answer, if its head is known: that and the body."""
        if len(data) > ANSWER_BYTES_MAX:
            return None
        answer = bytes(data)
        end = answer.find(_END) + len(_END)
        known = self._heads.get(self._same(answer[:end]))
        body = None if known is None else known.body(answer[end:])
        return None if known is None or body is None else (known, body)

    def learn(self, data: memoryview, head: AnswerHead, body: bytes, *, keeps: bool) -> None:
        """Keep what the parser read of a whole answer, if the same would be read of it without."""
        if len(data) > ANSWER_BYTES_MAX or head.framing is not Framing.SAID:
            return
        answer = bytes(data)
        end = answer.find(_END) + len(_END)
        length = head.headers.get("content-length")
        known = KnownHead(head, keeps, None if length is None else int(length))
        # Heads before that of the answer (1xx) are not the answer's.
        final = answer.startswith(b"HTTP/1.1 %d " % head.status)
        if final and end <= HEAD_BYTES_MAX and known.body(answer[end:]) == body:
            for begins in _EACH_ANOTHER.findall(answer[:end]):
                if begins not in self._each_another and len(self._each_another) < SPELLINGS_MAX:
                    self._each_another += (begins,)
            self._heads[self._same(answer[:end])] = known
            if len(self._heads) > self._size_max:
                self._heads.popitem(last=False)
