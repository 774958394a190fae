"""The signing key's file: made once, whole, for its owner's eyes only."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shapegate_harness.issuer import KeyFileError
from shapegate_harness.issuer.keys import load_or_create, signing_key, thumbprint
from tests.harness.issuer.builders import new_key

if TYPE_CHECKING:
    from pathlib import Path


def write_key(path: Path, pem: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(pem)
    path.chmod(mode)
    return path


def pem_of(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_the_first_start_makes_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "keys of mine" / "signing.pem"
    load_or_create(path)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["signing.pem"]


def test_a_later_start_finds_the_same_key(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "signing.pem")
    again = load_or_create(tmp_path / "signing.pem")
    assert again.kid == first.kid
    assert again.public_jwk() == first.public_jwk()


def test_first_starts_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    with ThreadPoolExecutor(8) as threads:
        kids = {key.kid for key in threads.map(load_or_create, [path] * 16)}
    assert len(kids) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["signing.pem"]


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_the_owner_alone_is_taken(tmp_path: Path, mode: int) -> None:
    private = Ed25519PrivateKey.generate()
    path = write_key(tmp_path / "signing.pem", pem_of(private), mode)
    assert load_or_create(path).kid == signing_key(private).kid


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o700, 0o777])
def test_a_file_that_others_may_use_is_refused_with_its_mode(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "signing.pem", pem_of(Ed25519PrivateKey.generate()), mode)
    with pytest.raises(KeyFileError, match=rf"has mode {mode:04o}, expected 0600"):
        load_or_create(path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    target = write_key(tmp_path / "target.pem", pem_of(Ed25519PrivateKey.generate()))
    (tmp_path / "signing.pem").symlink_to(target)
    with pytest.raises(KeyFileError, match="symbolic link"):
        load_or_create(tmp_path / "signing.pem")


def test_a_link_to_nowhere_is_refused_and_nothing_is_made_there(tmp_path: Path) -> None:
    (tmp_path / "signing.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(KeyFileError, match="symbolic link"):
        load_or_create(tmp_path / "signing.pem")
    assert not (tmp_path / "elsewhere.pem").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = write_key(tmp_path / "signing.pem", pem_of(Ed25519PrivateKey.generate()))
    os.chown(path, 12345, 12345)
    with pytest.raises(KeyFileError, match="belongs to user id 12345"):
        load_or_create(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signing.pem").mkdir(mode=0o700)
    with pytest.raises(KeyFileError, match="not a regular file"):
        load_or_create(tmp_path / "signing.pem")


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "signing.pem", 0o600)
    with pytest.raises(KeyFileError, match="not a regular file"):
        load_or_create(tmp_path / "signing.pem")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="give a path in a folder that you can write to"):
        load_or_create(tmp_path / "file" / "signing.pem")


OTHER_KEYS = {
    "empty": b"",
    "text": b"not a key",
    "half a key": pem_of(Ed25519PrivateKey.generate())[:60],
    "another curve": generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
    "encrypted": Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    ),
    "public": Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("content", OTHER_KEYS.values(), ids=OTHER_KEYS.keys())
def test_what_is_no_ed25519_private_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = write_key(tmp_path / "signing.pem", content)
    with pytest.raises(KeyFileError, match="holds no unencrypted Ed25519 private key"):
        load_or_create(path)
    assert path.read_bytes() == content


def test_a_file_far_too_large_for_a_key_is_not_read(tmp_path: Path) -> None:
    path = write_key(tmp_path / "signing.pem", b"x" * 100_000)
    with pytest.raises(KeyFileError, match="has 100000 bytes"):
        load_or_create(path)


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    # RFC 8037 appendix A.3.
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert thumbprint({**jwk, "use": "sig", "kid": "ignored"}) == thumbprint(jwk)


def test_the_public_jwk_says_what_it_is_for_and_keeps_the_private_half() -> None:
    key = new_key()
    jwk = key.public_jwk()
    assert set(jwk) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (jwk["kty"], jwk["crv"], jwk["use"], jwk["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")
    assert jwk["kid"] == key.kid == thumbprint(jwk)


def test_the_repr_does_not_show_the_private_key() -> None:
    key = new_key()
    assert repr(key) == f"SigningKey(kid={key.kid!r})"
