"""The issuer's signing key: an Ed25519 key in a PEM file that only its owner can read.

The file is made at the first start, whole or not at all, and never replaced; a symbolic link, a file of
someone else and one that others may read or write are refused.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from shapegate_harness.issuer.errors import KeyFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_FILE_BYTES_MAX: Final = 4096
"""Many times an Ed25519 key in PEM; what is larger is some other file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key and the name by which verifiers find its public half."""

    private: Ed25519PrivateKey = field(repr=False)
    kid: str
    """The key's RFC 7638 thumbprint."""

    @property
    def public(self) -> Ed25519PublicKey:
        """The half that verifies."""
        return self.private.public_key()

    def public_jwk(self) -> Mapping[str, str]:
        """Print the public half as a member of a key set (RFC 8037 2)."""
        return {
            **OKPAlgorithm.to_jwk(self.public, as_dict=True),
            "kid": self.kid,
            "use": "sig",
            "alg": "EdDSA",
        }


def signing_key(private: Ed25519PrivateKey) -> SigningKey:
    """Name a private key."""
    return SigningKey(
        private=private, kid=thumbprint(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True))
    )


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Hash the members that define an octet key pair (RFC 7638 3, RFC 8037 2)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x")}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def load_or_create(path: Path) -> SigningKey:
    """Read the key at `path`; make it first if there is none. Raises KeyFileError."""
    try:
        if not os.path.lexists(path):
            _create(path)
        return signing_key(_parse(_read(path), path))
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise KeyFileError(
                f"signing key {str(path)!r} is a symbolic link: give the path of the file itself"
            ) from exc
        raise KeyFileError(
            f"signing key {str(path)!r}: {exc.strerror or exc}; give a path in a folder that you can write to"
        ) from exc


def _create(path: Path) -> None:
    """Write a new key beside `path`, then link it there; if another process was first, its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it never replaces, so two first starts at once agree on one key.
        os.link(draft, path)
        _sync_folder(path.parent)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    # O_NONBLOCK: opening a named pipe would wait for a writer otherwise.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        problem = _problem(os.fstat(descriptor))
        if problem:
            raise KeyFileError(f"signing key {str(path)!r} {problem}")
        return os.read(descriptor, KEY_FILE_BYTES_MAX)
    finally:
        os.close(descriptor)


def _problem(status: os.stat_result) -> str | None:
    """Say what forbids to use a file with this status as a key; None if nothing does."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file: give the path of a PEM file"
    if status.st_uid != os.geteuid():
        return f"belongs to user id {status.st_uid}, expected {os.geteuid()}: use a file of your own"
    if stat.S_IMODE(status.st_mode) & 0o177:
        return f"has mode {stat.S_IMODE(status.st_mode):04o}, expected 0600: run chmod 600 on it"
    if status.st_size >= KEY_FILE_BYTES_MAX:
        return f"has {status.st_size} bytes: expected an Ed25519 private key in PEM"
    return None


def _parse(pem: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: a parser's words about a private key belong in no log.
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"signing key {str(path)!r} holds no unencrypted Ed25519 private key in PEM: "
            "move the file away and a new key is made"
        )
    return key
