"""Requests that were admitted before, so that the same one need not be read, confined and built again.

Kept by the whole head, byte for byte, raw target and raw Authorization among it: the same bytes mean the
same. What may end meanwhile is looked at on every use by whoever recalls one: the token's keys and
times, its session, the limits (SECURITY J-14, J-15).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapegate_proxy.limits import Account
    from shapegate_proxy.observe import Kind
    from shapegate_proxy.policy import ConfinedRequest
    from shapegate_proxy.proven import ProvenToken
    from shapegate_proxy.upstream import UpstreamRequest
    from shapegate_wire.request import ShapeRequest

ADMISSIONS_MAX: Final = 2_048
"""Some 12 MB when full of requests of usual size; what is known of their answers is not counted there."""
HEAD_BYTES_MAX: Final = 8 * 1024
"""Longer heads are not kept: together they would take more than 16 MB."""
TARGET_CHARS_MAX: Final = 2_000
"""Longer ones are not kept: their filters would make an entry large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What was found out about a request; it holds as long as `proven` does."""

    proven: ProvenToken
    asked: ShapeRequest
    confined: ConfinedRequest
    account: Account
    """For the limits."""
    built: UpstreamRequest
    target: str
    """Of the request, character for character."""
    org: str | None
    """The organization that the path names, which is the token's; None if it names none."""
    origin: str | None
    """The page that asks, if it may read answers; any other one is as good as none."""
    table: str
    """The rest is for the observer: as the policy names it."""
    kind: Kind
    offset: str
    user: str
    """As logs may hold it."""


class Admissions:
    """What was found out, by the whole head, byte for byte.

    A head holds a token, so that it is in memory for as long as its entry is; nothing prints it.
    """

    def __init__(self, *, size_max: int = ADMISSIONS_MAX) -> None:
        self._size_max = size_max
        self._by_head: dict[bytes, Admission] = {}
        """In the order in which they came. One that is used much makes room like all others, and is back with
        its next request: a memory by use would cost each request the steps to say that it was used."""
        self.recall: Final[Callable[[bytes], Admission | None]] = self._by_head.get
        """Looks up what is kept of a head, in one step and without a frame of its own."""

    def __len__(self) -> int:
        return len(self._by_head)

    def remember(self, head: bytes, admission: Admission) -> None:
        """Keep what was found out, if it is not large, instead of what was kept of the head before."""
        if len(admission.target) > TARGET_CHARS_MAX or len(head) > HEAD_BYTES_MAX:
            return
        by_head = self._by_head
        by_head[head] = admission
        if len(by_head) > self._size_max:
            del by_head[next(iter(by_head))]
