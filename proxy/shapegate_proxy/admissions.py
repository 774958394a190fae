"""Requests that were admitted before, so that the same one need not be read, confined and built again.

Kept by a hash of the whole head, byte for byte, raw target and raw Authorization among it: the same bytes
mean the same. What may end meanwhile is looked at on every use by whoever recalls one: the token's keys and
times, its session, the limits (SECURITY J-14, J-15).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from shapegate_proxy.recent import Recent

if TYPE_CHECKING:
    from shapegate_proxy.limits import Account
    from shapegate_proxy.observe import Kind
    from shapegate_proxy.policy import ConfinedRequest
    from shapegate_proxy.proven import ProvenToken
    from shapegate_proxy.upstream import UpstreamRequest
    from shapegate_wire.request import ShapeRequest

ADMISSIONS_MAX: Final = 2_048
"""Some 10 MB when full of requests of usual size."""
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


def head_digest(head: bytes) -> bytes:
    """Name a head without keeping it: it holds a token."""
    return blake2b(head).digest()


class Admissions(Recent[bytes, Admission]):
    """What was found out, by the digest of the head."""

    def __init__(self, *, size_max: int = ADMISSIONS_MAX) -> None:
        super().__init__(size_max=size_max)

    def recall_head(self, head: bytes) -> Admission | None:
        """Return what is kept of a head, as `recall` does of its digest, in one step."""
        digest = blake2b(head).digest()
        found = self._by_key.get(digest)
        if found is not None:
            self._by_key.move_to_end(digest)
        return found

    def remember(self, key: bytes, value: Admission) -> None:
        """Keep what was found out, if it is not large."""
        if len(value.target) <= TARGET_CHARS_MAX:
            super().remember(key, value)
