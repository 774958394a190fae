"""What answers look like as JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shapegate_harness.issuer.answers import Granted, Me, SessionPart, print_answer, problem, problem_headers
from shapegate_harness.issuer.errors import (
    Busy,
    InvalidToken,
    MalformedAuthorization,
    MalformedBody,
    MissingToken,
    NotAMember,
    Refused,
    Unavailable,
)
from tests.harness.issuer.builders import ACME, ADA, GLOBEX, NOW, organization, session, user


def granted() -> Granted:
    return Granted(
        access_token="a.b.c",
        expires_in=900,
        refresh_token="refresh",
        issuer="urn:x",
        user=user(),
        organization=organization(ACME),
        organizations=(organization(ACME), organization(GLOBEX, slug="globex", role="member")),
    )


ACME_JSON = {"id": str(ACME), "slug": "acme", "name": "Acme", "role": "owner"}
GLOBEX_JSON = {"id": str(GLOBEX), "slug": "globex", "name": "Globex", "role": "member"}
ADA_JSON = {"id": str(ADA), "email": "ada@acme.example"}


def test_granted_tokens_are_printed_with_everything_a_client_needs() -> None:
    assert json.loads(print_answer(granted())) == {
        "access_token": "a.b.c",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": "refresh",
        "issuer": "urn:x",
        "user": ADA_JSON,
        "organization": ACME_JSON,
        "organizations": [ACME_JSON, GLOBEX_JSON],
    }


def test_me_is_printed_with_the_session_in_utc() -> None:
    me = Me(
        user=user(),
        organization=organization(),
        organizations=(organization(),),
        session=SessionPart(jti=session().jti, issued_at=NOW, expires_at=NOW + timedelta(seconds=900)),
    )
    assert json.loads(print_answer(me)) == {
        "user": ADA_JSON,
        "organization": ACME_JSON,
        "organizations": [ACME_JSON],
        "session": {
            "jti": str(session().jti),
            "issued_at": "2026-11-21T12:00:00Z",
            "expires_at": "2026-11-21T12:15:00Z",
        },
    }


def test_tokens_are_not_part_of_the_repr() -> None:
    assert "a.b.c" not in repr(granted())
    assert "'refresh'" not in repr(granted())


def test_a_refusal_is_printed_with_message_code_and_hint() -> None:
    assert json.loads(print_answer(problem(MalformedBody("email is missing")))) == {
        "message": "email is missing",
        "code": "malformed_body",
        "hint": MalformedBody.hint,
    }


@pytest.mark.parametrize(
    ("refused", "headers"),
    [
        (MissingToken(), {"WWW-Authenticate": "Bearer"}),
        (MalformedAuthorization(), {"WWW-Authenticate": 'Bearer error="invalid_request"'}),
        (
            InvalidToken(),
            {
                "WWW-Authenticate": 'Bearer error="invalid_token", '
                'error_description="the access token is invalid, expired or revoked"'
            },
        ),
        (NotAMember(), {}),
        (Unavailable(), {"Retry-After": "2"}),
        (Busy(), {"Retry-After": "1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_of_a_refusal(refused: Refused, headers: dict[str, str]) -> None:
    assert problem_headers(refused) == headers
