"""The issuer's answer to a login, renewal or switch."""

from __future__ import annotations

import datetime

import pytest

from shapegate_client.errors import IssuerFault
from shapegate_client.grant import Granted, parse_granted
from shapegate_client.login import Login
from tests.client.ports import START
from tests.client.servers import jwt

ACME = {"id": "acme", "slug": "acme", "name": "Acme", "role": "owner"}
GLOBEX = {"id": "globex", "slug": "globex", "name": "Globex", "role": "member"}


def answer(**changes: object) -> dict[str, object]:
    return {
        "access_token": jwt("ada", "acme", 1),
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": "r",
        "issuer": "urn:test",
        "user": {"id": "ada", "email": "ada@acme.example"},
        "organization": ACME,
        "organizations": [ACME, GLOBEX],
        **changes,
    }


def granted(jitter: float = 0.0, **changes: object) -> Granted:
    return parse_granted(answer(**changes), now=START, jitter=jitter)


def test_a_token_is_renewed_by_chance_in_the_last_tenth_to_fifth_of_its_life() -> None:
    for jitter, seconds in ((0.0, 810.0), (0.999, 720.09)):
        grant = granted(jitter).grant
        assert (grant.renew_at - START).total_seconds() == pytest.approx(seconds)
        assert grant.expires_at - START == datetime.timedelta(seconds=900)


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": "no.jwt"},
        {"access_token": ""},
        {"access_token": jwt("ben", "acme", 1)},
        {"access_token": jwt("ada", "globex", 1)},
        {"refresh_token": None},
        {"expires_in": "soon"},
        {"user": {"id": "ada"}},
        {"organization": {**ACME, "id": "../acme"}, "access_token": jwt("ada", "../acme", 1)},
        {"organizations": [{**GLOBEX, "id": "a/b"}]},
    ],
)
def test_an_answer_that_is_none_or_contradicts_its_token_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(IssuerFault) as refused:
        parse_granted(answer(**changes), now=START, jitter=0.0)
    assert "eyJ" not in str(refused.value)


def test_the_org_of_the_tokens_is_always_listed() -> None:
    listed = granted(organizations=[GLOBEX]).organizations
    assert listed is not None
    assert [each.id for each in listed] == ["globex", "acme"]


def test_a_login_whose_first_org_is_gone_stands_in_the_one_it_has_tokens_for() -> None:
    found = granted()
    login = Login(
        issuer="urn:test",
        user_id="ada",
        email="old@acme.example",
        home_organization_id="initech",
        organizations=(),
    )
    joined = found.joined(login)
    assert joined.principal().organization.id == "acme"
    assert (joined.email, list(joined.grants)) == ("ada@acme.example", ["acme"])
