"""Where a login lands."""

from __future__ import annotations

from uuid import UUID

import pytest

from shapegate_harness.issuer.account import Credentials, Organization, find, home_or_first
from tests.harness.issuer.builders import ACME, GLOBEX, organization, user

ACME_FIRST = (organization(ACME, slug="acme"), organization(GLOBEX, slug="globex"))


@pytest.mark.parametrize(
    ("organizations", "home", "landing"),
    [
        (ACME_FIRST, ACME, ACME),
        (ACME_FIRST, GLOBEX, GLOBEX),
        (ACME_FIRST, None, ACME),
        (ACME_FIRST, UUID(int=7), ACME),
        (ACME_FIRST[1:], ACME, GLOBEX),
    ],
    ids=["home first", "home second", "no home", "home not active", "one other"],
)
def test_a_login_lands_at_home_if_home_is_active_else_at_the_first(
    organizations: tuple[Organization, ...], home: UUID | None, landing: UUID
) -> None:
    assert home_or_first(organizations, home).id == landing


def test_an_organization_that_is_not_listed_is_not_found() -> None:
    assert find(ACME_FIRST, UUID(int=7)) is None


def test_a_password_hash_is_not_part_of_the_repr() -> None:
    shown = repr(Credentials(user=user(), home_organization_id=None, password_hash="$argon2id$secret"))
    assert "argon2id" not in shown
