"""The signing keys' file: made once, replaced whole, for its owner's eyes only."""

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
from shapegate_harness.issuer.key_file import KeyFile, load_or_create, rotate
from shapegate_harness.issuer.keys import signing_key

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
    assert [key.public_jwk() for key in again.keys] == [key.public_jwk() for key in first.keys]


def test_first_starts_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    with ThreadPoolExecutor(8) as threads:
        kids = {read.keys[0].kid for read in threads.map(load_or_create, [path] * 16)}
    assert len(kids) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["signing.pem"]


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_the_owner_alone_is_taken(tmp_path: Path, mode: int) -> None:
    private = Ed25519PrivateKey.generate()
    path = write_key(tmp_path / "signing.pem", pem_of(private), mode)
    assert load_or_create(path).keys[0].kid == signing_key(private).kid


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


# Rotating


def kids(path: Path) -> list[str]:
    return [key.kid for key in load_or_create(path).keys]


def test_a_rotation_puts_a_new_key_first_and_keeps_the_two_before_it(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    seen = kids(path)
    for _ in range(3):
        seen.insert(0, rotate(path, forget=False).kid)
        assert kids(path) == seen[:3]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(seen)) == 4
    assert [item.name for item in tmp_path.iterdir()] == ["signing.pem"]


def test_a_rotation_that_forgets_leaves_the_new_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    load_or_create(path)
    assert kids(path) != [rotate(path, forget=True).kid] == kids(path)


def test_a_running_issuer_finds_the_new_key(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    keys = KeyFile(path)
    [former] = keys.ring().signers
    rotate(path, forget=False)
    assert [signer.header for signer in keys.ring().signers][1:] == [former.header]


@pytest.mark.parametrize("damage", ["gone", "no key", "open to all"])
def test_a_running_issuer_keeps_its_keys_while_the_file_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "signing.pem"
    keys = KeyFile(path)
    before = keys.ring()
    if damage == "gone":
        path.unlink()
    elif damage == "no key":
        write_key(path, b"nothing")
    else:
        os.utime(path, (1, 1))
        path.chmod(0o644)
    assert keys.ring() == before
    assert "cannot be read again" in caplog.text


def test_what_is_not_there_is_not_rotated(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"No such file"):
        rotate(tmp_path / "signing.pem", forget=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_more_keys_than_a_rotation_leaves_is_refused(tmp_path: Path) -> None:
    many = b"".join(pem_of(Ed25519PrivateKey.generate()) for _ in range(4))
    path = write_key(tmp_path / "signing.pem", many)
    with pytest.raises(KeyFileError, match="something beside 3 of them"):
        load_or_create(path)
