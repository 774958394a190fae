"""Tokens: what proves a principal, by whose key, and everything that does not."""

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

from shapegate_proxy.config import IssuerConfig, Secret
from shapegate_proxy.errors import (
    ExpiredToken,
    InvalidToken,
    KeysUnavailable,
    MalformedAuthorization,
    MissingToken,
    NoOrganization,
    Refused,
)
from shapegate_proxy.keys import FixedKey, VerificationKey, bind, bind_secret
from shapegate_proxy.proven import ProvenTokens
from shapegate_proxy.tokens import TrustedIssuer, Verifier, bearer_token
from tests.proxy.builders import (
    ACME,
    AUDIENCE,
    GLOBEX,
    ISSUER,
    NOW,
    SECRET,
    USER,
    Clock,
    claims,
    issuer_config,
    token,
)

OTHER_SECRET = "another-secret-of-more-than-32-bytes!"


def shared(secret: str = SECRET, **changes: Any) -> TrustedIssuer:
    """An entry with a shared secret."""
    good: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "secret": Secret(secret)}
    config = IssuerConfig(**(good | changes))
    return TrustedIssuer(config=config, keys=FixedKey(bind_secret(Secret(secret))), sessions=True)


def published(keys: Keys, **changes: Any) -> TrustedIssuer:
    """An entry with keys that the test holds."""
    good: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "public_key": "not read here"}
    return TrustedIssuer(config=IssuerConfig(**(good | changes)), keys=keys, sessions=True)


def verifier(now: datetime = NOW, **changes: Any) -> Verifier:
    return Verifier([shared(**changes)], clock=Clock(now))


class Keys:
    """Keys by id that a test may take away; `asked` counts look-ups."""

    def __init__(self, **by_kid: VerificationKey) -> None:
        self.by_kid = by_kid
        self.failing = False
        self.failures = 0
        self.asked = 0

    async def find(self, kid: str | None) -> VerificationKey | None:
        self.asked += 1
        if self.failing:
            raise KeysUnavailable
        return self.peek(kid)

    def peek(self, kid: str | None) -> VerificationKey | None:
        return None if kid is None or self.failing else self.by_kid.get(kid)

    def available(self) -> bool:
        return not self.failing


