"""Credentials from an issuer on a real socket."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest

from shapegate_client import IssuerCredentials
from shapegate_client.config import BadAddress
from shapegate_client.errors import (
    IssuerFault,
    LoginRefused,
    LoginRequired,
    MembershipEnded,
    NotAMember,
    NotLoggedIn,
    StoreFailed,
    Unreachable,
)
from shapegate_client.vault import Vault
from tests.client.ports import HeldClock
from tests.client.servers import Issuer, served

if TYPE_CHECKING:
    from pathlib import Path

EMAIL = "ada@acme.example"


async def logged_in(url: str, home: Path, clock: HeldClock | None = None) -> IssuerCredentials:
    credentials = IssuerCredentials(url, home=home, clock=clock or HeldClock())
    await credentials.login(EMAIL, "correct")
    return credentials


async def test_a_login_is_kept_for_the_next_process(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        await logged_in(url, tmp_path)
    offline = IssuerCredentials(url, home=tmp_path, clock=HeldClock())
    principal = await offline.principal()
    assert (principal.user_id, principal.organization.id, len(principal.organizations)) == ("ada", "acme", 2)
    assert (await offline.token("acme")).organization_id == "acme"


async def test_a_wrong_password_and_a_second_user_are_refused(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        credentials = IssuerCredentials(url, home=tmp_path)
        with pytest.raises(LoginRefused, match="scripted refusal") as refused:
            await credentials.login(EMAIL, "wrong-password")
        assert "wrong-password" not in str(refused.value)
        with pytest.raises(NotLoggedIn):
            await credentials.principal()


async def test_L_11_tokens_lie_in_a_private_file_and_in_no_repr(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path)
        token = await credentials.token("acme")
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600  # a test
    login = await Vault(tmp_path, keyring=None).read()
    for text in (repr(token), repr(login), repr(credentials)):
        assert token.value not in text
        assert "refresh-1" not in text


async def test_a_token_is_renewed_before_it_expires_once_for_all_who_wait(tmp_path: Path) -> None:
    issuer, clock = Issuer(expires_in=900.0), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        first = await credentials.token("acme")
        clock.advance(700)
        assert await credentials.token("acme") == first
        clock.advance(100)
        tokens = await asyncio.gather(*(credentials.token("acme") for _ in range(10)))
    assert issuer.asked == ["login", "refresh"]
    assert {token.value for token in tokens} != {first.value}
    assert len({token.value for token in tokens}) == 1


async def test_C_20_a_rejected_token_is_renewed_and_an_old_rejection_is_not(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path)
        first = await credentials.token("acme")
        second = await credentials.token("acme", rejected=first)
        third = await credentials.token("acme", rejected=first)
    assert first.value != second.value == third.value
    assert issuer.asked == ["login", "refresh"]


async def test_two_processes_share_one_renewal(tmp_path: Path) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        one = await logged_in(url, tmp_path, clock)
        other = IssuerCredentials(url, home=tmp_path, clock=clock)
        await other.token("acme")
        clock.advance(850)
        tokens = await asyncio.gather(one.token("acme"), other.token("acme"))
    assert tokens[0] == tokens[1]
    assert issuer.asked == ["login", "refresh"]


async def test_a_renewal_outlives_the_caller_that_began_it(tmp_path: Path) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        clock.advance(1000)
        caller = asyncio.create_task(credentials.token("acme"))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await credentials.close()
        assert (await credentials.token("acme")).expires_at > clock.now()
    assert issuer.asked == ["login", "refresh"]


@pytest.mark.parametrize("code", [401, 403])
async def test_only_the_issuers_refusal_ends_a_login(tmp_path: Path, code: int) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        clock.advance(1000)
        for passing in (500, 503, 429):
            issuer.refusing = passing
            with pytest.raises(Unreachable):
                await credentials.token("acme")
        issuer.refusing = code
        with pytest.raises(LoginRequired):
            await credentials.token("acme")
        issuer.refusing = None
        asked = len(issuer.asked)
        with pytest.raises(LoginRequired):
            await credentials.token("acme")
        assert len(issuer.asked) == asked
        assert (await credentials.principal()).user_id == "ada"
        await credentials.login(EMAIL, "correct")
        assert (await credentials.token("acme")).organization_id == "acme"


async def test_an_issuer_that_is_away_is_needed_only_when_the_token_has_expired(tmp_path: Path) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
    clock.advance(850)
    token = await credentials.token("acme")
    with pytest.raises(Unreachable):
        await credentials.token("acme", rejected=token)
    clock.advance(100)
    with pytest.raises(Unreachable):
        await credentials.token("acme")


async def test_a_switch_keeps_the_tokens_of_both_orgs_and_works_back_offline(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path)
        principal = await credentials.switch("globex")
        assert principal.organization.id == "globex"
        with pytest.raises(NotAMember):
            await credentials.switch("initech")
    assert (await credentials.switch("acme")).organization.id == "acme"
    assert (await credentials.token("globex")).organization_id == "globex"
    assert issuer.asked == ["login", "switch", "switch", "switch"]


async def test_an_ended_session_of_one_org_is_opened_anew_from_another(tmp_path: Path) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        await credentials.switch("globex")
        clock.advance(1000)
        issuer.refresh = {token: org for token, org in issuer.refresh.items() if org == "acme"}
        assert (await credentials.switch("globex")).organization.id == "globex"
        assert (await credentials.token("globex")).organization_id == "globex"


@pytest.mark.parametrize("path", ["switch", "refresh"])
async def test_an_answer_for_another_org_is_never_taken(tmp_path: Path, path: str) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        issuer.answer_as = "globex" if path == "refresh" else "acme"
        clock.advance(1000 if path == "refresh" else 0)
        with pytest.raises(IssuerFault):
            await (credentials.token("acme") if path == "refresh" else credentials.switch("globex"))


async def test_T_06_logout_forgets_every_token_also_where_the_issuer_is_away(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path)
        await credentials.switch("globex")
        await credentials.logout()
        assert sorted(issuer.revoked) == ["acme", "globex"]
        credentials = await logged_in(url, tmp_path)
    await credentials.logout()
    assert not (tmp_path / "credentials.json").exists()  # a test
    with pytest.raises(NotLoggedIn):
        await credentials.token("acme")


async def test_what_is_no_issuer_is_told_apart_from_one_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(BadAddress):
        IssuerCredentials("ftp://issuer", home=tmp_path)
    credentials = IssuerCredentials("http://127.0.0.1:9", home=tmp_path)
    with pytest.raises(Unreachable, match="issuer"):
        await credentials.login(EMAIL, "correct")


async def test_a_damaged_login_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_bytes(b"{")  # a test
    with pytest.raises(StoreFailed, match="log in again"):
        await IssuerCredentials("http://127.0.0.1:9", home=tmp_path).principal()


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
async def test_L_12_a_clock_that_jumps_costs_a_renewal_and_nothing_else(tmp_path: Path, jump: float) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        first = await credentials.token("acme")
        clock.advance(jump)
        rejected = await credentials.token("acme")
        # Set back, the clock shows a token as good that has ended: then the proxy's 401 tells.
        token = await credentials.token("acme", rejected=first)
        assert token.value != first.value
        assert token.expires_at > clock.now()
        assert await credentials.token("acme") == token
    assert issuer.asked == ["login", "refresh"]
    assert (rejected == first) == (jump < 0)


async def test_L_12_a_clock_set_ahead_while_offline_ends_no_login(tmp_path: Path) -> None:
    issuer, clock = Issuer(), HeldClock()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
    clock.advance(10 * 365 * 86_400.0)
    with pytest.raises(Unreachable):
        await credentials.token("acme")
    clock.advance(-10 * 365 * 86_400.0)
    assert (await credentials.token("acme")).organization_id == "acme"


async def test_T_09_only_the_issuers_word_for_it_ends_a_membership_and_it_can_come_back(
    tmp_path: Path,
) -> None:
    issuer = Issuer()
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path)
        token = await credentials.token("acme")
        name = issuer.members.pop("acme")
        for _ in range(2):
            with pytest.raises(MembershipEnded):
                await credentials.token("acme", rejected=token)
        issuer.members["acme"] = name
        assert (await credentials.token("acme", rejected=token)).value != token.value


async def test_T_09_a_lost_org_does_not_keep_from_entering_others(tmp_path: Path) -> None:
    issuer, clock = Issuer(), HeldClock()
    issuer.members["initech"] = "Initech"
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path, clock)
        await credentials.switch("globex")
        del issuer.members["acme"]
        assert (await credentials.switch("initech")).organization.id == "initech"
        assert "acme" not in {each.id for each in (await credentials.principal()).organizations}
        with pytest.raises(NotAMember):
            await credentials.switch("acme")


async def test_an_issuer_that_lists_no_orgs_takes_none_away(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.lists_orgs = False
    async with served(issuer.app) as url:
        credentials = await logged_in(url, tmp_path)
        await credentials.switch("globex")
        await credentials.token("globex", rejected=await credentials.token("globex"))
        assert {each.id for each in (await credentials.principal()).organizations} == {"acme", "globex"}
