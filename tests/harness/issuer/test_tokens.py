"""Access tokens: what they say, and which of those that come back are believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shapegate_harness.issuer.errors import InvalidToken
from shapegate_harness.issuer.keys import shared_secret
from shapegate_harness.issuer.tokens import TOKEN_CHARS_MAX, AccessTokens, FixedKeys, lifetime
from shapegate_proxy.config import Secret
from tests.harness.issuer.builders import (
    ACME,
    ADA,
    NOW,
    access_tokens,
    decoded,
    encoded,
    minted,
    new_key,
    ring,
    session,
    settings,
    signed,
)

KEY = new_key()
SETTINGS = settings(Path("unused.pem"))
TOKENS = access_tokens(KEY, SETTINGS)
TOKEN = minted(TOKENS)
HEADER, CLAIMS, SIGNATURE = TOKEN.split(".")
SECOND = timedelta(seconds=1)


def changed(**claims: object) -> dict[str, object]:
    return {**decoded(CLAIMS), **claims}


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in decoded(CLAIMS).items() if key != name}


def test_a_token_says_what_the_proxy_looks_for() -> None:
    assert decoded(HEADER) == {"alg": "EdDSA", "kid": KEY.kid, "typ": "JWT"}
    assert decoded(CLAIMS) == {
        "iss": "urn:shapegate:dev-issuer",
        "aud": "shapegate",
        "sub": str(ADA),
        "jti": str(session().jti),
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 900,
        "organization_id": str(ACME),
        "role": "owner",
    }


def test_a_token_verifies_with_the_published_key_alone() -> None:
    published = jwt.PyJWK(dict(KEY.public_jwk()))
    claims = jwt.decode(
        TOKEN,
        published,
        algorithms=["EdDSA"],
        audience="shapegate",
        issuer="urn:shapegate:dev-issuer",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims == decoded(CLAIMS)


def test_an_own_token_is_believed() -> None:
    verified = TOKENS.verify(TOKEN, now=NOW)
    assert (verified.user_id, verified.organization_id, verified.jti) == (ADA, ACME, session().jti)


@pytest.mark.parametrize(
    ("now", "believed"),
    [
        (NOW - SECOND, False),
        (NOW, True),
        (NOW + 899 * SECOND, True),
        (NOW + 900 * SECOND - SECOND / 1000, True),
        (NOW + 900 * SECOND, False),
        (NOW + 3600 * SECOND, False),
    ],
    ids=["before", "first", "late", "last", "over", "long over"],
)
def test_a_token_is_good_from_nbf_until_just_before_exp(now: datetime, believed: bool) -> None:
    if believed:
        TOKENS.verify(TOKEN, now=now)
    else:
        with pytest.raises(InvalidToken):
            TOKENS.verify(TOKEN, now=now)


RAW_PUBLIC = KEY.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
PEM_PUBLIC = KEY.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256(secret: bytes) -> str:
    """What a verifier that lets the token choose the algorithm would believe."""
    content = f"{encoded({'alg': 'HS256', 'kid': KEY.kid, 'typ': 'JWT'})}.{CLAIMS}"
    mac = hmac.new(secret, content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


FORGED = {
    "empty": "",
    "one part": HEADER,
    "two parts": f"{HEADER}.{CLAIMS}",
    "four parts": f"{TOKEN}.{SIGNATURE}",
    "no signature": f"{HEADER}.{CLAIMS}.",
    "alg none": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{CLAIMS}.",
    "alg none, kept signature": f"{encoded({**decoded(HEADER), 'alg': 'none'})}.{CLAIMS}.{SIGNATURE}",
    "HS256 with the raw public key": hs256(RAW_PUBLIC),
    "HS256 with the public PEM": hs256(PEM_PUBLIC),
    "HS256 with the published x": hs256(KEY.public_jwk()["x"].encode()),
    "another role": f"{HEADER}.{encoded(changed(role='admin'))}.{SIGNATURE}",
    "another organization": f"{HEADER}.{encoded(changed(organization_id=str(ADA)))}.{SIGNATURE}",
    "a later end": f"{HEADER}.{encoded(changed(exp=2_000_000_000))}.{SIGNATURE}",
    "another key": minted(access_tokens(new_key(), SETTINGS)),
    "another key under our kid": signed(new_key(), decoded(HEADER), decoded(CLAIMS)),
    "own key, header member added": signed(KEY, {**decoded(HEADER), "jku": "https://x"}, decoded(CLAIMS)),
    "own key, crit": signed(KEY, {**decoded(HEADER), "crit": ["b64"], "b64": False}, decoded(CLAIMS)),
    "own key, typ of another use": signed(KEY, {**decoded(HEADER), "typ": "at+jwt"}, decoded(CLAIMS)),
    "own key, no kid": signed(KEY, {"alg": "EdDSA", "typ": "JWT"}, decoded(CLAIMS)),
    "own key, alg twice": signed(
        KEY, f'{{"alg":"EdDSA","alg":"EdDSA","kid":"{KEY.kid}","typ":"JWT"}}', decoded(CLAIMS)
    ),
    "own key, another issuer": signed(KEY, decoded(HEADER), changed(iss="https://evil.example")),
    "own key, another audience": signed(KEY, decoded(HEADER), changed(aud="other")),
    "own key, no issuer": signed(KEY, decoded(HEADER), without("iss")),
    "own key, no audience": signed(KEY, decoded(HEADER), without("aud")),
    "own key, no exp": signed(KEY, decoded(HEADER), without("exp")),
    "own key, no nbf": signed(KEY, decoded(HEADER), without("nbf")),
    "own key, no jti": signed(KEY, decoded(HEADER), without("jti")),
    "own key, no organization": signed(KEY, decoded(HEADER), without("organization_id")),
    "own key, exp as text": signed(KEY, decoded(HEADER), changed(exp="9999999999")),
    "own key, exp true": signed(KEY, decoded(HEADER), changed(exp=True)),
    "own key, exp a list": signed(KEY, decoded(HEADER), changed(exp=[1])),
    "own key, jti no uuid": signed(KEY, decoded(HEADER), changed(jti="1")),
    "own key, organization a list": signed(KEY, decoded(HEADER), changed(organization_id=[str(ACME)])),
    "own key, sub a number": signed(KEY, decoded(HEADER), changed(sub=1)),
    "own key, claims a list": signed(KEY, decoded(HEADER), [decoded(CLAIMS)]),
    "own key, claims no JSON": signed(KEY, decoded(HEADER), "{"),
    "deep header": f"{encoded('[' * 1500)}.{CLAIMS}.{SIGNATURE}",
    "deep claims": f"{HEADER}.{encoded('[' * 1500)}.{SIGNATURE}",
    "large": f"{HEADER}.{'A' * TOKEN_CHARS_MAX}.{SIGNATURE}",
    "white space before": f" {TOKEN}",
    "line feed after": f"{TOKEN}\n",
    "junk that lax base64 skips": f"{HEADER}.{CLAIMS[:10]}!{CLAIMS[10:]}.{SIGNATURE}",
    "padding": f"{HEADER}.{CLAIMS}.{SIGNATURE}==",
    "not ASCII": f"{HEADER}.{CLAIMS}.é{SIGNATURE}",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_J_01_J_03_J_04_a_token_that_this_issuer_did_not_make_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.verify(token, now=NOW)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_with_one_changed_character_is_refused(part: int) -> None:
    parts = TOKEN.split(".")
    # The last character of a part may hold padding bits only, so the one in the middle is changed.
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    with pytest.raises(InvalidToken):
        TOKENS.verify(".".join(parts), now=NOW)


def test_an_issuer_of_another_name_or_audience_refuses_the_token_of_a_shared_key() -> None:
    for other in (settings(Path("x"), issuer="urn:other"), settings(Path("x"), audience="other")):
        with pytest.raises(InvalidToken):
            access_tokens(KEY, other).verify(TOKEN, now=NOW)


@hypothesis_settings(max_examples=100, deadline=None)
@given(token=st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_nothing_but_invalid_token_escapes(token: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.verify(token, now=NOW)


def test_the_refusal_does_not_say_what_was_wrong() -> None:
    texts = set()
    for token in FORGED.values():
        with pytest.raises(InvalidToken) as caught:
            TOKENS.verify(token, now=NOW)
        texts.add(str(caught.value))
    assert len(texts) == 1


# Keys that follow each other


@pytest.mark.parametrize(
    ("seconds", "signs"), [(0, "former"), (119, "former"), (120, "newest"), (9999, "newest")]
)
def test_J_11_a_new_key_signs_once_it_was_published_for_two_minutes(seconds: int, signs: str) -> None:
    newest = new_key()
    tokens = AccessTokens(keys=FixedKeys(fixed=ring(newest, KEY)), settings=SETTINGS)
    header = decoded(minted(tokens, now=NOW + seconds * SECOND).split(".")[0])
    assert header["kid"] == {"former": KEY.kid, "newest": newest.kid}[signs]


def test_J_11_tokens_of_the_former_key_are_believed_until_it_is_gone() -> None:
    newest = new_key()
    overlapping = AccessTokens(keys=FixedKeys(fixed=ring(newest, KEY)), settings=SETTINGS)
    assert overlapping.verify(TOKEN, now=NOW).user_id == ADA
    with pytest.raises(InvalidToken):
        access_tokens(newest, SETTINGS).verify(TOKEN, now=NOW)


def test_a_token_of_one_key_under_the_name_of_another_of_the_ring_is_refused() -> None:
    other = new_key()
    tokens = AccessTokens(keys=FixedKeys(fixed=ring(KEY, other)), settings=SETTINGS)
    with pytest.raises(InvalidToken):
        tokens.verify(signed(other, decoded(HEADER), decoded(CLAIMS)), now=NOW)


# A shared secret

SECRET = b"0123456789abcdef0123456789abcdef"
COMPATIBLE = settings(None, secret=Secret(SECRET.decode()), subject_prefix="user?id=")
SHARED = access_tokens(shared_secret(SECRET), COMPATIBLE)


def test_J_01_a_shared_secret_signs_hs256_with_subjects_of_their_own_form() -> None:
    header, claims, _ = minted(SHARED).split(".")
    assert decoded(header) == {"alg": "HS256", "typ": "JWT"}
    assert decoded(claims)["sub"] == f"user?id={ADA}"
    assert SHARED.verify(minted(SHARED), now=NOW).user_id == ADA
    assert SHARED.keys.ring().public_jwks() == ()


@pytest.mark.parametrize(
    "token",
    [
        TOKEN,
        minted(access_tokens(shared_secret(SECRET), settings(None, secret=Secret(SECRET.decode())))),
        minted(access_tokens(shared_secret(SECRET[::-1]), COMPATIBLE)),
    ],
    ids=["of a key pair", "without the prefix", "of another secret"],
)
def test_J_01_an_issuer_with_a_secret_believes_no_other_tokens(token: str) -> None:
    with pytest.raises(InvalidToken):
        SHARED.verify(token, now=NOW)


# Further claims


def test_further_claims_stand_beside_the_others_and_take_the_place_of_none() -> None:
    further = {"tenant": "TNT-ACME", "organization_id": str(ADA), "sub": "x", "role": "owner", "exp": "9"}
    claims = decoded(TOKENS.mint(session(), "viewer", further, now=NOW).split(".")[1])
    assert claims == {**decoded(CLAIMS), "tenant": "TNT-ACME", "role": "viewer"}


def test_a_lifetime_begins_at_a_whole_second_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    start, end = lifetime(datetime(2026, 11, 21, 14, 0, 0, 999_999, tzinfo=east), 60)
    assert (start, end) == (NOW, NOW + 60 * SECOND)
    assert start.utcoffset() == timedelta(0)
