"""Logins seen from above: which go on, ending them, and clearing away what is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from shapegate_harness.issuer import UnknownOrganization, UnknownSession, UnknownUser
from shapegate_harness.issuer.administration import (
    active_logins,
    clear_away,
    end_all_of_organization,
    end_all_of_user,
    end_session,
)
from shapegate_harness.issuer.store import Store
from tests.harness.issuer.builders import NOW, decoded
from tests.harness.issuer.observed import hold_user, organization_id, reasons, refused, waiters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.harness.issuer.builders import Clock
    from tests.harness.issuer.caller import Caller, Reply
    from tests.harness.issuer.conftest import Database

ADA, BEN = "ada@acme.example", "ben@acme.example"
DAY = 24 * 60 * 60


@pytest_asyncio.fixture(loop_scope="session")
async def store(database: Database) -> AsyncIterator[Store]:
    async with Store.open(database.issuer_url, seconds=10) as opened:
        yield opened


def jti(reply: Reply) -> UUID:
    return UUID(str(decoded(reply.text("access_token").split(".")[1])["jti"]))


async def goes_on(caller: Caller, reply: Reply) -> bool:
    """Whether tokens of a login still count, all or none."""
    counted = (await caller.me(reply.text("access_token"))).status == 200
    refreshed = (await caller.refresh(reply.text("refresh_token"))).status == 200
    assert counted == refreshed
    return counted


# Listing


async def test_the_logins_of_a_user_that_go_on_are_listed_with_their_organizations(
    caller: Caller, database: Database, store: Store, clock: Clock
) -> None:
    first = await caller.login()
    clock.advance(60)
    switched = await caller.switch(first.text("access_token"), await organization_id(database, "globex"))
    await caller.login(BEN)
    found = await active_logins(store, email="ADA@acme.example", now=clock())
    assert [(login.jti, login.organization) for login in found] == [
        (jti(first), "acme"),
        (jti(switched), "globex"),
    ]
    assert found[0].issued_at == NOW
    assert found[0].expires_at == NOW + timedelta(seconds=900)
    assert found[0].refresh_until == NOW + timedelta(days=30)


async def test_a_login_that_was_refreshed_is_listed_once_by_its_newest_session(
    caller: Caller, store: Store, clock: Clock
) -> None:
    login = await caller.login()
    clock.advance(2 * 900)
    refreshed = await caller.refresh(login.text("refresh_token"))
    [found] = await active_logins(store, email=ADA, now=clock())
    assert found.jti == jti(refreshed)


async def test_what_has_ended_is_not_listed(caller: Caller, store: Store, clock: Clock) -> None:
    out = await caller.login()
    await caller.logout(out.text("access_token"))
    await caller.login()
    clock.advance(900)
    assert len(await active_logins(store, email=ADA, now=clock())) == 1  # it can be refreshed
    clock.advance(30 * DAY)
    assert await active_logins(store, email=ADA, now=clock()) == ()


async def test_nobodys_logins_are_an_error(store: Store) -> None:
    with pytest.raises(UnknownUser, match="nobody@acme"):
        await active_logins(store, email="nobody@acme.example", now=NOW)
    with pytest.raises(UnknownUser):
        await end_all_of_user(store, email="nobody@acme.example", now=NOW)
    with pytest.raises(UnknownSession):
        await end_session(store, jti=uuid4(), now=NOW)
    with pytest.raises(UnknownOrganization, match="'nowhere'"):
        await end_all_of_organization(store, slug="nowhere", now=NOW)


# Ending


async def test_ending_a_session_ends_its_login_and_no_other(
    caller: Caller, database: Database, store: Store
) -> None:
    first, other = await caller.login(), await caller.login()
    refreshed = await caller.refresh(first.text("refresh_token"))
    await end_session(store, jti=jti(first), now=NOW)
    await end_session(store, jti=jti(first), now=NOW)
    assert not await goes_on(caller, refreshed)
    assert await goes_on(caller, other)
    assert sorted(map(str, await reasons(database))) == ["None", "None", "operator", "operator"]


async def test_ending_all_of_a_user_ends_them_in_every_organization(
    caller: Caller, database: Database, store: Store
) -> None:
    ada, ben = await caller.login(), await caller.login(BEN)
    switched = await caller.switch(ada.text("access_token"), await organization_id(database, "globex"))
    assert await end_all_of_user(store, email=ADA, now=NOW) == 2
    assert [await goes_on(caller, reply) for reply in (ada, switched, ben)] == [False, False, True]
    assert await end_all_of_user(store, email=ADA, now=NOW) == 0
    assert (await caller.login()).status == 200


async def test_ending_all_of_an_organization_ends_those_of_every_member_there_and_nowhere_else(
    caller: Caller, database: Database, store: Store
) -> None:
    ada, ben, grace = [await caller.login(email) for email in (ADA, BEN, "grace@globex.example")]
    switched = await caller.switch(ada.text("access_token"), await organization_id(database, "globex"))
    assert await end_all_of_organization(store, slug="globex", now=NOW) == 2
    assert [await goes_on(caller, reply) for reply in (ada, ben, grace, switched)] == [
        True,
        True,
        False,
        False,
    ]


async def test_a_login_whose_token_is_over_but_could_be_refreshed_ends_too(
    caller: Caller, store: Store, clock: Clock
) -> None:
    login = await caller.login()
    clock.advance(900)
    assert await end_all_of_user(store, email=ADA, now=clock()) == 1
    assert refused(await caller.refresh(login.text("refresh_token")), 401, "invalid_refresh_token")


async def test_what_is_added_while_all_is_ended_ends_with_it_or_comes_after_it(
    caller: Caller, database: Database, store: Store, clock: Clock
) -> None:
    login = await caller.login()
    ada = UUID(str(login.part("user")["id"]))
    async with database.owner.transaction():
        await hold_user(database.owner, ada)
        refreshing = asyncio.create_task(caller.refresh(login.text("refresh_token")))
        await waiters(database.owner, 1)
        ending = asyncio.create_task(end_all_of_user(store, email=ADA, now=clock()))
        await waiters(database.owner, 2)
        late = asyncio.create_task(caller.login())
        await waiters(database.owner, 3)
    refreshed = await refreshing
    assert await ending == 1
    assert refreshed.status == 200
    assert refused(await caller.me(refreshed.text("access_token")), 401, "invalid_token")
    assert await goes_on(caller, await late)


async def test_all_of_a_user_and_all_of_an_organization_end_at_once_without_a_deadlock(
    caller: Caller, store: Store
) -> None:
    for _ in range(5):
        await caller.login()
    counts = await asyncio.gather(
        *(end_all_of_user(store, email=ADA, now=NOW) for _ in range(2)),
        *(end_all_of_organization(store, slug="acme", now=NOW) for _ in range(2)),
    )
    assert sum(counts) == 5


# Clearing away


async def rows_left(database: Database) -> tuple[int, int]:
    row = await database.owner.fetchrow(
        "SELECT (SELECT count(*) FROM shapegate_auth.sessions), "
        "(SELECT count(*) FROM shapegate_auth.refresh_tokens)"
    )
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0, (1, 1)), (900 + 7 * DAY - 1, (1, 1)), (900 + 7 * DAY, (0, 1)), (30 * DAY, (0, 0))],
)
async def test_a_session_stays_on_record_for_a_week_and_a_refresh_token_until_its_end(
    caller: Caller, database: Database, store: Store, clock: Clock, seconds: int, left: tuple[int, int]
) -> None:
    await caller.login()
    clock.advance(seconds)
    assert await clear_away(store, now=clock()) == 1 - left[0]
    assert await rows_left(database) == left


async def test_clearing_away_does_not_forget_that_a_login_was_ended(
    caller: Caller, database: Database, store: Store, clock: Clock
) -> None:
    token = (await caller.login()).text("refresh_token")
    # As an operator with SQL does it, who leaves the refresh token alone.
    await database.owner.execute("UPDATE shapegate_auth.sessions SET revoked_at = $1, reason = 'sql'", NOW)
    clock.advance(10 * DAY)
    assert await clear_away(store, now=clock()) == 0
    assert refused(await caller.refresh(token), 401, "invalid_refresh_token")
