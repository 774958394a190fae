"""The whole issuer from outside: real sockets, real Postgres under the issuer's own role, real passwords."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import aiohttp
import jwt
import pytest

from shapegate_harness.issuer import TokenIssuer
from tests.harness.issuer.builders import NOW, PASSWORD, Clock, decoded, settings
from tests.harness.issuer.caller import Caller
from tests.harness.issuer.observed import (
    hold_family,
    organization_id,
    reasons,
    refused,
    set_organization_status,
    set_status,
    waiters,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.harness.issuer.conftest import Database

# Logging in


async def test_a_login_answers_tokens_the_user_and_where_they_may_go(
    caller: Caller, database: Database
) -> None:
    reply = await caller.login()
    assert reply.status == 200
    acme = {"id": await organization_id(database, "acme"), "slug": "acme", "role": "owner"}
    assert acme.items() <= reply.part("organization").items()
    assert reply.part("user")["email"] == "ada@acme.example"
    assert reply.slugs() == ["acme", "globex"]
    assert reply.text("token_type") == "Bearer"
    assert reply.body["expires_in"] == 900
    assert reply.text("issuer") == "urn:shapegate:dev-issuer"


async def test_an_access_token_verifies_through_the_published_keys_alone(caller: Caller) -> None:
    login = await caller.login()
    keys = jwt.PyJWKSet.from_dict((await caller.send("GET", "/.well-known/jwks.json")).body)
    token = login.text("access_token")
    published = keys[str(jwt.get_unverified_header(token)["kid"])]
    claims = jwt.decode(
        token,
        published,
        algorithms=["EdDSA"],
        audience="shapegate",
        issuer="urn:shapegate:dev-issuer",
        # The issuer's clock stands still at a moment of its own.
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["sub"] == login.part("user")["id"]
    assert claims["organization_id"] == login.part("organization")["id"]
    assert claims["role"] == "owner"
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (
        int(NOW.timestamp()),
        int(NOW.timestamp()),
        int(NOW.timestamp()) + 900,
    )


async def test_on_the_wall_clock_a_strict_verifier_takes_the_token(
    database: Database, key_file: Path
) -> None:
    async with (
        TokenIssuer.open(database_url=database.issuer_url, settings=settings(key_file)) as issuer,
        aiohttp.ClientSession() as http,
    ):
        caller = Caller(http, issuer.url)
        token = (await caller.login()).text("access_token")
        keys = jwt.PyJWKSet.from_dict((await caller.send("GET", "/.well-known/jwks.json")).body)
    jwt.decode(
        token, keys.keys[0], algorithms=["EdDSA"], audience="shapegate", issuer="urn:shapegate:dev-issuer"
    )


async def test_a_session_is_recorded_for_each_access_token(caller: Caller, database: Database) -> None:
    login = await caller.login()
    claims = decoded(login.text("access_token").split(".")[1])
    [row] = await database.owner.fetch("SELECT * FROM shapegate_auth.sessions")
    assert str(row["jti"]) == claims["jti"]
    assert str(row["user_id"]) == claims["sub"]
    assert str(row["organization_id"]) == claims["organization_id"]
    assert int(row["expires_at"].timestamp()) == claims["exp"]
    assert row["revoked_at"] is None


async def test_no_token_and_no_password_is_stored_readably(caller: Caller, database: Database) -> None:
    login = await caller.login()
    tables = [
        await database.owner.fetch(f"SELECT t::text AS row FROM shapegate_auth.{name} t")
        for name in ("credentials", "sessions", "refresh_tokens")
    ]
    stored = "\n".join(row["row"] for rows in tables for row in rows)
    assert PASSWORD not in stored
    assert login.text("refresh_token") not in stored
    assert login.text("access_token") not in stored
    assert stored.count("$argon2id$") == 3


async def test_the_e_mail_address_is_matched_without_regard_to_case(caller: Caller) -> None:
    reply = await caller.login("ADA@Acme.Example")
    assert reply.part("user")["email"] == "ada@acme.example"


async def test_I_05_wrong_password_unknown_user_and_user_without_password_get_one_answer(
    caller: Caller,
) -> None:
    replies = [
        await caller.login("ada@acme.example", "wrong"),
        await caller.login("nobody@acme.example", PASSWORD),
        await caller.login("hugo@globex.example", PASSWORD),
        await caller.login("' OR true --", PASSWORD),
    ]
    assert {(reply.status, reply.raw) for reply in replies} == {(401, replies[0].raw)}
    assert replies[0].body["code"] == "invalid_credentials"
    assert len({tuple(sorted(reply.headers)) for reply in replies}) == 1
    assert all(reply.headers["WWW-Authenticate"] == "Bearer" for reply in replies)


async def test_a_password_is_refused_before_memberships_are_looked_at(
    caller: Caller, database: Database
) -> None:
    await set_status(database, "ben@acme.example", "acme", "suspended")
    assert refused(await caller.login("ben@acme.example", "wrong"), 401, "invalid_credentials")
    assert refused(await caller.login("ben@acme.example"), 403, "no_membership")


async def test_nobody_logs_in_to_a_suspended_organization(caller: Caller, database: Database) -> None:
    await set_organization_status(database, "acme", "suspended")
    assert refused(await caller.login("ben@acme.example"), 403, "no_membership")
    ada = await caller.login("ada@acme.example")
    assert ada.slugs() == ["globex"]
    assert ada.part("organization")["slug"] == "globex"


async def test_a_suspended_membership_is_not_listed_and_not_landed_in(
    caller: Caller, database: Database
) -> None:
    await set_status(database, "ada@acme.example", "acme", "suspended")
    ada = await caller.login()
    assert ada.slugs() == ["globex"]
    assert ada.part("organization")["slug"] == "globex"


async def test_a_refused_login_leaves_no_session(caller: Caller, database: Database) -> None:
    await set_organization_status(database, "acme", "suspended")
    await caller.login("ben@acme.example")
    await caller.login("ada@acme.example", "wrong")
    assert await reasons(database) == []


# Refreshing


async def test_a_refresh_gives_new_tokens_of_the_same_family_and_organization(
    caller: Caller, database: Database, clock: Clock
) -> None:
    login = await caller.login()
    clock.advance(600)
    second = await caller.refresh(login.text("refresh_token"))
    assert second.status == 200
    assert second.part("organization") == login.part("organization")
    assert second.text("refresh_token") != login.text("refresh_token")
    assert (await caller.me(second.text("access_token"))).status == 200
    families = await database.owner.fetchval("SELECT count(DISTINCT family_id) FROM shapegate_auth.sessions")
    assert families == 1
    assert await reasons(database) == [None, None]


async def test_a_chain_of_refreshes_goes_on(caller: Caller, clock: Clock) -> None:
    token = (await caller.login()).text("refresh_token")
    for _ in range(5):
        clock.advance(900)
        reply = await caller.refresh(token)
        assert reply.status == 200
        token = reply.text("refresh_token")


async def test_a_refreshed_token_carries_the_role_of_now(caller: Caller, database: Database) -> None:
    login = await caller.login("ben@acme.example")
    await database.owner.execute(
        "UPDATE memberships SET role = 'viewer' WHERE user_id = $1", UUID(str(login.part("user")["id"]))
    )
    second = await caller.refresh(login.text("refresh_token"))
    assert decoded(second.text("access_token").split(".")[1])["role"] == "viewer"


async def test_a_used_refresh_token_ends_its_whole_family_for_good(
    caller: Caller, database: Database
) -> None:
    first = await caller.login()
    second = await caller.refresh(first.text("refresh_token"))
    stolen = await caller.refresh(first.text("refresh_token"))
    assert refused(stolen, 401, "invalid_refresh_token")
    assert await reasons(database) == ["refresh_reuse", "refresh_reuse"]
    assert refused(await caller.refresh(second.text("refresh_token")), 401, "invalid_refresh_token")
    for reply in (first, second):
        assert refused(await caller.me(reply.text("access_token")), 401, "invalid_token")


async def test_a_reused_token_does_not_end_other_families_of_the_user(
    caller: Caller, database: Database
) -> None:
    other, first = await caller.login(), await caller.login()
    await caller.refresh(first.text("refresh_token"))
    await caller.refresh(first.text("refresh_token"))
    assert sorted(map(str, await reasons(database))) == ["None", "refresh_reuse", "refresh_reuse"]
    assert (await caller.refresh(other.text("refresh_token"))).status == 200


async def test_I_05_unknown_expired_used_and_revoked_refresh_tokens_get_one_answer(
    caller: Caller, clock: Clock
) -> None:
    expired = (await caller.login()).text("refresh_token")
    clock.advance(31 * 24 * 60 * 60)
    used = (await caller.login()).text("refresh_token")
    await caller.refresh(used)
    login = await caller.login()
    assert (await caller.logout(login.text("access_token"))).status == 204
    revoked = login.text("refresh_token")
    replies = [await caller.refresh(token) for token in ("unknown", expired, used, revoked)]
    assert {(reply.status, reply.raw) for reply in replies} == {(401, replies[0].raw)}
    assert replies[0].body["code"] == "invalid_refresh_token"


@pytest.mark.parametrize(("seconds", "status"), [(30 * 24 * 60 * 60 - 1, 200), (30 * 24 * 60 * 60, 401)])
async def test_a_refresh_token_lies_unused_for_thirty_days_at_most(
    caller: Caller, clock: Clock, seconds: int, status: int
) -> None:
    login = await caller.login()
    clock.advance(seconds)
    assert (await caller.refresh(login.text("refresh_token"))).status == status


async def test_a_refresh_of_a_suspended_member_is_refused_and_works_again_later(
    caller: Caller, database: Database
) -> None:
    token = (await caller.login()).text("refresh_token")
    await set_status(database, "ada@acme.example", "acme", "suspended")
    assert refused(await caller.refresh(token), 403, "not_a_member")
    await set_status(database, "ada@acme.example", "acme", "active")
    assert (await caller.refresh(token)).status == 200


async def test_a_session_that_an_operator_revoked_cannot_be_refreshed(
    caller: Caller, database: Database
) -> None:
    token = (await caller.login()).text("refresh_token")
    await database.owner.execute("UPDATE shapegate_auth.sessions SET revoked_at = now(), reason = 'operator'")
    assert refused(await caller.refresh(token), 401, "invalid_refresh_token")


async def test_of_two_refreshes_at_once_one_wins_and_the_loser_harms_nobody(
    caller: Caller, database: Database, clock: Clock
) -> None:
    token = (await caller.login()).text("refresh_token")
    async with database.owner.transaction():
        await hold_family(database.owner)
        racing = [asyncio.create_task(caller.refresh(token)) for _ in range(3)]
        await waiters(database.owner, 3)
        clock.advance(0.001)
    replies = sorted(await asyncio.gather(*racing), key=lambda reply: reply.status)
    assert [reply.status for reply in replies] == [200, 401, 401]
    assert all(refused(reply, 401, "invalid_refresh_token") for reply in replies[1:])
    assert await reasons(database) == [None, None]
    assert (await caller.me(replies[0].text("access_token"))).status == 200
    assert (await caller.refresh(replies[0].text("refresh_token"))).status == 200


async def test_a_refresh_that_waits_for_a_revocation_gets_nothing(
    caller: Caller, database: Database, clock: Clock
) -> None:
    first = await caller.login()
    second = await caller.refresh(first.text("refresh_token"))
    async with database.owner.transaction():
        await hold_family(database.owner)
        stolen = asyncio.create_task(caller.refresh(first.text("refresh_token")))
        await waiters(database.owner, 1)
        rightful = asyncio.create_task(caller.refresh(second.text("refresh_token")))
        await waiters(database.owner, 2)
        clock.advance(0.001)
    assert [(await stolen).status, (await rightful).status] == [401, 401]
    assert await reasons(database) == ["refresh_reuse", "refresh_reuse"]


async def test_a_session_that_a_refresh_adds_just_before_a_revocation_ends_with_it(
    caller: Caller, database: Database, clock: Clock
) -> None:
    first = await caller.login()
    second = await caller.refresh(first.text("refresh_token"))
    async with database.owner.transaction():
        await hold_family(database.owner)
        rightful = asyncio.create_task(caller.refresh(second.text("refresh_token")))
        await waiters(database.owner, 1)
        stolen = asyncio.create_task(caller.refresh(first.text("refresh_token")))
        await waiters(database.owner, 2)
        clock.advance(0.001)
    assert [(await rightful).status, (await stolen).status] == [200, 401]
    assert await reasons(database) == ["refresh_reuse"] * 3
    assert (await caller.me((await rightful).text("access_token"))).status == 401


# Switching


async def test_a_switch_gives_a_family_of_its_own_and_leaves_the_old_session(
    caller: Caller, database: Database
) -> None:
    login = await caller.login()
    switched = await caller.switch(login.text("access_token"), await organization_id(database, "globex"))
    assert switched.status == 200
    assert switched.part("organization")["slug"] == "globex"
    claims = decoded(switched.text("access_token").split(".")[1])
    assert claims["organization_id"] == await organization_id(database, "globex")
    assert claims["role"] == switched.part("organization")["role"] != "owner"
    for reply, slug in ((login, "acme"), (switched, "globex")):
        me = await caller.me(reply.text("access_token"))
        assert me.part("organization")["slug"] == slug
    families = await database.owner.fetchval("SELECT count(DISTINCT family_id) FROM shapegate_auth.sessions")
    assert families == 2


async def test_a_switched_family_is_refreshed_for_its_own_organization(
    caller: Caller, database: Database
) -> None:
    login = await caller.login()
    switched = await caller.switch(login.text("access_token"), await organization_id(database, "globex"))
    refreshed = await caller.refresh(switched.text("refresh_token"))
    assert refreshed.part("organization")["slug"] == "globex"
    assert (await caller.refresh(login.text("refresh_token"))).part("organization")["slug"] == "acme"


async def test_I_05_foreign_suspended_and_missing_organizations_get_one_answer(
    caller: Caller, database: Database
) -> None:
    ben = (await caller.login("ben@acme.example")).text("access_token")
    ada = (await caller.login()).text("access_token")
    globex = await organization_id(database, "globex")
    replies = [await caller.switch(ben, globex), await caller.switch(ben, str(uuid4()))]
    await set_status(database, "ada@acme.example", "globex", "suspended")
    replies.append(await caller.switch(ada, globex))
    await set_status(database, "ada@acme.example", "globex", "active")
    await set_organization_status(database, "globex", "suspended")
    replies.append(await caller.switch(ada, globex))
    assert {(reply.status, reply.raw) for reply in replies} == {(403, replies[0].raw)}
    assert replies[0].body["code"] == "not_a_member"


async def test_a_switch_away_from_a_suspended_membership_needs_a_new_login(
    caller: Caller, database: Database
) -> None:
    token = (await caller.login()).text("access_token")
    await set_status(database, "ada@acme.example", "acme", "suspended")
    reply = await caller.switch(token, await organization_id(database, "globex"))
    assert refused(reply, 403, "not_a_member")
    assert (await caller.login()).part("organization")["slug"] == "globex"


# Me


async def test_me_tells_user_organization_choices_and_session(caller: Caller) -> None:
    login = await caller.login()
    token = login.text("access_token")
    reply = await caller.me(token)
    assert reply.status == 200
    for name in ("user", "organization", "organizations"):
        assert reply.body[name] == login.body[name]
    assert reply.part("session") == {
        "jti": decoded(token.split(".")[1])["jti"],
        "issued_at": "2026-11-21T12:00:00Z",
        "expires_at": "2026-11-21T12:15:00Z",
    }


async def test_an_expired_access_token_is_refused(caller: Caller, clock: Clock) -> None:
    token = (await caller.login()).text("access_token")
    clock.advance(899)
    assert (await caller.me(token)).status == 200
    clock.advance(1)
    reply = await caller.me(token)
    assert refused(reply, 401, "invalid_token")
    assert reply.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')


@pytest.mark.parametrize("suspended", ["membership", "organization"])
async def test_whoever_is_no_longer_an_active_member_is_told_so(
    caller: Caller, database: Database, suspended: str
) -> None:
    login = await caller.login("ben@acme.example")
    if suspended == "membership":
        await set_status(database, "ben@acme.example", "acme", "suspended")
    else:
        await set_organization_status(database, "acme", "suspended")
    assert refused(await caller.me(login.text("access_token")), 403, "not_a_member")
    assert refused(await caller.refresh(login.text("refresh_token")), 403, "not_a_member")


async def test_a_token_whose_session_is_not_on_record_is_refused(caller: Caller, database: Database) -> None:
    token = (await caller.login()).text("access_token")
    await database.owner.execute("DELETE FROM shapegate_auth.sessions")
    assert refused(await caller.me(token), 401, "invalid_token")


async def test_J_14_a_session_of_another_user_or_organization_does_not_count(
    caller: Caller, database: Database
) -> None:
    ada, ben = await caller.login(), await caller.login("ben@acme.example")
    for column, value in (
        ("user_id", str(ben.part("user")["id"])),
        ("organization_id", await organization_id(database, "globex")),
    ):
        async with database.owner.transaction():
            claims = decoded(ada.text("access_token").split(".")[1])
            await database.owner.execute(
                f"UPDATE shapegate_auth.sessions SET {column} = $1 WHERE jti = $2",
                UUID(value),
                UUID(str(claims["jti"])),
            )
        assert refused(await caller.me(ada.text("access_token")), 401, "invalid_token")


# Logging out


@pytest.mark.parametrize("body", [None, {}])
async def test_a_logout_ends_every_session_of_the_family(
    caller: Caller, database: Database, body: object
) -> None:
    first = await caller.login()
    second = await caller.refresh(first.text("refresh_token"))
    reply = await caller.logout(second.text("access_token"), body)
    assert (reply.status, reply.raw) == (204, b"")
    assert await reasons(database) == ["logout", "logout"]
    for login in (first, second):
        assert refused(await caller.me(login.text("access_token")), 401, "invalid_token")
    assert refused(await caller.refresh(second.text("refresh_token")), 401, "invalid_refresh_token")


async def test_a_logout_leaves_the_users_other_families(caller: Caller) -> None:
    first, other = await caller.login(), await caller.login()
    await caller.logout(first.text("access_token"), {"refresh_token": first.text("refresh_token")})
    assert (await caller.me(other.text("access_token"))).status == 200


async def test_a_logout_ends_the_family_of_a_refresh_token_it_names(
    caller: Caller, database: Database
) -> None:
    login = await caller.login()
    switched = await caller.switch(login.text("access_token"), await organization_id(database, "globex"))
    body = {"refresh_token": login.text("refresh_token")}
    assert (await caller.logout(switched.text("access_token"), body)).status == 204
    assert await reasons(database) == ["logout", "logout"]


async def test_a_logout_cannot_end_the_family_of_somebody_else(caller: Caller) -> None:
    ada, ben = await caller.login(), await caller.login("ben@acme.example")
    for token in (ada.text("refresh_token"), "unknown"):
        body = {"refresh_token": token}
        fresh = await caller.login("ben@acme.example")
        assert (await caller.logout(fresh.text("access_token"), body)).status == 204
    assert (await caller.me(ada.text("access_token"))).status == 200
    assert (await caller.refresh(ada.text("refresh_token"))).status == 200
    assert (await caller.me(ben.text("access_token"))).status == 200


async def test_a_second_logout_is_refused_like_any_ended_session(caller: Caller) -> None:
    token = (await caller.login()).text("access_token")
    assert (await caller.logout(token)).status == 204
    assert refused(await caller.logout(token), 401, "invalid_token")


async def test_a_suspended_member_can_log_out(caller: Caller, database: Database) -> None:
    login = await caller.login("ben@acme.example")
    await set_status(database, "ben@acme.example", "acme", "suspended")
    assert (await caller.logout(login.text("access_token"))).status == 204
    await set_status(database, "ben@acme.example", "acme", "active")
    assert refused(await caller.me(login.text("access_token")), 401, "invalid_token")


# Too many attempts


async def test_too_many_wrong_passwords_are_429_for_known_and_unknown_users_alike(
    caller: Caller, clock: Clock
) -> None:
    replies = {}
    for email in ("ada@acme.example", "nobody@acme.example"):
        refusals = [await caller.login(email, "wrong") for _ in range(11)]
        assert [reply.status for reply in refusals] == [401] * 10 + [429]
        replies[email] = refusals[-1]
    first, second = replies.values()
    assert (first.raw, first.headers["Retry-After"]) == (second.raw, second.headers["Retry-After"])
    assert first.body["code"] == "too_many_attempts"
    assert refused(await caller.login(), 429, "too_many_attempts")  # the right password does not help
    assert (await caller.login("ben@acme.example")).status == 200
    clock.advance(int(first.headers["Retry-After"]))
    assert (await caller.login()).status == 200


async def test_too_many_unknown_refresh_tokens_are_429(caller: Caller, clock: Clock) -> None:
    token = (await caller.login()).text("refresh_token")
    for number in range(120):
        assert (await caller.refresh(f"guess {number}")).status == 401
    reply = await caller.refresh(token)
    assert refused(reply, 429, "too_many_attempts")
    clock.advance(int(reply.headers["Retry-After"]))
    assert (await caller.refresh(token)).status == 200


async def test_a_loop_of_refreshes_is_429_and_loses_nothing(caller: Caller, clock: Clock) -> None:
    token = (await caller.login()).text("refresh_token")
    reply = await caller.refresh(token)
    for _ in range(59):
        reply = await caller.refresh(reply.text("refresh_token"))
    last = reply.text("refresh_token")
    assert refused(await caller.refresh(last), 429, "too_many_attempts")
    clock.advance(1)
    assert (await caller.refresh(last)).status == 200


# Traces and claims


async def test_D_08_a_switch_to_an_organization_out_of_reach_leaves_a_trace(
    caller: Caller, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    login = await caller.login("ben@acme.example")
    globex = await organization_id(database, "globex")
    with caplog.at_level("WARNING", logger="shapegate.audit"):
        await caller.switch(login.text("access_token"), globex)
    [record] = [record for record in caplog.records if record.name == "shapegate.audit"]
    line = record.getMessage()
    assert line.startswith("switch_refused ")
    assert f"user={login.part('user')['id']}" in line
    assert f"asked_org={globex}" in line
    assert login.text("access_token") not in line


async def set_claims(database: Database, claims: str) -> None:
    await database.owner.execute(
        "CREATE OR REPLACE FUNCTION shapegate_auth.claims_of(user_id uuid, organization_id uuid) "
        f"RETURNS jsonb LANGUAGE sql STABLE RETURN ({claims})"
    )


@pytest.fixture
async def claims_restored(database: Database) -> AsyncIterator[None]:
    yield
    await set_claims(database, "'{}'::jsonb")


@pytest.mark.usefixtures("claims_restored")
async def test_what_the_database_says_of_user_and_organization_is_in_each_token(
    caller: Caller, database: Database
) -> None:
    await set_claims(database, "jsonb_build_object('pair', user_id::text || ' ' || organization_id::text)")
    login = await caller.login()
    switched = await caller.switch(login.text("access_token"), await organization_id(database, "globex"))
    refreshed = await caller.refresh(switched.text("refresh_token"))
    for reply in (login, switched, refreshed):
        claims = decoded(reply.text("access_token").split(".")[1])
        assert claims["pair"] == f"{claims['sub']} {claims['organization_id']}"


@pytest.mark.usefixtures("claims_restored")
@pytest.mark.parametrize(
    "claims", ["'[]'::jsonb", "'{\"a\": 1}'::jsonb", "NULL::jsonb", "to_jsonb(repeat('x', 2000))"]
)
async def test_claims_that_are_no_object_of_texts_give_no_token(
    caller: Caller, database: Database, claims: str
) -> None:
    await set_claims(database, claims)
    assert refused(await caller.login(), 500, "internal")
    assert await reasons(database) == []
