"""Every refusal is complete, and each cause has a code of its own."""

from __future__ import annotations

import pytest

from shapegate_harness.issuer.errors import (
    IssuerError,
    KeyFileError,
    Refused,
    StartError,
    UnknownOrganization,
    UnknownSession,
    UnknownUser,
)


def causes(root: type[Refused] = Refused) -> list[type[Refused]]:
    return [cause for child in root.__subclasses__() for cause in (child, *causes(child))]


def test_every_error_has_one_root() -> None:
    assert all(
        issubclass(kind, IssuerError)
        for kind in (KeyFileError, StartError, UnknownOrganization, UnknownSession, UnknownUser, Refused)
    )


def test_no_two_causes_share_a_code() -> None:
    codes = [cause.code for cause in causes()]
    assert len(codes) == len(set(codes)) >= 10


@pytest.mark.parametrize("cause", causes(), ids=lambda cause: cause.__name__)
def test_a_cause_says_what_happened_and_what_to_do(cause: type[Refused]) -> None:
    assert 400 <= cause.status <= 599
    assert cause.code.isidentifier()
    assert cause.code.islower()
    assert cause.message
    assert cause.hint
    assert str(cause()) == cause.message


@pytest.mark.parametrize("cause", causes(), ids=lambda cause: cause.__name__)
def test_a_401_has_a_challenge_and_a_429_or_503_says_when_to_come_back(cause: type[Refused]) -> None:
    assert cause.status != 401 or cause.challenge is not None
    assert (cause.status in (429, 503)) == (cause.retry_after_seconds is not None)
