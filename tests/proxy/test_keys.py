"""Single keys: which are fit to verify tokens, and for which algorithm."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shapegate_proxy.config import Secret
from shapegate_proxy.keys import FixedKey, UnfitKeyError, bind_secret, parse_public_key
from tests.proxy.builders import SECRET

ED = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA_2048 = rsa.generate_private_key(65_537, 2048)
RSA_1024 = rsa.generate_private_key(65_537, 1024)  # noqa: S505  # to be refused

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def public_pem(key: Private) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_der(key: Private) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: Private) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(("key", "algorithm"), [(ED, "EdDSA"), (P256, "ES256"), (RSA_2048, "RS256")])
async def test_J_01_a_public_key_is_bound_to_its_algorithm(key: Private, algorithm: str) -> None:
    bound = parse_public_key(public_pem(key))
    assert bound.algorithm == algorithm
    assert await FixedKey(bound).find("any id") is bound
    assert FixedKey(bound).available()


@pytest.mark.parametrize("key", [RSA_1024, P384])
def test_J_02_a_weak_key_or_another_curve_is_unfit(key: Private) -> None:
    with pytest.raises(UnfitKeyError, match="expected RSA of 2048 bits"):
        parse_public_key(public_pem(key))


@pytest.mark.parametrize(
    "text",
    ["", "text", private_pem(ED), public_pem(ED)[:-40], "-----BEGIN CERTIFICATE-----"],
    ids=["nothing", "text", "private", "cut", "certificate"],
)
def test_J_02_what_is_no_public_key_is_unfit(text: str) -> None:
    with pytest.raises(UnfitKeyError, match="expected one block"):
        parse_public_key(text)


def test_J_02_a_long_secret_is_bound_to_hs256() -> None:
    assert bind_secret(Secret(SECRET)).algorithm == "HS256"
    assert bind_secret(Secret("0123456789abcdef" * 4)).key == b"0123456789abcdef" * 4
    bind_secret(Secret(base64.b64encode(b"\x01random bytes of 32 and more, packed").decode()))


def test_J_02_a_short_secret_is_unfit() -> None:
    with pytest.raises(UnfitKeyError, match="at least 32 bytes"):
        bind_secret(Secret("x" * 31))
    bind_secret(Secret("\u0107" * 16))  # 32 bytes


@pytest.mark.parametrize(
    "text",
    [
        public_pem(RSA_2048),
        private_pem(RSA_2048),
        public_pem(P256),
        public_pem(ED),
        ED.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        base64.b64encode(public_der(RSA_2048)).decode(),
        base64.b64encode(public_der(ED)).decode(),
        base64.urlsafe_b64encode(public_der(P256)).decode().rstrip("="),
        base64.encodebytes(public_der(RSA_2048)).decode(),
        base64.b64encode(public_pem(ED).encode()).decode(),
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA_2048.public_key()),
        jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key()),
        json.dumps({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM"}),
    ],
    ids=range(13),  # keys are made anew each time, and names of tests must not change
)
def test_J_01_a_secret_that_is_a_key_of_another_kind_is_unfit(text: str) -> None:
    with pytest.raises(UnfitKeyError, match="expected a random text") as caught:
        bind_secret(Secret(text))
    assert text not in str(caught.value)


def test_J_16_a_key_is_not_printed() -> None:
    assert SECRET not in repr(bind_secret(Secret(SECRET)))
