"""The issuer's signing keys in a PEM file that only its owner can read: the newest first.

The file is made at the first start and replaced by a rotation, whole or not at all; a symbolic link, a file
of someone else and one that others may read or write are refused.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shapegate_harness.issuer.errors import KeyFileError
from shapegate_harness.issuer.keys import KEYS_MAX, KeyRing, SigningKey, signing_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEY_FILE_BYTES_MAX: Final = 4096
"""Many times three Ed25519 keys in PEM; what is larger is some other file."""
_BLOCK_END: Final = re.compile(rb"(?<=-----)\n(?=-----BEGIN )")
_LOG: Final = logging.getLogger("shapegate.issuer")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """A file as it was read, and what tells that it was replaced since."""

    identity: tuple[int, int, int]
    keys: tuple[SigningKey, ...]
    changed_at: datetime


class KeyFile:
    """The keys of a file, read again when the file was replaced."""

    def __init__(self, path: Path) -> None:
        """Read the keys; make one first if there is no file. Raises KeyFileError."""
        self._path = path
        self._content = load_or_create(path)

    def ring(self) -> KeyRing:
        """Return the keys of now; while the file cannot be used, those that were read last."""
        try:
            if _identity(os.lstat(self._path)) != self._content.identity:
                self._content = _load(self._path)
        except (OSError, KeyFileError) as exc:
            _LOG.error("the signing keys cannot be read again: %s", type(exc).__name__)
        return KeyRing(signers=self._content.keys, changed_at=self._content.changed_at)


def load_or_create(path: Path) -> _Content:
    """Read the keys at `path`; make one first if there is no file. Raises KeyFileError."""
    try:
        if not os.path.lexists(path):
            _create(path)
        return _load(path)
    except OSError as exc:
        raise _unusable(path, exc) from exc


def rotate(path: Path, *, forget: bool) -> SigningKey:
    """Put a new key before those of the file, and return it; the oldest beyond KEYS_MAX goes.

    With `forget` all others go, and with them every token that they signed: for a key that somebody got hold
    of. A running issuer notices by itself. Raises KeyFileError, also if there is no file yet.
    """
    try:
        former = _load(path).keys
        new = Ed25519PrivateKey.generate()
        kept = () if forget else tuple(key.private for key in former[: KEYS_MAX - 1])
        draft = _draft(path, (new, *kept))
        try:
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as exc:
        raise _unusable(path, exc) from exc
    return signing_key(new)


def _create(path: Path) -> None:
    """Write a new key beside `path`, then link it there; if another process was first, its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _draft(path, (Ed25519PrivateKey.generate(),))
    try:
        # A link, not a rename: it never replaces, so two first starts at once agree on one key.
        os.link(draft, path)
        _sync_folder(path.parent)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _draft(path: Path, keys: Iterable[Ed25519PrivateKey]) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    pem = b"".join(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for key in keys)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load(path: Path) -> _Content:
    # O_NONBLOCK: opening a named pipe would wait for a writer otherwise.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        problem = _problem(status)
        if problem:
            raise KeyFileError(f"signing key {str(path)!r} {problem}")
        pem = os.read(descriptor, KEY_FILE_BYTES_MAX)
    finally:
        os.close(descriptor)
    return _Content(
        identity=_identity(status),
        keys=_parse(pem, path),
        changed_at=datetime.fromtimestamp(status.st_mtime, tz=UTC),
    )


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _problem(status: os.stat_result) -> str | None:
    """Say what forbids to use a file with this status as a key; None if nothing does."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file: give the path of a PEM file"
    if status.st_uid != os.geteuid():
        return f"belongs to user id {status.st_uid}, expected {os.geteuid()}: use a file of your own"
    if stat.S_IMODE(status.st_mode) & 0o177:
        return f"has mode {stat.S_IMODE(status.st_mode):04o}, expected 0600: run chmod 600 on it"
    if status.st_size >= KEY_FILE_BYTES_MAX:
        return f"has {status.st_size} bytes: expected Ed25519 private keys in PEM"
    return None


def _parse(pem: bytes, path: Path) -> tuple[SigningKey, ...]:
    keys = [_parse_one(block) for block in _BLOCK_END.split(pem)]
    found = tuple(signing_key(key) for key in keys if key is not None)
    if len(found) != len(keys) or len(found) > KEYS_MAX:
        raise KeyFileError(
            f"signing key {str(path)!r} holds no unencrypted Ed25519 private key in PEM, or something beside "
            f"{KEYS_MAX} of them: move the file away and a new key is made"
        )
    return found


def _parse_one(block: bytes) -> Ed25519PrivateKey | None:
    try:
        key = load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: a parser's words about a private key belong in no log.
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _unusable(path: Path, exc: OSError) -> KeyFileError:
    if exc.errno == errno.ELOOP:
        return KeyFileError(f"signing key {str(path)!r} is a symbolic link: give the path of the file itself")
    return KeyFileError(
        f"signing key {str(path)!r}: {exc.strerror or exc}; give a path in a folder that you can write to"
    )
