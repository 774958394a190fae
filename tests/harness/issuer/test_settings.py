"""What an issuer may be told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapegate_harness.issuer import IssuerSettings
from shapegate_proxy.config import Secret


def test_a_key_file_is_all_that_has_to_be_said() -> None:
    told = IssuerSettings(key_file=Path("key.pem"))
    assert (told.issuer, told.audience) == ("urn:shapegate:dev-issuer", "shapegate")
    assert (told.access_seconds, told.refresh_seconds) == (900, 30 * 24 * 60 * 60)


@pytest.mark.parametrize(
    ("key_file", "secret", "problem"),
    [
        (None, None, "exactly one of them signs"),
        (Path("key.pem"), Secret("x" * 32), "exactly one of them signs"),
        (None, Secret("too short"), "secret is too short: expected at least 32 bytes"),
        (None, Secret("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"), "secret holds a PEM"),
    ],
    ids=["nothing", "both", "short", "a key"],
)
def test_J_02_one_key_file_or_one_fit_secret_signs(
    key_file: Path | None, secret: Secret | None, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        IssuerSettings(key_file=key_file, secret=secret)
    assert "MFkw" not in str(caught.value)


def test_bounds_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="bounds per minute are"):
        IssuerSettings(key_file=Path("key.pem"), refreshes_per_minute_user=0)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"issuer is empty; audience is empty; access_seconds is 0"
    ) as caught:
        IssuerSettings(key_file=Path("key.pem"), issuer="", audience="", access_seconds=0, database_seconds=0)
    assert "database_seconds is 0" in str(caught.value)


@pytest.mark.parametrize("access_seconds", [-1, 0, 24 * 60 * 60 + 1])
def test_an_access_token_lives_a_day_at_most(access_seconds: int) -> None:
    with pytest.raises(ValueError, match="access_seconds"):
        IssuerSettings(key_file=Path("key.pem"), access_seconds=access_seconds)


@pytest.mark.parametrize("refresh_seconds", [0, 899, 366 * 24 * 60 * 60 + 1])
def test_a_refresh_token_outlives_the_access_token_but_not_a_year(refresh_seconds: int) -> None:
    with pytest.raises(ValueError, match="refresh_seconds"):
        IssuerSettings(key_file=Path("key.pem"), refresh_seconds=refresh_seconds)