def verification_key(private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> VerificationKey:
    key = bind(private.public_key())
    assert key is not None
    return key


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


async def test_J_01_a_tampered_token_is_refused() -> None:
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


async def test_J_01_an_ed25519_key_verifies_its_tokens_and_no_hmac_made_of_it() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    verify = Verifier([published(Keys(k1=verification_key(private)))], clock=Clock()).verify
    good = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": "k1"})
    assert (await verify(good)).org == ACME
    public = private.public_key().public_bytes_raw()
    forged = jwt.encode(claims(), public.ljust(32, b"0"), algorithm="HS256", headers={"kid": "k1"})
    for bad in (forged, jwt.encode(claims(), private, algorithm="EdDSA"), token(headers={"kid": "k1"})):
        with pytest.raises(InvalidToken):
            await verify(bad)


async def test_J_01_a_key_of_another_pair_does_not_verify() -> None:
    private, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    bad = jwt.encode(claims(), other, algorithm="ES256", headers={"kid": "k1"})
    with pytest.raises(InvalidToken):
        await Verifier([published(Keys(k1=verification_key(private)))], clock=Clock()).verify(bad)


async def test_J_01_a_key_of_another_algorithm_than_the_header_says_is_not_tried() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    entry = published(Keys(k1=verification_key(private)), algorithms=frozenset({"ES256", "EdDSA"}))
    head, body, signature = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": "k1"}).split(".")
    head = segment({"alg": "ES256", "kid": "k1", "typ": "JWT"})
    with pytest.raises(InvalidToken):
        await Verifier([entry], clock=Clock()).verify(f"{head}.{body}.{signature}")


async def test_J_01_two_entries_of_one_issuer_are_told_apart_by_the_algorithm() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    keys = Keys(k1=verification_key(private))
    entries = [shared(), published(keys, org_claim=("app", "org"))]
    verify = Verifier(entries, clock=Clock()).verify
    assert (await verify(token())).org == ACME
    assert keys.asked == 0
    other = jwt.encode(claims(app={"org": GLOBEX}), private, algorithm="EdDSA", headers={"kid": "k1"})
    assert (await verify(other)).org == GLOBEX


async def test_J_01_the_key_of_one_issuer_proves_nothing_for_another() -> None:
    entries = [shared(), shared(OTHER_SECRET, issuer="urn:other")]
    verify = Verifier(entries, clock=Clock()).verify
    assert (await verify(token(iss="urn:other", secret=OTHER_SECRET))).issuer == "urn:other"
    for bad in (token(iss="urn:other"), token(secret=OTHER_SECRET), token(iss="urn:unknown")):
        with pytest.raises(InvalidToken):
            await verify(bad)


async def test_J_01_an_algorithm_that_the_entry_leaves_out_is_refused() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    entry = published(Keys(k1=verification_key(private)), algorithms=frozenset({"RS256"}))
    with pytest.raises(InvalidToken):
        await Verifier([entry], clock=Clock()).verify(
            jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": "k1"})
        )


async def test_a_token_of_an_issuer_with_sessions_has_to_name_one() -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(token(jti=None))
    without = TrustedIssuer(config=issuer_config(), keys=shared().keys, sessions=False)
    principal = await Verifier([without], clock=Clock()).verify(token())
    assert principal.session is None  # a look-up by another issuer's id would end it


async def test_further_claims_and_the_prefix_are_the_entrys_own() -> None:
    entry = shared(subject_prefix="user?id=", claims={"client": ("https://app.example/client",)})
    said: dict[str, Any] = {"sub": f"user?id={USER}", "https://app.example/client": "c-7"}
    principal = await Verifier([entry], clock=Clock()).verify(token(**said))
    assert (principal.user, dict(principal.claims)) == (USER, {"client": "c-7"})


async def test_J_15_a_proven_token_is_not_proven_again() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    proven = ProvenTokens()
    verifier = Verifier([published(Keys(k1=verification_key(private)))], clock=Clock(), proven=proven)
    good = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": "k1"})
    assert await verifier.verify(good) is await verifier.verify(good)
    assert len(proven) == 1
    known = await verifier.recall(good)
    assert known is not None
    assert known.principal is await verifier.verify(good)


async def test_J_15_a_known_token_ends_with_its_time_and_does_not_begin_before_it() -> None:
    clock = Clock()
    verify = Verifier([shared()], clock=clock).verify
    good = token(nbf=int(NOW.timestamp()))
    await verify(good)
    clock.now = NOW + timedelta(seconds=309)
    await verify(good)
    for wrong in (NOW + timedelta(seconds=310), NOW - timedelta(seconds=11)):
        clock.now = wrong
        with pytest.raises(ExpiredToken):
            await verify(good)


async def test_J_15_J_11_a_known_token_ends_with_its_key() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    keys = Keys(k1=verification_key(private))
    verify = Verifier([published(keys)], clock=Clock()).verify
    good = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": "k1"})
    await verify(good)
    keys.failing = True
    with pytest.raises(KeysUnavailable):
        await verify(good)
    keys.failing = False
    keys.by_kid["k1"] = verification_key(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(InvalidToken):
        await verify(good)
    del keys.by_kid["k1"]
    with pytest.raises(InvalidToken):
        await verify(good)


async def test_J_15_a_token_that_differs_in_one_character_is_not_known() -> None:
    verify = verifier().verify
    head, body, signature = token().split(".")
    await verify(f"{head}.{body}.{signature}")
    for bad in (f"{head}.{body}.{signature[:-2]}", f"{head}.{body}.{signature}A", f"{head}.{body}.AAAA"):
        with pytest.raises(InvalidToken):
            await verify(bad)


def test_the_state_of_the_keys_is_told_for_each_issuer() -> None:
    failing = Keys()
    failing.failing = True
    entries = [shared(), published(failing), shared(issuer="urn:other")]
    assert Verifier(entries, clock=Clock()).available() == {ISSUER: False, "urn:other": True}


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
