"""What an issuer may be told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapegate_harness.issuer import IssuerSettings


def test_a_key_file_is_all_that_has_to_be_said() -> None:
    told = IssuerSettings(key_file=Path("key.pem"))
    assert (told.issuer, told.audience) == ("urn:shapegate:dev-issuer", "shapegate")
    assert (told.access_seconds, told.refresh_seconds) == (900, 30 * 24 * 60 * 60)


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
