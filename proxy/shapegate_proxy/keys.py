"""Which keys are fit to verify tokens, and the one algorithm that each is bound to (SECURITY J-01, J-02)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

if TYPE_CHECKING:
    from shapegate_proxy.config import Secret

HMAC_SECRET_BYTES_MIN: Final = 32
"""RFC 7518 3.2: an HS256 key has at least the size of the hash."""
RSA_BITS_MIN: Final = 2048
"""NIST SP 800-131A; RFC 7518 3.3."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_=\s-]+", re.ASCII)


class UnfitKeyError(ValueError):
    """A key that must not verify tokens; the text says why and what is expected, never what was given."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm that it may verify (SECURITY J-01)."""

    algorithm: str
    key: object = field(repr=False)


class KeySource(Protocol):
    """Where the verifier finds the key of a token."""

    async def find(self, kid: str | None) -> VerificationKey | None:
        """Return the key of that id, None if there is none. Raises KeysUnavailable if nobody knows.

        The same key is the same object for as long as it counts.
        """

    def peek(self, kid: str | None) -> VerificationKey | None:
        """Return the key if it is known and counts now; asks nobody."""

    def available(self) -> bool:
        """Say whether tokens can be verified now."""

    @property
    def failures(self) -> int:
        """How often keys could not be fetched up to now."""


class FixedKey:
    """One key that the configuration names; key ids do not matter."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    async def find(self, kid: str | None) -> VerificationKey | None:  # noqa: ARG002  # one key for all ids
        """Return the one key."""
        return self._key

    def peek(self, kid: str | None) -> VerificationKey | None:  # noqa: ARG002  # one key for all ids
        """Return the one key."""
        return self._key

    def available(self) -> bool:
        """It always is."""
        return True

    @property
    def failures(self) -> int:
        """Nothing is fetched."""
        return 0


def bind(key: object) -> VerificationKey | None:
    """Bind a public key to its algorithm; None if it is too weak or of a kind that is not accepted."""
    match key:
        case Ed25519PublicKey():
            return VerificationKey("EdDSA", key)
        case EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            return VerificationKey("ES256", key)
        case RSAPublicKey() if key.key_size >= RSA_BITS_MIN:
            return VerificationKey("RS256", key)
        case _:
            return None


def parse_public_key(pem: str) -> VerificationKey:
    """Read one public key. Raises UnfitKeyError."""
    try:
        key = bind(load_pem_public_key(pem.encode()))
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise UnfitKeyError("is no PEM public key: expected one block of `BEGIN PUBLIC KEY`") from exc
    if key is None:
        raise UnfitKeyError(f"is unfit: expected RSA of {RSA_BITS_MIN} bits or more, P-256 or Ed25519")
    return key


def bind_secret(secret: Secret) -> VerificationKey:
    """Bind a shared secret to HS256. Raises UnfitKeyError if it is short, or a key that others may know.

    A public key that served as a secret would let its readers sign tokens, so PEM, DER and JWK are refused.
    """
    raw = secret.reveal().encode()
    if len(raw) < HMAC_SECRET_BYTES_MIN:
        raise UnfitKeyError(f"is too short: expected at least {HMAC_SECRET_BYTES_MIN} bytes")
    for form in (raw, _unwrapped(secret.reveal())):
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(form)
        except jwt.InvalidKeyError as exc:
            raise UnfitKeyError("holds a PEM, DER, SSH or JSON Web Key: expected a random text") from exc
    return VerificationKey("HS256", raw)


def _unwrapped(text: str) -> bytes:
    """Undo base64, in which DER and JSON are often kept; the text itself where it is none."""
    if _BASE64.fullmatch(text):
        packed = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
        try:
            return base64.b64decode(packed + "=" * (-len(packed) % 4)) or text.encode()
        except binascii.Error:
            pass
    return text.encode()
