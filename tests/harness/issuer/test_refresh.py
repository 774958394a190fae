"""What a presented refresh token is worth, and how its hash is made."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.issuer.refresh import RefreshToken, Verdict, judge, token_hash
from tests.harness.issuer.builders import ACME, NOW, session, user

SECOND = timedelta(seconds=1)


def stored(
    *, used_at: datetime | None = None, expires_at: datetime = NOW + SECOND, family_revoked: bool = False
) -> RefreshToken:
    return RefreshToken(
        family_id=session().family_id,
        user=user(),
        organization_id=ACME,
        expires_at=expires_at,
        used_at=used_at,
        family_revoked=family_revoked,
    )


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (stored(), Verdict.USABLE),
        (stored(expires_at=NOW), Verdict.UNUSABLE),
        (stored(expires_at=NOW - SECOND), Verdict.UNUSABLE),
        (stored(family_revoked=True), Verdict.UNUSABLE),
        (stored(used_at=NOW - 5 * SECOND), Verdict.REUSED),
        (stored(used_at=NOW - SECOND), Verdict.REUSED),
        (stored(used_at=NOW - SECOND / 2), Verdict.UNUSABLE),
        (stored(used_at=NOW - 5 * SECOND, expires_at=NOW - SECOND), Verdict.REUSED),
        (stored(used_at=NOW - 5 * SECOND, family_revoked=True), Verdict.REUSED),
    ],
    ids=[
        "fresh",
        "expires now",
        "expired",
        "family revoked",
        "used before",
        "used as the request arrived",
        "used while the request was under way",
        "used, then expired",
        "used, then revoked",
    ],
)
def test_a_token_arrived_a_second_ago_is_judged(token: RefreshToken, verdict: Verdict) -> None:
    assert judge(token, arrived_at=NOW - SECOND, now=NOW) is verdict


@settings(max_examples=100, deadline=None)
@given(
    used=st.none() | st.integers(-100, 100),
    expires=st.integers(-100, 100),
    arrived=st.integers(-100, 0),
    revoked=st.booleans(),
)
def test_a_token_is_good_for_one_use_at_most(
    used: int | None, expires: int, arrived: int, revoked: bool
) -> None:
    token = stored(
        used_at=None if used is None else NOW + used * SECOND,
        expires_at=NOW + expires * SECOND,
        family_revoked=revoked,
    )
    verdict = judge(token, arrived_at=NOW + arrived * SECOND, now=NOW)
    assert verdict is not Verdict.USABLE or (used is None and expires > 0 and not revoked)


def test_only_the_sha_256_of_a_token_is_stored() -> None:
    assert token_hash("a token") == hashlib.sha256(b"a token").digest()
