"""What signs access tokens: Ed25519 keys that follow each other, or one shared secret.

A new key is published before it signs, and an old one for as long as tokens of it may be out, so that nobody
who verifies by the published keys meets a token whose key is not there. Pure: no I/O, no clock.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

import jwt
from jwt.algorithms import OKPAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLISHED_AHEAD_SECONDS: Final = 120
"""For so long a new key is published only: twice what the proxy keeps a set that must not be stored."""
KEYS_MAX: Final = 3
"""One that signs and two before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key and the name by which verifiers find its public half."""

    algorithm: ClassVar[str] = "EdDSA"
    private: Ed25519PrivateKey = field(repr=False)
    kid: str
    """The key's RFC 7638 thumbprint."""
    header: str = field(repr=False)
    """The only header that a token of this key can have, encoded."""

    @property
    def public(self) -> Ed25519PublicKey:
        """The half that verifies."""
        return self.private.public_key()

    def sign(self, claims: Mapping[str, object]) -> str:
        """Make a token."""
        return _sign_ed25519(self.private, self.kid, claims)

    def public_jwk(self) -> Mapping[str, str]:
        """Print the public half as a member of a key set (RFC 8037 2)."""
        return {
            **OKPAlgorithm.to_jwk(self.public, as_dict=True),
            "kid": self.kid,
            "use": "sig",
            "alg": self.algorithm,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecret:
    """A secret that whoever verifies has too (HS256)."""

    algorithm: ClassVar[str] = "HS256"
    raw: bytes = field(repr=False)
    header: str = field(repr=False)
    """The only header that a token of this secret can have, encoded."""

    @property
    def public(self) -> bytes:
        """What verifies: the secret itself, which is never published."""
        return self.raw

    def sign(self, claims: Mapping[str, object]) -> str:
        """Make a token."""
        return jwt.encode(dict(claims), self.raw, algorithm=self.algorithm)


Signer = SigningKey | SharedSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """What signs now, and all that verifies."""

    signers: tuple[Signer, ...]
    """The newest first; at least one."""
    changed_at: datetime
    """Since when the newest is there."""

    def signing(self, now: datetime) -> Signer:
        """Choose what signs: the newest, once it was published for long enough."""
        is_new = now < self.changed_at + timedelta(seconds=PUBLISHED_AHEAD_SECONDS)
        return self.signers[1] if is_new and len(self.signers) > 1 else self.signers[0]

    def find(self, header: str) -> Signer | None:
        """Find what a token with this encoded header must be signed with, byte for byte; None if nothing."""
        return next((signer for signer in self.signers if signer.header == header), None)

    def public_jwks(self) -> tuple[Mapping[str, str], ...]:
        """Print what may be published; nothing of a secret may."""
        return tuple(signer.public_jwk() for signer in self.signers if isinstance(signer, SigningKey))


def signing_key(private: Ed25519PrivateKey) -> SigningKey:
    """Name a private key."""
    kid = thumbprint(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True))
    return SigningKey(private=private, kid=kid, header=_header(_sign_ed25519(private, kid, {})))


def shared_secret(raw: bytes) -> SharedSecret:
    """Make a signer of a secret that was found fit."""
    return SharedSecret(raw=raw, header=_header(jwt.encode({}, raw, algorithm=SharedSecret.algorithm)))


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Hash the members that define an octet key pair (RFC 7638 3, RFC 8037 2)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x")}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _sign_ed25519(private: Ed25519PrivateKey, kid: str, claims: Mapping[str, object]) -> str:
    return jwt.encode(dict(claims), private, algorithm=SigningKey.algorithm, headers={"kid": kid})


def _header(token: str) -> str:
    return token.partition(".")[0]
