"""What signs: how keys are named, and that no repr shows them."""

from __future__ import annotations

from shapegate_harness.issuer.keys import shared_secret, thumbprint
from tests.harness.issuer.builders import new_key


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


def test_the_repr_does_not_show_a_shared_secret() -> None:
    assert repr(shared_secret(b"0123456789abcdef0123456789abcdef")) == "SharedSecret()"
