"""`shapegate issuer`, `sessions` and `token`, as a developer and an operator run them."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import jwt
import pytest
import pytest_asyncio

from shapegate_schema.migrate import migrate
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed
from tests.cli.commands import shapegate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.conftest import CreateDatabase

ADA = "ada@acme.example"
PASSWORD = "correct horse battery staple"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def issuer_url(create_session_database: CreateDatabase) -> str:
    """A seeded database, as the issuer's role."""
    url = await create_session_database()
    await migrate(url)
    await seed(url)
    password = secrets.token_hex(8)
    await set_login(url, "shapegate_issuer", password)
    parts = urlsplit(url)
    ended = await shapegate(
        *("issuer", "password", "--email", ADA, "--password-stdin"), given=PASSWORD + "\n", DATABASE_URL=url
    )
    assert (ended.code, ended.err) == (0, f"the password of {ADA} is set\n")
    return parts._replace(netloc=f"shapegate_issuer:{password}@{parts.hostname}:{parts.port}").geturl()


@asynccontextmanager
async def issuer(*words: str, **environ: str) -> AsyncIterator[str]:
    """Run `shapegate issuer` on any port; gives its URL. It has to end cleanly."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "shapegate_cli", "issuer", "--port", "0", *words),
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environ},
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while (line := await process.stderr.readline()) and b"listens on" not in line:
                pass
        yield line.split()[-1].decode()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def granted(url: str) -> Mapping[str, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/auth/login", json={"email": ADA, "password": PASSWORD}) as answer,
    ):
        assert answer.status == 200
        found: Mapping[str, str] = await answer.json()
        return found


async def test_an_issuer_with_a_shared_secret_signs_for_a_proxy_that_has_it(
    issuer_url: str, tmp_path: Path
) -> None:
    secret = "a shared secret of more than 32 bytes"
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    environ = {"DATABASE_URL": issuer_url, "SHARED_TOKEN_SECRET_FILE": str(file), "JWT_ISSUER": "urn:mine"}
    async with issuer("--subject-prefix", "user?id=", **environ) as url:
        token = (await granted(url))["access_token"]
    claims = jwt.decode(token, secret, algorithms=["HS256"], audience="shapegate", issuer="urn:mine")
    assert claims["sub"].startswith("user?id=")


async def test_a_rotated_key_is_published_by_the_issuer_that_runs(issuer_url: str, tmp_path: Path) -> None:
    key_file = tmp_path / "key.pem"
    async with issuer("--key-file", str(key_file), DATABASE_URL=issuer_url) as url:
        ended = await shapegate("issuer", "rotate-key", "--key-file", str(key_file))
        assert ended.code == 0, ended.err
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url}/.well-known/jwks.json") as answer,
        ):
            kids = [key["kid"] for key in (await answer.json())["keys"]]
    assert len(kids) == 2
    assert ended.out == f"the newest key is {kids[0]}\n"


async def test_logins_are_listed_and_ended(issuer_url: str, tmp_path: Path) -> None:
    environ = {"DATABASE_URL": issuer_url}

    async def listed() -> list[list[str]]:
        ended = await shapegate("sessions", "list", "--email", ADA, **environ)
        assert ended.code == 0, ended.err
        return [line.split("\t") for line in ended.out.splitlines()[1:]]

    await shapegate("sessions", "revoke", "--email", ADA, **environ)
    async with issuer("--key-file", str(tmp_path / "key.pem"), **environ) as url:
        for _ in range(3):
            await granted(url)
    found = await listed()
    assert [row[1] for row in found] == ["acme"] * 3
    for words, said in (
        (("--session", found[0][0]), "1 ended\n"),
        (("--email", ADA), "2 ended\n"),
        (("--org", "acme"), "0 ended\n"),
    ):
        ended = await shapegate("sessions", "revoke", *words, **environ)
        assert (ended.code, ended.out) == (0, said)
    assert await listed() == []
    ended = await shapegate("sessions", "clear", **environ)
    assert (ended.code, ended.out) == (0, "0 sessions cleared away\n")


@pytest.mark.parametrize(
    ("words", "environ", "code", "said"),
    [
        (("issuer",), {}, 2, "DATABASE_URL is missing"),
        (("issuer",), {"DATABASE_URL": "x"}, 2, "either key_file or secret: exactly one"),
        (("issuer",), {"DATABASE_URL": "x", "SHARED_TOKEN_SECRET": "short"}, 2, "at least 32 bytes"),
        (("issuer", "rotate-key"), {}, 2, "--key-file is missing"),
        (("issuer", "password", "--email", "a@b"), {}, 2, "no password: set SHAPEGATE_PASSWORD"),
        (("sessions", "revoke"), {}, 2, "expected exactly one of --session, --email and --org"),
        (("sessions", "revoke", "--email", "a", "--org", "b"), {}, 2, "expected exactly one of"),
        (
            ("sessions", "list", "--email", "a"),
            {"DATABASE_URL": "postgresql://u:pw@127.0.0.1:1/x"},
            3,
            "the database does not answer",
        ),
        (("sessions", "list", "--email", "a"), {"DATABASE_URL": "nonsense"}, 1, "check the URL"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence_and_an_exit_code(
    words: tuple[str, ...], environ: dict[str, str], code: int, said: str
) -> None:
    ended = await shapegate(*words, **environ)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert "pw@" not in ended.err


async def test_nobodys_password_and_short_ones_are_refused(issuer_url: str) -> None:
    for email, password, code, said in (
        ("nobody@acme.example", PASSWORD, 1, "no user has the e-mail address"),
        (ADA, "short", 2, "expected at least 8"),
    ):
        ended = await shapegate(
            *("issuer", "password", "--email", email, "--password-stdin"),
            given=password,
            DATABASE_URL=issuer_url,
        )
        assert ended.code == code
        assert said in ended.err
        assert password not in ended.err


# shapegate token


async def test_without_a_stack_there_is_no_token(tmp_path: Path) -> None:
    ended = await shapegate("token", SHAPEGATE_HOME=str(tmp_path))
    assert (ended.code, ended.err) == (3, "shapegate: no stack runs: start it with `shapegate up`\n")
    (tmp_path / "other.json").write_text("[]")
    ended = await shapegate("token", "--json", str(tmp_path / "other.json"))
    assert ended.code == 1
    assert "holds no stack" in ended.err


async def test_a_token_is_printed_for_a_login_and_an_org(issuer_url: str, tmp_path: Path) -> None:
    stack = tmp_path / "stack.json"
    async with issuer("--key-file", str(tmp_path / "key.pem"), DATABASE_URL=issuer_url) as url:
        stack.write_text(json.dumps({"issuer_url": url, "logins": [{"email": ADA, "password": PASSWORD}]}))
        orgs = {}
        for words in ((), ("--org", "globex"), ("--email", ADA, "--org", "Acme Construction Ltd")):
            ended = await shapegate("token", "--json", str(stack), *words)
            assert ended.code == 0, ended.err
            claims = jwt.decode(ended.out.strip(), options={"verify_signature": False})
            orgs[words] = claims["organization_id"][:4]
        assert list(orgs.values()) == ["ac3e", "610b", "ac3e"]
        for words, said in (
            (("--email", "nobody@acme.example"), "is no login of the stack"),
            (("--org", "initech"), "is no member of 'initech': expected one of acme, globex"),
        ):
            ended = await shapegate("token", "--json", str(stack), *words)
            assert ended.code == 4
            assert said in ended.err
    ended = await shapegate("token", "--json", str(stack))
    assert ended.code == 3
