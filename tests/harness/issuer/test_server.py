"""Starting and stopping: loopback only, one clear sentence for what is in the way, nothing left behind."""

from __future__ import annotations

import asyncio
import socket
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import pytest

from shapegate_harness.issuer import KeyFileError, StartError, TokenIssuer
from shapegate_harness.issuer.key_file import rotate
from shapegate_harness.issuer.keys import PUBLISHED_AHEAD_SECONDS
from shapegate_proxy.config import IssuerConfig, Secret
from shapegate_proxy.issuers import open_issuers
from shapegate_proxy.jwks import parse_keys
from shapegate_proxy.tokens import Verifier
from tests.harness.issuer.builders import Clock, decoded, settings
from tests.harness.issuer.caller import Caller

if TYPE_CHECKING:
    from tests.harness.issuer.conftest import Database


def exists(path: Path) -> bool:
    return path.exists()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def change_mode(path: Path, wanted: int) -> None:
    path.chmod(wanted)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "", "127.0.0.1.x.org"])  # noqa: S104
async def test_an_address_beyond_loopback_is_refused(database: Database, key_file: Path, host: str) -> None:
    with pytest.raises(StartError, match=r"listens on 127\.0\.0\.1 or ::1 only"):
        await TokenIssuer.start(database_url=database.issuer_url, settings=settings(key_file), host=host)
    assert not exists(key_file)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1")])
async def test_the_url_leads_to_the_issuer(database: Database, key_file: Path, host: str, shown: str) -> None:
    async with (
        TokenIssuer.open(database_url=database.issuer_url, settings=settings(key_file), host=host) as issuer,
        aiohttp.ClientSession() as http,
    ):
        assert urlsplit(issuer.url).hostname == shown
        assert (await Caller(http, issuer.url).send("GET", "/health")).status == 200


