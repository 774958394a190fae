"""Tokens: what proves a principal, and everything that does not."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.config import Secret
from shapegate_proxy.errors import InvalidToken, MalformedAuthorization, MissingToken, NoOrganization, Refused
from shapegate_proxy.keys import SharedSecret, VerificationKey
from shapegate_proxy.tokens import Verifier, bearer_token
from tests.proxy.builders import ACME, NOW, SECRET, USER, Clock, claims, issuer_config, token


def verifier(now: datetime = NOW) -> Verifier:
    return Verifier(issuer_config(), SharedSecret(Secret(SECRET)), clock=Clock(now))


def segment(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def signed(header: object, body: object) -> str:
    """Sign any two texts with the right secret, also those that no library would."""
    signing = f"{segment(header)}.{segment(body)}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        signing.encode(), SECRET.encode()
    )
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


HEADER = {"alg": "HS256", "typ": "JWT"}


async def test_a_good_token_proves_its_principal() -> None:
    principal = await verifier().verify(token())
    assert (principal.user, principal.org, principal.role) == (USER, ACME, "member")
    assert principal.expires_at == NOW + timedelta(seconds=310)  # 300 of the token, 10 of leeway


async def test_the_builder_of_raw_tokens_makes_good_ones() -> None:
    assert (await verifier().verify(signed(HEADER, claims()))).org == ACME


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "urn:other"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"exp": None},
        {"exp": int(NOW.timestamp()) - 11},
        {"nbf": int(NOW.timestamp()) + 60},
        {"iat": int(NOW.timestamp()) + 60},
    ],
)
async def test_J_05_J_06_a_claim_that_is_wrong_or_missing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(token(**changes))


@pytest.mark.parametrize(
    "exp", ["1", True, "9999999999", [1], {"a": 1}, -1, 1e300, (1 << 38) - 1, 253_402_300_799]
)
async def test_J_05_times_are_json_numbers(exp: object) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(signed(HEADER, claims() | {"exp": exp}))


async def test_J_06_an_audience_list_that_holds_ours_is_accepted() -> None:
    assert (await verifier().verify(token(aud=["other", "shapegate"]))).org == ACME


@pytest.mark.parametrize(
    "org",
    [
        None,
        "",
        "acme",
        [ACME],
        {"id": ACME},
        7,
        ACME + "\n",
        " " + ACME,
        ACME.replace("-", ""),
        "00000000-0000-0000-0000-000000000000",
        ACME[:-1] + "\u0661",
    ],
)
async def test_J_07_an_org_that_is_no_uuid_is_refused(org: object) -> None:
    with pytest.raises(NoOrganization):
        await verifier().verify(token(organization_id=org))


async def test_J_07_an_org_in_capitals_is_the_same_org() -> None:
    assert (await verifier().verify(token(organization_id=ACME.upper()))).org == ACME


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "cty", "jku", "jwk", "x5u", "x5c"])
async def test_J_03_other_header_keys_are_refused(name: str) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(signed(HEADER | {name: "x"}, claims()))


@pytest.mark.parametrize("alg", ["none", "None", "HS512", "RS256", "EdDSA", "", None, 7])
async def test_J_01_the_algorithm_belongs_to_the_key(alg: object) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(signed(HEADER | {"alg": alg}, claims()))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(claims())[:-1] + f', "organization_id": "{ACME}"}}',
        json.dumps(claims())[:-1] + ', "x": NaN}',
        json.dumps(claims())[:-1] + ', "x": Infinity}',
        json.dumps(claims())[:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}",
        json.dumps(claims())[:-1] + ', "x": ' + "[" * 1500 + "]" * 1500 + "}",
        json.dumps([claims()]),
        "null",
        "",
        "{",
    ],
)
async def test_J_04_json_is_read_strictly(body: str) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(signed(HEADER, body))


async def test_a_tampered_token_is_refused() -> None:
    head, body, signature = token().split(".")
    other = segment(claims(organization_id="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"))
    for bad in (f"{head}.{other}.{signature}", f"{head}.{body}.{'A' * len(signature)}", f"{head}.{body}.A"):
        with pytest.raises(InvalidToken):
            await verifier().verify(bad)


async def test_J_05_a_token_ends_when_the_clock_says_so() -> None:
    good = token()
    assert (await verifier(NOW + timedelta(seconds=309)).verify(good)).org == ACME
    with pytest.raises(InvalidToken):
        await verifier(NOW + timedelta(seconds=310)).verify(good)


class OneKey:
    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    async def find(self, kid: str | None) -> VerificationKey | None:
        return self._key if kid == "k1" else None

    async def available(self) -> bool:
        return True

    async def close(self) -> None:
        """Nothing to end."""


async def test_an_ed25519_key_verifies_its_tokens_and_no_hmac_made_of_it() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    keys = OneKey(VerificationKey("EdDSA", private.public_key()))
    verify = Verifier(issuer_config(), keys, clock=Clock()).verify
    good = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": "k1"})
    assert (await verify(good)).org == ACME
    public = private.public_key().public_bytes_raw()
    forged = jwt.encode(claims(), public.ljust(32, b"0"), algorithm="HS256", headers={"kid": "k1"})
    for bad in (forged, jwt.encode(claims(), private, algorithm="EdDSA"), token(headers={"kid": "k1"})):
        with pytest.raises(InvalidToken):
            await verify(bad)


async def test_a_key_of_another_pair_does_not_verify() -> None:
    keys = OneKey(VerificationKey("ES256", ec.generate_private_key(ec.SECP256R1()).public_key()))
    other = ec.generate_private_key(ec.SECP256R1())
    bad = jwt.encode(claims(), other, algorithm="ES256", headers={"kid": "k1"})
    with pytest.raises(InvalidToken):
        await Verifier(issuer_config(), keys, clock=Clock()).verify(bad)


@pytest.mark.parametrize(
    "values",
    [
        ["Basic dXNlcjpwYXNz"],
        ["Bearer"],
        ["Bearer "],
        ["Bearer a.b"],
        ["Bearer a.b.c.d"],
        ["Bearer a.b.c, Bearer a.b.c"],
        ["Bearer a.b.c x"],
        ["Bearer a.b.c\n"],
        ["Bearer a.b.ć"],
        ["Bearer a.b.c", "Bearer a.b.c"],
        ["Bearer " + "a" * 9000 + ".b.c"],
        [""],
    ],
)
def test_I_15_anything_but_one_bearer_token_is_malformed(values: list[str]) -> None:
    with pytest.raises(MalformedAuthorization):
        bearer_token(values)


def test_I_15_no_header_is_a_missing_token() -> None:
    with pytest.raises(MissingToken):
        bearer_token([])


@pytest.mark.parametrize("value", ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c", " Bearer a.b.c "])
def test_I_15_the_scheme_is_read_without_regard_to_case(value: str) -> None:
    assert bearer_token([value]) == "a.b.c"


@given(st.text(max_size=60))
async def test_nothing_but_a_refusal_comes_of_any_text(text: str) -> None:
    with pytest.raises(Refused):
        await verifier(datetime.now(UTC)).verify(bearer_token([f"Bearer {text}"]))
