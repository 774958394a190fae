"""An issuer's published keys: which are fit, and what a slow, failing or lying endpoint can do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from yarl import URL

from shapegate_proxy.errors import KeysUnavailable
from shapegate_proxy.jwks import (
    AHEAD_SECONDS,
    COOLDOWN_SECONDS,
    FETCH_BYTES_MAX,
    FRESH_SECONDS_MAX,
    FRESH_SECONDS_MIN,
    STALE_SECONDS_MAX,
    START_SECONDS,
    PublishedKeys,
    fresh_seconds,
    open_published_keys,
    parse_keys,
)
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
        ed_key(key_ops=["sign"]),
        ed_key(key_ops="verify"),
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
        self.headers = {"location": "/elsewhere"}
        self.fetches = 0
        self.now = 1000.0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        self.asked.set()
        await self.gate.wait()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


class Timer:
    """Stands for the passing of time between fetches: notes each pause, and ends it when the test says so."""

    def __init__(self) -> None:
        self.pauses: asyncio.Queue[float] = asyncio.Queue()
        self.go = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.pauses.put_nowait(seconds)
        await self.go.acquire()

    async def next_pause(self) -> float:
        """Wait for a fetch to be over; returns how long the next one is away."""
        return await asyncio.wait_for(self.pauses.get(), 5)


@dataclass
class Published:
    """Keys behind an endpoint, and the time that both go by."""

    endpoint: Endpoint
    keys: PublishedKeys
    timer: Timer


@pytest.fixture
async def published() -> AsyncIterator[Published]:
    endpoint, timer = Endpoint(), Timer()
    async with serve(endpoint.answer) as (url, _), aiohttp.ClientSession() as http:
        keys = PublishedKeys(url / "jwks.json", http, monotonic=lambda: endpoint.now, sleep=timer)
        yield Published(endpoint, keys, timer)


@pytest.fixture
async def kept(published: Published) -> AsyncIterator[Published]:
    """Keys that are kept fresh, fetched once."""
    keeping = asyncio.create_task(published.keys.keep_fresh())
    yield published
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_keys_are_there_before_the_first_request(kept: Published) -> None:
    assert not kept.keys.available()
    assert await kept.timer.next_pause() == FRESH_SECONDS_MAX - AHEAD_SECONDS
    assert kept.keys.available()
    assert await kept.keys.find("k1") is not None
    assert kept.endpoint.fetches == 1


async def test_J_09_no_request_waits_for_a_slow_endpoint_while_there_are_keys(kept: Published) -> None:
    await kept.timer.next_pause()
    kept.endpoint.gate.clear()
    kept.endpoint.asked.clear()
    kept.endpoint.now += STALE_SECONDS_MAX
    kept.timer.go.release()
    await asyncio.wait_for(kept.endpoint.asked.wait(), 5)
    found = kept.keys.find("k1")
    with pytest.raises(StopIteration) as done:
        found.send(None)  # it ends without a wait
    assert done.value.value is not None
    kept.endpoint.gate.set()


async def test_J_11_a_removed_key_stops_to_verify_before_the_set_is_stale(kept: Published) -> None:
    pause = await kept.timer.next_pause()
    old = await kept.keys.find("k1")
    assert old is not None
    kept.endpoint.body = document(ed_key("k2"))
    kept.endpoint.now += pause
    kept.timer.go.release()
    await kept.timer.next_pause()
    assert await kept.keys.find("k1") is None
    assert await kept.keys.find("k2") is not None


async def test_J_11_the_issuers_max_age_is_followed(kept: Published) -> None:
    await kept.timer.next_pause()
    kept.endpoint.headers = {"cache-control": "public, max-age=120"}
    kept.timer.go.release()
    assert await kept.timer.next_pause() == 120 - AHEAD_SECONDS


async def test_J_15_a_key_that_stays_is_the_same_object(kept: Published) -> None:
    same = ed_key("same")
    kept.endpoint.body = document(same, ed_key("other"))
    await kept.timer.next_pause()
    before = {kid: await kept.keys.find(kid) for kid in ("same", "other")}
    kept.endpoint.body = document(ed_key("other"), same)
    kept.timer.go.release()
    await kept.timer.next_pause()
    assert await kept.keys.find("same") is before["same"]
    assert await kept.keys.find("other") is not before["other"]


async def test_J_10_a_fetch_that_fails_is_tried_again_soon(kept: Published) -> None:
    kept.endpoint.status = 500
    assert await kept.timer.next_pause() == START_SECONDS
    assert not kept.keys.available()
    kept.endpoint.status = 200
    kept.timer.go.release()
    await kept.timer.next_pause()
    kept.endpoint.status = 500
    kept.timer.go.release()
    assert await kept.timer.next_pause() == COOLDOWN_SECONDS
    assert kept.keys.available()


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", FRESH_SECONDS_MAX),
        ("public", FRESH_SECONDS_MAX),
        ("max-age=120", 120),
        ('public, Max-Age="120", must-revalidate', 120),
        ("s-maxage=70", FRESH_SECONDS_MAX),
        ("x-max-age=70", FRESH_SECONDS_MAX),
        ("max-age=86400", FRESH_SECONDS_MAX),
        ("max-age=86400, max-age=90", 90),
        ("max-age=0", FRESH_SECONDS_MIN),
        ("max-age=-1", FRESH_SECONDS_MAX),
        ("max-age=99999999999999", FRESH_SECONDS_MAX),
        ("no-cache", FRESH_SECONDS_MIN),
        ("max-age=200, no-store", FRESH_SECONDS_MIN),
    ],
)
def test_J_11_freshness_is_what_the_issuer_says_within_bounds(cache_control: str, seconds: float) -> None:
    assert fresh_seconds(cache_control) == seconds


async def test_J_08_a_fresh_set_is_fetched_once(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    for _ in range(3):
        assert await keys.find("k1") is not None
    assert endpoint.fetches == 1


async def test_J_08_many_callers_share_one_fetch(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    endpoint.gate.clear()
    callers = [asyncio.create_task(keys.find("k1")) for _ in range(20)]
    await asyncio.wait_for(endpoint.asked.wait(), 5)
    endpoint.gate.set()
    assert all(await asyncio.gather(*callers))
    assert endpoint.fetches == 1


async def test_J_08_a_caller_who_goes_away_does_not_take_the_keys_along(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    endpoint.gate.clear()
    anonymous = asyncio.create_task(keys.find("forged"))
    await asyncio.wait_for(endpoint.asked.wait(), 5)
    anonymous.cancel()
    await asyncio.wait([anonymous])
    endpoint.gate.set()
    assert await keys.find("k1") is not None
    assert endpoint.fetches == 1


async def test_a_fetch_under_way_ends_with_the_gate(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    endpoint.gate.clear()
    caller = asyncio.create_task(keys.find("k1"))
    await asyncio.wait_for(endpoint.asked.wait(), 5)
    await keys.close()
    await asyncio.wait([caller])
    assert caller.cancelled()


async def test_J_08_unknown_ids_lead_to_one_fetch_per_cool_down(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    await keys.find("k1")
    for number in range(50):
        assert await keys.find(f"unknown-{number}") is None
    assert endpoint.fetches == 1
    endpoint.now += COOLDOWN_SECONDS
    for number in range(50):
        assert await keys.find(f"unknown-{number}") is None
    assert endpoint.fetches == 2


async def test_a_rotated_key_is_found_after_the_cool_down(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    await keys.find("k1")
    endpoint.body = document(ed_key("k2"))
    endpoint.now += COOLDOWN_SECONDS
    assert await keys.find("k2") is not None


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (200, b"no json"), (302, b""), (200, b"x" * (FETCH_BYTES_MAX + 1))]
)
async def test_J_09_J_10_J_12_old_keys_serve_while_fetching_fails_up_to_a_bound(
    published: Published, status: int, body: bytes
) -> None:
    endpoint, keys = published.endpoint, published.keys
    await keys.find("k1")
    endpoint.status, endpoint.body = status, body
    endpoint.now += STALE_SECONDS_MAX
    await keys.find("unknown")
    assert endpoint.fetches == 2
    assert await keys.find("k1") is not None
    assert keys.available()
    endpoint.now += COOLDOWN_SECONDS
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    assert not keys.available()
    assert endpoint.fetches == 3


async def test_J_09_without_any_set_nobody_is_unauthorized(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as http:
        keys = PublishedKeys(URL(f"http://127.0.0.1:{unused_tcp_port}/"), http)
        with pytest.raises(KeysUnavailable):
            await keys.find("k1")


async def test_a_token_without_a_key_id_finds_no_key(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    missing: Any = None
    assert await keys.find(missing) is None
    assert endpoint.fetches == 0


async def test_J_12_a_redirect_is_not_followed(published: Published) -> None:
    endpoint, keys = published.endpoint, published.keys
    endpoint.status = 302
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    assert endpoint.fetches == 1


async def test_the_keeping_ends_with_the_block(published: Published) -> None:
    published.endpoint.gate.clear()
    async with (
        serve(published.endpoint.answer) as (url, _),
        aiohttp.ClientSession() as http,
        open_published_keys(url, http) as keys,
    ):
        await asyncio.wait_for(published.endpoint.asked.wait(), 5)
        assert not keys.available()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "shapegate-jwks"]


async def test_J_12_an_endpoint_that_stalls_is_left(published: Published) -> None:
    published.endpoint.gate.clear()
    async with serve(published.endpoint.answer) as (url, _), aiohttp.ClientSession() as http:
        with pytest.raises(KeysUnavailable):
            await PublishedKeys(url, http, fetch_seconds=0.05).find("k1")