async def test_starting_says_that_it_is_for_development(
    issuer: TokenIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    assert any("development token issuer" in record.message for record in caplog.get_records("setup"))


async def test_a_restart_keeps_the_key_and_the_sessions(
    database: Database, key_file: Path, clock: Clock
) -> None:
    async def run(token: str | None) -> tuple[object, str]:
        async with (
            TokenIssuer.open(
                database_url=database.issuer_url, settings=settings(key_file), clock=clock
            ) as issuer,
            aiohttp.ClientSession() as http,
        ):
            caller = Caller(http, issuer.url)
            if token is not None:
                assert (await caller.me(token)).status == 200
            keys = (await caller.send("GET", "/.well-known/jwks.json")).body
            return keys, (await caller.login()).text("access_token")

    keys, token = await run(None)
    assert mode(key_file) == 0o600
    assert (await run(token))[0] == keys


async def test_a_key_file_that_others_can_read_stops_the_start(database: Database, key_file: Path) -> None:
    async with TokenIssuer.open(database_url=database.issuer_url, settings=settings(key_file)):
        pass
    change_mode(key_file, 0o644)
    with pytest.raises(KeyFileError, match="has mode 0644, expected 0600"):
        await TokenIssuer.start(database_url=database.issuer_url, settings=settings(key_file))


async def test_a_taken_port_is_one_sentence_and_leaves_nothing_open(
    database: Database, key_file: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            StartError, match=rf"cannot listen on 127\.0\.0\.1 port {port}.*choose another port"
        ):
            await TokenIssuer.start(database_url=database.issuer_url, settings=settings(key_file), port=port)


async def test_a_database_that_is_not_there_is_one_sentence_without_its_url(key_file: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"postgresql://shapegate_issuer:topsecret@127.0.0.1:{unheard.getsockname()[1]}/none"
        with pytest.raises(StartError, match="cannot use its database") as caught:
            await TokenIssuer.start(database_url=url, settings=settings(key_file))
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1/x", "postgresql://u@127.0.0.1:notaport/x"])
async def test_a_url_that_is_none_is_the_same_sentence(key_file: Path, url: str) -> None:
    with pytest.raises(StartError, match="cannot use its database"):
        await TokenIssuer.start(database_url=url, settings=settings(key_file))


async def test_a_wrong_database_password_is_the_same_sentence(database: Database, key_file: Path) -> None:
    parts = urlsplit(database.issuer_url)
    url = parts._replace(netloc=f"shapegate_issuer:wrong@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(StartError, match="cannot use its database"):
        await TokenIssuer.start(database_url=url, settings=settings(key_file))


async def test_stopping_twice_is_stopping_once(database: Database, key_file: Path) -> None:
    issuer = await TokenIssuer.start(database_url=database.issuer_url, settings=settings(key_file))
    await issuer.stop()
    await issuer.stop()
    parts = urlsplit(issuer.url)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(parts.hostname, parts.port)


async def test_a_start_that_is_cancelled_leaves_no_descriptor(database: Database, key_file: Path) -> None:
    async with TokenIssuer.open(database_url=database.issuer_url, settings=settings(key_file)):
        pass
    before = open_descriptors()
    for turns in range(0, 60, 3):
        task = asyncio.create_task(
            TokenIssuer.start(database_url=database.issuer_url, settings=settings(key_file))
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(outcome, TokenIssuer):
            await outcome.stop()
    await asyncio.sleep(0)
    assert open_descriptors() <= before


async def test_J_16_a_request_that_cannot_be_read_leaves_no_token_in_the_log(
    issuer: TokenIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    address = urlsplit(issuer.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /api/auth/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a-secret-token\x01\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert "a-secret-token" not in caplog.text


async def test_what_is_over_is_cleared_away_every_hour(
    database: Database, key_file: Path, clock: Clock
) -> None:
    slept, turns = list[float](), asyncio.Semaphore(0)
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        asleep.set()
        await turns.acquire()

    async with (
        TokenIssuer.open(
            database_url=database.issuer_url, settings=settings(key_file), clock=clock, sleep=sleep
        ) as issuer,
        aiohttp.ClientSession() as http,
    ):
        await Caller(http, issuer.url).login()
        clock.advance(40 * 24 * 60 * 60)
        for _ in range(2):
            await asyncio.wait_for(asleep.wait(), 10)
            asleep.clear()
            turns.release()
        await asyncio.wait_for(asleep.wait(), 10)
    assert slept == [3600.0] * 3
    assert await database.owner.fetchval("SELECT count(*) FROM shapegate_auth.sessions") == 0


async def test_J_11_a_rotated_key_is_published_at_once_and_tokens_of_the_former_go_on(
    database: Database, key_file: Path
) -> None:
    clock = Clock(datetime.now(UTC))
    async with (
        TokenIssuer.open(
            database_url=database.issuer_url, settings=settings(key_file), clock=clock
        ) as issuer,
        aiohttp.ClientSession() as http,
    ):
        caller = Caller(http, issuer.url)
        before = (await caller.login()).text("access_token")
        newest = rotate(key_file, forget=False).kid
        assert await published(caller) == [newest, kid_of(before)]
        set_now = (await caller.send("GET", "/.well-known/jwks.json")).raw
        assert (parse_keys(set_now) or {}).keys() == {newest, kid_of(before)}  # as the proxy reads it
        assert kid_of((await caller.login()).text("access_token")) == kid_of(before)
        clock.advance(PUBLISHED_AHEAD_SECONDS + 1)
        after = (await caller.login()).text("access_token")
        assert kid_of(after) == newest
        assert [(await caller.me(token)).status for token in (before, after)] == [200, 200]
        rotate(key_file, forget=True)
        assert [(await caller.me(token)).status for token in (before, after)] == [401, 401]


async def published(caller: Caller) -> list[str]:
    keys = (await caller.send("GET", "/.well-known/jwks.json")).body["keys"]
    assert isinstance(keys, list)
    return [str(key["kid"]) for key in keys]


def kid_of(token: str) -> str:
    return str(decoded(token.split(".")[0])["kid"])


async def test_an_issuer_with_a_shared_secret_publishes_no_key_and_is_whole_otherwise(
    database: Database, clock: Clock
) -> None:
    secret = "a shared secret of more than 32 bytes"
    told = settings(None, secret=Secret(secret), subject_prefix="user?id=")
    async with (
        TokenIssuer.open(database_url=database.issuer_url, settings=told, clock=clock) as issuer,
        aiohttp.ClientSession() as http,
    ):
        caller = Caller(http, issuer.url)
        login = await caller.login()
        refreshed = await caller.refresh(login.text("refresh_token"))
        assert (await caller.me(refreshed.text("access_token"))).part("user") == login.part("user")
        assert await published(caller) == []
    token = login.text("access_token")
    assert decoded(token.split(".")[1])["sub"] == f"user?id={login.part('user')['id']}"
    config = IssuerConfig(
        issuer=told.issuer, audience=told.audience, secret=told.secret, subject_prefix="user?id="
    )
    async with open_issuers([config], sessions=True) as issuers:
        principal = await Verifier(issuers, clock=lambda: clock().timestamp()).verify(token)
    assert principal.user == login.part("user")["id"]
    assert principal.session == decoded(token.split(".")[1])["jti"]
