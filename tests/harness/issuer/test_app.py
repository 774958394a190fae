"""The HTTP face: every answer is JSON, says what it is for, and is not stored."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from shapegate_harness.issuer.app import create_app
from shapegate_harness.issuer.passwords import Passwords
from shapegate_harness.issuer.store import Store
from tests.harness.issuer.builders import (
    PASSWORD,
    access_tokens,
    decoded,
    encoded,
    new_key,
    service_of,
    settings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.issuer.caller import Caller
    from tests.harness.issuer.conftest import Database


async def test_the_key_set_holds_one_public_ed25519_key_for_signatures(caller: Caller) -> None:
    reply = await caller.send("GET", "/.well-known/jwks.json")
    assert reply.status == 200
    keys = reply.body["keys"]
    assert isinstance(keys, list)
    [key] = keys
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")


async def test_health_says_that_it_lives_and_is_for_development(caller: Caller) -> None:
    reply = await caller.send("GET", "/health")
    assert reply.body == {"status": "active", "use": "development"}


async def test_every_answer_is_marked_and_never_stored(caller: Caller) -> None:
    login = await caller.login()
    replies = [
        login,
        await caller.login(password="wrong"),
        await caller.post("login", {}),
        await caller.me(None),
        await caller.me(login.text("access_token")),
        await caller.send("GET", "/.well-known/jwks.json"),
        await caller.send("GET", "/health"),
        await caller.send("GET", "/nothing"),
        await caller.send("DELETE", "/health"),
        await caller.logout(login.text("access_token")),
    ]
    assert [reply.status for reply in replies] == [200, 401, 400, 401, 200, 200, 200, 404, 405, 204]
    for reply in replies:
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Shapegate-Development"] == "issuer"
        assert "aiohttp" not in reply.headers["Server"]


async def test_every_refusal_has_message_code_and_hint(caller: Caller) -> None:
    for reply in (
        await caller.login(password="wrong"),
        await caller.post("login", {}),
        await caller.me(None),
        await caller.send("GET", "/nothing"),
        await caller.send("PUT", "/api/auth/login"),
    ):
        assert set(reply.body) == {"message", "code", "hint"}
        assert all(isinstance(text, str) and text for text in reply.body.values())


@pytest.mark.parametrize(
    "path", ["/", "/api/auth", "/api/auth/login/", "//api/auth/login", "/api/auth/nope", "/.well-known/"]
)
async def test_I_13_other_paths_are_404(caller: Caller, path: str) -> None:
    reply = await caller.send("POST", path, data=b"{}")
    assert (reply.status, reply.body["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/auth/login", "POST"),
        ("DELETE", "/api/auth/refresh", "POST"),
        ("OPTIONS", "/api/auth/switch", "POST"),
        ("POST", "/api/auth/me", "GET, HEAD"),
        ("PATCH", "/.well-known/jwks.json", "GET, HEAD"),
    ],
)
async def test_other_methods_are_405_with_those_that_are_allowed(
    caller: Caller, method: str, path: str, allow: str
) -> None:
    reply = await caller.send(method, path)
    assert (reply.status, reply.body["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == allow


@pytest.mark.parametrize("endpoint", ["login", "refresh"])
@pytest.mark.parametrize(
    "data", [b"", b"not json", b"[]", b'{"email":"a","email":"b"}', b"\xff", b'{"x":1}'], ids=repr
)
async def test_a_malformed_body_is_a_clear_400(caller: Caller, endpoint: str, data: bytes) -> None:
    reply = await caller.send("POST", f"/api/auth/{endpoint}", data=data)
    assert (reply.status, reply.body["code"]) == (400, "malformed_body")


async def test_a_body_beyond_16_kb_is_a_413(caller: Caller) -> None:
    fits = json.dumps({"email": "a", "password": "p"}).encode().ljust(16 * 1024)
    assert (await caller.send("POST", "/api/auth/login", data=fits)).status == 401
    reply = await caller.send("POST", "/api/auth/login", data=fits + b" ")
    assert (reply.status, reply.body["code"]) == (413, "body_too_large")


async def test_a_compressed_body_is_not_unpacked(caller: Caller) -> None:
    reply = await caller.send(
        "POST", "/api/auth/login", data=b"\x1f\x8b\x08garbage", headers={"Content-Encoding": "gzip"}
    )
    assert (reply.status, reply.body["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("endpoint", ["switch", "logout", "me"])
async def test_I_15_a_request_without_token_is_challenged_without_an_error(
    caller: Caller, endpoint: str
) -> None:
    reply = await caller.send("GET" if endpoint == "me" else "POST", f"/api/auth/{endpoint}")
    assert (reply.status, reply.body["code"]) == (401, "missing_token")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("value", ["Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c d"])
async def test_I_15_a_malformed_authorization_is_a_400(caller: Caller, value: str) -> None:
    reply = await caller.send("GET", "/api/auth/me", headers={"Authorization": value})
    assert (reply.status, reply.body["code"]) == (400, "invalid_request")
    assert reply.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'


async def test_I_15_two_authorization_headers_are_a_400_even_if_both_are_good(caller: Caller) -> None:
    value = f"Bearer {(await caller.login()).text('access_token')}"
    headers = CIMultiDict([("Authorization", value), ("Authorization", value)])
    reply = await caller.send("GET", "/api/auth/me", headers=headers)
    assert reply.status == 400


async def test_I_15_a_token_elsewhere_than_in_the_header_does_not_count(caller: Caller) -> None:
    token = (await caller.login()).text("access_token")
    reply = await caller.send(
        "GET", f"/api/auth/me?access_token={token}", headers={"Cookie": f"access_token={token}"}
    )
    assert reply.status == 401


@pytest.mark.parametrize("changed", ["tampered", "none", "HS256"])
async def test_a_forged_token_is_refused(caller: Caller, changed: str) -> None:
    header, claims, signature = (await caller.login()).text("access_token").split(".")
    forged = {
        "tampered": f"{header}.{encoded({**decoded(claims), 'role': 'admin'})}.{signature}",
        "none": f"{encoded({**decoded(header), 'alg': 'none'})}.{claims}.{signature}",
        "HS256": f"{encoded({**decoded(header), 'alg': 'HS256'})}.{claims}.{signature}",
    }[changed]
    reply = await caller.me(forged)
    assert (reply.status, reply.body["code"]) == (401, "invalid_token")


async def test_a_body_that_does_not_arrive_is_given_up(database: Database, tmp_path: Path) -> None:
    async with Store.open(database.issuer_url, seconds=5) as store, Passwords.open() as passwords:
        tokens = access_tokens(new_key(), settings(tmp_path / "unused.pem"))
        service = service_of(store, passwords, tokens)
        app = create_app(service, body_seconds=0.05)
        async with TestServer(app) as server:
            assert server.port is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.close()
            await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 408 ")


async def test_a_fault_is_a_500_that_tells_the_caller_nothing(database: Database, caller: Caller) -> None:
    async with database.without_credentials():
        reply = await caller.login()
    assert (reply.status, reply.body["code"]) == (500, "internal")
    assert b"credentials" not in reply.raw


async def test_an_unexpected_exception_is_logged_by_its_class_alone(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenPasswords:
        async def hash(self, password: str) -> str:
            raise LookupError(password)

        async def matches(self, password: str, password_hash: str | None) -> bool:
            raise LookupError(password)

    async with Store.open(database.issuer_url, seconds=5) as store:
        tokens = access_tokens(new_key(), settings(tmp_path / "unused.pem"))
        service = service_of(store, BrokenPasswords(), tokens)
        async with TestClient[web.Request, web.Application](TestServer(create_app(service))) as client:
            response = await client.post(
                "/api/auth/login", json={"email": "ada@acme.example", "password": PASSWORD}
            )
            assert response.status == 500
            assert (await response.json())["code"] == "internal"
    assert "unexpected LookupError at POST /api/auth/login" in caplog.text
    assert PASSWORD not in caplog.text


async def test_neither_passwords_nor_tokens_are_logged(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(0):
        login = await caller.login()
        await caller.login(password="wrong password 1")
        await caller.me(login.text("access_token"))
        await caller.refresh(login.text("refresh_token"))
    for secret in (PASSWORD, "wrong password 1", login.text("access_token"), login.text("refresh_token")):
        assert secret not in caplog.text


class CountedPasswords:
    """Real checks, counted."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self.checked = 0

    async def hash(self, password: str) -> str:
        return await self._passwords.hash(password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        self.checked += 1
        return await self._passwords.matches(password, password_hash)


@pytest.mark.parametrize("email", ["ada@acme.example", "hugo@globex.example", "nobody@acme.example"])
async def test_every_login_costs_one_password_check_whoever_it_names(
    database: Database, tmp_path: Path, email: str
) -> None:
    async with Store.open(database.issuer_url, seconds=5) as store, Passwords.open() as passwords:
        counted = CountedPasswords(passwords)
        tokens = access_tokens(new_key(), settings(tmp_path / "unused.pem"))
        service = service_of(store, counted, tokens)
        async with TestClient[web.Request, web.Application](TestServer(create_app(service))) as client:
            response = await client.post("/api/auth/login", json={"email": email, "password": "wrong"})
            assert response.status == 401
    assert counted.checked == 1
