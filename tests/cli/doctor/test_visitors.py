"""Who comes to compare: tokens that a command prints, verified as the gate does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from shapegate_cli.doctor.visitors import NobodyThere, open_visitors
from shapegate_client.errors import LoginRequired, NotAMember
from shapegate_proxy.config import IssuerConfig, Secret
from tests.cli.doctor.deployment import ACME, AUDIENCE, GLOBEX, ISSUER, SECRET, token

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_cli.doctor.visitors import Visitor

USER = "11111111-1111-4111-8111-111111111111"
ISSUERS = (IssuerConfig(issuer=ISSUER, audience=AUDIENCE, secret=Secret(SECRET)),)
TOKEN = token(ACME, "acme", "member", USER)


@pytest.fixture
def printer(tmp_path: Path) -> list[str]:
    """A command that prints the file of an org; Acme's holds a token."""
    (tmp_path / ACME).write_text(f"{TOKEN}\n")
    return ["cat", f"{tmp_path}/{{org}}"]


async def enter(command: list[str], home: Path, org: str = ACME) -> Visitor:
    async with open_visitors(None, ISSUERS, command) as visitors:
        assert visitors is not None
        assert visitors.orgs == ()
        async with visitors.visitor(org, home) as visitor:
            return visitor


async def test_a_printed_token_brings_its_user_with_org_and_role(printer: list[str], tmp_path: Path) -> None:
    visitor = await enter(printer, tmp_path)
    assert (visitor.org, visitor.user, visitor.role) == (ACME, USER, "member")
    principal = await visitor.credentials.principal()
    assert (principal.issuer, principal.user_id, principal.organization.id) == (ISSUER, USER, ACME)
    assert (await visitor.credentials.token(ACME)).value == TOKEN


async def test_a_rejected_token_is_asked_for_anew(printer: list[str], tmp_path: Path) -> None:
    visitor = await enter(printer, tmp_path)
    first = await visitor.credentials.token(ACME)
    renewed = token(ACME, "acme", "owner", USER)
    (tmp_path / ACME).write_text(renewed)
    assert (await visitor.credentials.token(ACME, rejected=first)).value == renewed
    (tmp_path / ACME).unlink()
    with pytest.raises(LoginRequired, match="exit code 1"):
        await visitor.credentials.token(ACME, rejected=await visitor.credentials.token(ACME))


async def test_a_visitor_stays_in_its_org(printer: list[str], tmp_path: Path) -> None:
    visitor = await enter(printer, tmp_path)
    with pytest.raises(NotAMember):
        await visitor.credentials.switch(GLOBEX)
    await visitor.credentials.logout()
    assert (await visitor.credentials.token(ACME)).value == TOKEN


OTHERS = token(GLOBEX, "globex", "member", USER)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["/no/such/command"], "cannot be run (FileNotFoundError)"),
        ([], "cannot be run"),
        (["false"], "ended with exit code 1"),
        (["echo", "no token"], "is refused: The Authorization header is not"),
        (["echo", TOKEN[:-9]], "is refused: The token does not verify"),
        (["echo", OTHERS], f"is for another org, {GLOBEX}"),
        (["echo", "-n", ""], "is refused"),
        ([sys.executable, "-c", "print('x' * 100000)"], "prints more than 16384 bytes"),
    ],
)
async def test_nobody_comes_by_a_command_that_prints_no_token_of_the_org(
    words: list[str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(NobodyThere) as raised:
        await enter(words, tmp_path)
    assert says in str(raised.value)
    assert "eyJ" not in str(raised.value)


async def test_the_org_is_a_word_of_the_command_and_no_shell_reads_it(tmp_path: Path) -> None:
    with pytest.raises(NobodyThere, match="is refused"):
        await enter(["echo", "{org}"], tmp_path, f"$(touch '{tmp_path}/made')")
    assert not (tmp_path / "made").exists()


async def test_without_a_command_or_an_issuer_there_is_nobody() -> None:
    async with open_visitors(None, ISSUERS, None) as visitors:
        assert visitors is None
    async with open_visitors(None, (), ["echo", "x"]) as visitors:
        assert visitors is None
