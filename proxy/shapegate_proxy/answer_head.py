"""What the head of an answer of Electric says. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.lean_framing import Framing, leaves_nothing, read_framing

if TYPE_CHECKING:
    from collections.abc import Hashable

    from shapegate_proxy.printed_head import ClientHead

LEFT_OUT: Final = frozenset({"date", "x-request-id"})
"""Of each answer another one, and nobody here looks at them; see `known_answers`."""
FRAMES: Final = frozenset({"content-length", "transfer-encoding"})


class AnswerHeaders(dict[str, str]):
    """The headers of answers by their names in lower case, with what was chosen of them for clients."""

    __slots__ = ("chosen",)

    def __init__(self) -> None:
        super().__init__()
        self.chosen: dict[Hashable, ClientHead] = {}


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What a head says but for `LEFT_OUT`; of a header that came twice, the first."""

    status: int
    headers: AnswerHeaders
    framing: Framing
    leaves_nothing: bool
    """Whether an answer without a body announces none either."""


def read_head(status: int, fields: list[tuple[bytes, bytes]], *, modern: bool) -> AnswerHead:
    """Read the lines of a head in their order; `modern` says that it is of HTTP/1.1."""
    headers, doubled = AnswerHeaders(), False
    for raw_name, raw_value in fields:
        name = raw_name.decode("ascii").lower()
        if name in LEFT_OUT:
            continue
        if name in headers:
            doubled = doubled or name in FRAMES
            continue
        try:
            headers[name] = raw_value.decode()
        except UnicodeDecodeError:
            headers[name] = raw_value.decode("utf-8", "surrogateescape")
    modern = modern or "transfer-encoding" not in headers
    framing = read_framing(headers, doubled=doubled, modern=modern)
    return AnswerHead(status, headers, framing, leaves_nothing(headers))
