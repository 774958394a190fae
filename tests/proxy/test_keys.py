"""The issuer's keys: which are fit, and what a failing or lying key endpoint can do."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from yarl import URL

from shapegate_proxy.errors import KeysUnavailable
from shapegate_proxy.keys import COOLDOWN_SECONDS, FRESH_SECONDS, STALE_SECONDS_MAX, PublishedKeys, parse_keys
from tests.proxy.builders import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def ed_key(kid: object = "k1", **changes: object) -> dict[str, object]:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    made: dict[str, object] = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(public))
    return made | {"kid": kid, "use": "sig", "alg": "EdDSA"} | changes


def ec_key(curve: ec.EllipticCurve) -> dict[str, object]:
    public = ec.generate_private_key(curve).public_key()
    made: dict[str, object] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public))
    return made | {"kid": "k1"}


def rsa_key(bits: int) -> dict[str, object]:
    public = rsa.generate_private_key(65_537, bits).public_key()
    made: dict[str, object] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    return made | {"kid": "k1"}


def document(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(ed_key(), "EdDSA"), (ec_key(ec.SECP256R1()), "ES256"), (rsa_key(2048), "RS256")],
)
def test_J_13_a_fit_key_is_bound_to_its_algorithm(key: dict[str, object], algorithm: str) -> None:
    keys = parse_keys(document(key))
    assert keys is not None
    assert keys["k1"].algorithm == algorithm


@pytest.mark.parametrize(
    "key",
    [
        ed_key(use="enc"),
        ed_key(alg="RS256"),
        ed_key(kty="RSA"),
        ed_key(x="short"),
        ed_key(kid=7),
        ed_key(d="private"),
        {"kty": "oct", "kid": "k1"},
        ed_key(alg="none"),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM", "kid": "k1"},
        ec_key(ec.SECP384R1()),
        rsa_key(1024),
        "text",
        None,
    ],
)
def test_J_02_J_13_an_unfit_key_is_left_out(key: object) -> None:
    assert parse_keys(document(key)) is None
    kept = parse_keys(document(key, ed_key("k2")))
    assert kept is not None
    assert set(kept) == {"k2"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"\xff", b"nonsense", b"[" * 60_000]
)
def test_J_10_a_malformed_set_is_none(body: bytes) -> None:
    assert parse_keys(body) is None


class Endpoint:
    """A key endpoint that answers what the test sets, and a clock to go with it."""

    def __init__(self) -> None:
        self.body = document(ed_key())
        self.status = 200
        self.fetches = 0
        self.now = 1000.0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        self.asked.set()
        await self.gate.wait()
        return web.Response(status=self.status, body=self.body, headers={"location": "/elsewhere"})


@pytest.fixture
async def published() -> AsyncIterator[tuple[Endpoint, PublishedKeys]]:
    endpoint = Endpoint()
    async with serve(endpoint.answer) as (url, _), aiohttp.ClientSession() as http:
        yield endpoint, PublishedKeys(url / "jwks.json", http, monotonic=lambda: endpoint.now)


Published = tuple[Endpoint, PublishedKeys]


async def test_J_08_a_fresh_set_is_fetched_once(published: Published) -> None:
    endpoint, keys = published
    for _ in range(3):
        assert await keys.find("k1") is not None
    assert endpoint.fetches == 1


async def test_J_08_many_callers_share_one_fetch(published: Published) -> None:
    endpoint, keys = published
    endpoint.gate.clear()
    callers = [asyncio.create_task(keys.find("k1")) for _ in range(20)]
    await asyncio.wait_for(endpoint.asked.wait(), 5)
    endpoint.gate.set()
    assert all(await asyncio.gather(*callers))
    assert endpoint.fetches == 1


async def test_J_08_a_caller_who_goes_away_does_not_take_the_keys_along(published: Published) -> None:
    endpoint, keys = published
    endpoint.gate.clear()
    anonymous = asyncio.create_task(keys.find("forged"))
    await asyncio.wait_for(endpoint.asked.wait(), 5)
    anonymous.cancel()
    await asyncio.wait([anonymous])
    endpoint.gate.set()
    assert await keys.find("k1") is not None
    assert endpoint.fetches == 1


async def test_a_fetch_under_way_ends_with_the_gate(published: Published) -> None:
    endpoint, keys = published
    endpoint.gate.clear()
    caller = asyncio.create_task(keys.find("k1"))
    await asyncio.wait_for(endpoint.asked.wait(), 5)
    await keys.close()
    await asyncio.wait([caller])
    assert caller.cancelled()


async def test_J_08_unknown_ids_lead_to_one_fetch_per_cool_down(published: Published) -> None:
    endpoint, keys = published
    await keys.find("k1")
    for number in range(50):
        assert await keys.find(f"unknown-{number}") is None
    assert endpoint.fetches == 1
    endpoint.now += COOLDOWN_SECONDS
    for number in range(50):
        assert await keys.find(f"unknown-{number}") is None
    assert endpoint.fetches == 2


async def test_a_rotated_key_is_found_after_the_cool_down(published: Published) -> None:
    endpoint, keys = published
    await keys.find("k1")
    endpoint.body = document(ed_key("k2"))
    endpoint.now += COOLDOWN_SECONDS
    assert await keys.find("k2") is not None


async def test_J_11_a_removed_key_stops_to_verify_when_the_set_is_stale(published: Published) -> None:
    endpoint, keys = published
    assert await keys.find("k1") is not None
    endpoint.body = document(ed_key("k2"))
    endpoint.now += FRESH_SECONDS + 1
    assert await keys.find("k1") is None


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (200, b"no json"), (302, b""), (200, b"x" * 70_000)]
)
async def test_J_09_J_10_old_keys_serve_while_fetching_fails_up_to_a_bound(
    published: Published, status: int, body: bytes
) -> None:
    endpoint, keys = published
    await keys.find("k1")
    endpoint.status, endpoint.body = status, body
    endpoint.now += FRESH_SECONDS + 1
    assert await keys.find("k1") is not None
    assert await keys.available()
    endpoint.now += STALE_SECONDS_MAX
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    assert not await keys.available()


async def test_J_09_without_any_set_nobody_is_unauthorized(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as http:
        keys = PublishedKeys(URL(f"http://127.0.0.1:{unused_tcp_port}/"), http)
        with pytest.raises(KeysUnavailable):
            await keys.find("k1")


async def test_a_token_without_a_key_id_finds_no_key(published: Published) -> None:
    endpoint, keys = published
    missing: Any = None
    assert await keys.find(missing) is None
    assert endpoint.fetches == 0
