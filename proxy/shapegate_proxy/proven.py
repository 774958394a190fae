"""Tokens that were proven before, by the hash of their text; what may change is checked on every use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.recent import Recent

if TYPE_CHECKING:
    from shapegate_proxy.keys import KeySource, VerificationKey
    from shapegate_proxy.principal import Principal
    from shapegate_proxy.token_body import Lifetime

PROVEN_MAX: Final = 10_000
"""Some 10 MB when full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenToken:
    """What a token proved, and by which key: it holds while that key counts and the time is in its life."""

    principal: Principal
    lifetime: Lifetime
    keys: KeySource
    kid: str | None
    key: VerificationKey

    async def stands(self) -> bool:
        """Say whether the issuer still has the key. Raises KeysUnavailable if nobody knows."""
        return await self.keys.find(self.kid) is self.key

    def counts(self, now: float, seconds: float = 0.0) -> bool:
        """Say, without asking anybody, whether it is sure that the token counts now, and for so long."""
        life = self.lifetime
        return life.begins <= now < life.ends - seconds and self.keys.peek(self.kid) is self.key


class ProvenTokens:
    """A bounded memory; the one that was not used for longest makes room (SECURITY J-15)."""

    def __init__(self, *, size_max: int = PROVEN_MAX) -> None:
        self._by_digest: Recent[bytes, ProvenToken] = Recent(size_max=size_max)

    def __len__(self) -> int:
        return len(self._by_digest)

    def recall(self, token: str) -> ProvenToken | None:
        """Return what the token proved; None if it is not known. It counts as used now."""
        return self._by_digest.recall(_digest(token))

    def remember(self, token: str, proven: ProvenToken) -> None:
        """Keep what the token proved; the token itself is not kept."""
        self._by_digest.remember(_digest(token), proven)

    def forget(self, token: str) -> None:
        """Drop what the token proved."""
        self._by_digest.forget(_digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
