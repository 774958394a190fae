"""Requests that were admitted before, so that the same one need not be read, confined and built again.

Kept by the hash of the raw Authorization header and the raw target: the same bytes of the same caller. What
may end is looked at on every use by whoever recalls one: the token's keys and times, its session, the limits
(SECURITY J-14, J-15).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_proxy.incoming import Incoming
    from shapegate_proxy.observe import Kind
    from shapegate_proxy.policy import ConfinedRequest
    from shapegate_proxy.proven import ProvenToken
    from shapegate_proxy.upstream import UpstreamRequest
    from shapegate_wire.request import ShapeRequest

ADMISSIONS_MAX: Final = 4_096
"""Some 20 MB when full of requests of usual size."""
TARGET_CHARS_MAX: Final = 2_000
"""Longer ones are not kept: their filters would make an entry large."""
_CHANGES_THE_REQUEST: Final = ("if-none-match", "traceparent")
"""Headers beside Authorization that get into what Electric is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What was found out about a request; it holds as long as `proven` does."""

    proven: ProvenToken
    asked: ShapeRequest
    confined: ConfinedRequest
    shape: bytes
    """The key of its shape, for the limits."""
    built: UpstreamRequest
    table: str
    """The rest is for the observer: as the policy names it."""
    kind: Kind
    offset: str
    user: str
    """As logs may hold it."""


def recallable(incoming: Incoming) -> bool:
    """Say whether target and Authorization are all that a request is made of."""
    return (
        incoming.method == "GET"
        and len(incoming.target) <= TARGET_CHARS_MAX
        and not any(incoming.values(name) for name in _CHANGES_THE_REQUEST)
    )


class Admissions:
    """A bounded memory; the one that was not used for longest makes room."""

    def __init__(self, *, size_max: int = ADMISSIONS_MAX) -> None:
        self._size_max = size_max
        self._by_digest: OrderedDict[bytes, Admission] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_digest)

    def recall(self, incoming: Incoming) -> Admission | None:
        """Return what was found out about such a request; it counts as used now."""
        if not recallable(incoming):
            return None
        digest = _digest(incoming)
        found = self._by_digest.get(digest)
        if found is not None:
            self._by_digest.move_to_end(digest)
        return found

    def remember(self, incoming: Incoming, admission: Admission) -> None:
        """Keep what was found out; neither token nor target is kept in itself."""
        self._by_digest[_digest(incoming)] = admission
        if len(self._by_digest) > self._size_max:
            self._by_digest.popitem(last=False)


def _digest(incoming: Incoming) -> bytes:
    """Hash both, the one ended by what neither holds."""
    text = "\n".join((*incoming.values("authorization"), "", incoming.target))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
