"""The keys that verify tokens: one shared secret, or the issuer's published set (RFC 7517).

A failed or malformed fetch never empties the set; an unknown key id leads to at most one fetch per cool-down
(SECURITY J-08 to J-13).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shapegate_proxy.errors import KeysUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yarl import URL

    from shapegate_proxy.config import Secret

FETCH_SECONDS: Final = 5.0
FETCH_BYTES_MAX: Final = 64 * 1024
FRESH_SECONDS: Final = 300.0
COOLDOWN_SECONDS: Final = 10.0
STALE_SECONDS_MAX: Final = 3600.0
RSA_BITS_MIN: Final = 2048
"""NIST SP 800-131A; RFC 7518 3.3."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm that it may verify (SECURITY J-01)."""

    algorithm: str
    key: object


class KeySource(Protocol):
    """Where the verifier finds the key of a token."""

    async def find(self, kid: str | None) -> VerificationKey | None:
        """Return the key of that id, None if there is none. Raises KeysUnavailable if nobody knows."""

    async def available(self) -> bool:
        """Say whether tokens can be verified now."""

    async def close(self) -> None:
        """End what is under way."""


class SharedSecret:
    """HS256 with one secret; key ids do not matter."""

    def __init__(self, secret: Secret) -> None:
        self._key = VerificationKey("HS256", secret.reveal().encode())

    async def find(self, kid: str | None) -> VerificationKey | None:  # noqa: ARG002  # one key for all ids
        return self._key

    async def available(self) -> bool:
        return True

    async def close(self) -> None:
        """Nothing is ever under way."""


class PublishedKeys:
    """The issuer's key set, fetched when needed, kept while it is fresh, kept longer while fetching fails."""

    def __init__(
        self,
        url: URL,
        http: aiohttp.ClientSession,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._http = http
        self._monotonic = monotonic
        self._keys: Mapping[str, VerificationKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> VerificationKey | None:
        if kid is None:
            return None
        if self._age() > FRESH_SECONDS or kid not in self._keys:
            await self._refreshed(kid)
        if self._age() > STALE_SECONDS_MAX:
            raise KeysUnavailable
        return self._keys.get(kid)

    async def available(self) -> bool:
        if self._age() > FRESH_SECONDS:
            await self._refreshed(None)
        return self._age() <= STALE_SECONDS_MAX

    async def close(self) -> None:
        """End a fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._monotonic() - self._fetched_at

    async def _refreshed(self, kid: str | None) -> None:
        """Wait for a fetch, if one is due or under way; `kid` is the key that is missed, if any.

        The fetch is a task of its own: a caller who goes away must not take everybody's keys along.
        """
        if self._fetching is None or self._fetching.done():
            if self._age() <= FRESH_SECONDS and (kid is None or kid in self._keys):
                return
            now = self._monotonic()
            if self._tried_at is not None and now - self._tried_at < COOLDOWN_SECONDS:
                return
            self._tried_at = now
            self._fetching = asyncio.create_task(self._take(), name="shapegate-jwks")
        await asyncio.shield(self._fetching)

    async def _take(self) -> None:
        fetched = await self._fetch()
        if fetched is not None:
            self._keys, self._fetched_at = fetched, self._monotonic()

    async def _fetch(self) -> Mapping[str, VerificationKey] | None:
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        try:
            async with self._http.get(self._url, timeout=timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                body = await answer.content.read(FETCH_BYTES_MAX + 1)
                while len(body) <= FETCH_BYTES_MAX and not answer.content.at_eof():
                    body += await answer.content.read(FETCH_BYTES_MAX + 1)
        except (aiohttp.ClientError, TimeoutError):
            return None
        return None if len(body) > FETCH_BYTES_MAX else parse_keys(body)


def parse_keys(body: bytes) -> Mapping[str, VerificationKey] | None:
    """Read a key set; keys that are unfit to verify are left out. None if the set is malformed or empty."""
    try:
        loaded: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entries = loaded.get("keys") if isinstance(loaded, dict) else None
    if not isinstance(entries, list):
        return None
    keys: dict[str, VerificationKey] = {}
    for entry in entries:
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if isinstance(kid, str) and isinstance(entry, dict) and kid not in keys:
            found = _key(entry)
            if found is not None:
                keys[kid] = found
    return keys or None


def _key(entry: dict[str, object]) -> VerificationKey | None:
    """Bind one key to its algorithm; None if it may not sign, is too weak or of another kind."""
    if entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        key: object = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError, LookupError, NotImplementedError):
        return None
    match key:
        case Ed25519PublicKey():
            algorithm = "EdDSA"
        case EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            algorithm = "ES256"
        case RSAPublicKey() if key.key_size >= RSA_BITS_MIN:
            algorithm = "RS256"
        case _:
            return None
    return VerificationKey(algorithm, key) if entry.get("alg", algorithm) == algorithm else None
