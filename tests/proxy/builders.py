"""Tokens, principals and a running gate in front of a scripted upstream, for the tests of the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web
from yarl import URL

from shapegate_proxy.app import load_policy, open_proxy
from shapegate_proxy.config import IssuerConfig, ProxyConfig, Secret
from shapegate_proxy.electric_http import ElectricClient
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.policy_file import parse_policy
from shapegate_proxy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_proxy.electric import ElectricTimeouts, UpstreamClient
    from shapegate_proxy.observe import ShapeServed
    from shapegate_proxy.policy import Policy

SECRET = "a-shared-secret-of-more-than-32-bytes"
ELECTRIC_SECRET = "electric-secret"
ISSUER = "urn:test:issuer"
AUDIENCE = "shapegate"
USER = "11111111-1111-4111-8111-111111111111"
ACME = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
GLOBEX = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

POLICY_TEXT = """
version = 1

[tables.items]
scope = "organization_id = {org}"

[tables.items.columns]
id = "uuid"
organization_id = "uuid"
name = "text"

[tables.notes]
scope = "author = {user}"

[tables.notes.columns]
id = "int8"
author = "text"
"""


def policy() -> Policy:
    return parse_policy(POLICY_TEXT)


def principal(
    *, org: str = ACME, user: str = USER, role: str | None = None, named: Mapping[str, str] | None = None
) -> Principal:
    """A caller; `named` are further claims."""
    return Principal(
        issuer=ISSUER,
        user=user,
        org=org,
        role=role,
        session=None,
        claims=named or {},
        expires_at=NOW + timedelta(minutes=5),
    )


def claims(**changes: object) -> dict[str, object]:
    """A good token's claims; a change to None leaves the claim out."""
    good: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": USER,
        "jti": "22222222-2222-4222-8222-222222222222",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "organization_id": ACME,
        "role": "member",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(*, secret: str = SECRET, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm="HS256", headers=headers)


def issuer_config() -> IssuerConfig:
    return IssuerConfig(issuer=ISSUER, audience=AUDIENCE, secret=Secret(SECRET))


@dataclass
class Recorder:
    """An observer that remembers; `told` is set by every event."""

    events: list[ShapeServed] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def served(self, event: ShapeServed) -> None:
        self.events.append(event)
        self.told.set()


@dataclass
class Gate:
    """A gate in front of an upstream that answers as the test says."""

    url: URL
    recorder: Recorder
    upstream: list[web.Request]
    """What reached the upstream, in order."""
    clock: Clock
    ticks: Ticks


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> float:
        return self.now.timestamp()


@dataclass
class Ticks:
    """A monotonic clock that goes when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[tuple[URL, list[web.Request]]]:
    """Run an HTTP server on a free port that answers everything by `answer`."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/shape":
            seen.append(request)
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, max_line_size=20_000, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield URL.build(scheme="http", host=host, port=port), seen
    finally:
        await runner.cleanup()


def client_within(timeouts: ElectricTimeouts) -> Callable[[URL], UpstreamClient]:
    """Choose the client of the variant under test, with timeouts of a test's own."""
    defaults = ProxyConfig.__init__.__kwdefaults__
    assert defaults is not None
    return partial(LeanClient if defaults["sharing"].client == "lean" else ElectricClient, timeouts=timeouts)


@asynccontextmanager
async def gate_before(
    electric_url: URL,
    folder: Path,
    upstream: list[web.Request],
    *,
    issuers: tuple[IssuerConfig, ...] = (),
    idle_seconds: float = 15.0,
    connect: Callable[[URL], UpstreamClient] | None = None,
    **settings: Any,
) -> AsyncIterator[Gate]:
    """Run a gate in front of whatever listens at `electric_url`; `settings` are those of ProxyConfig."""
    path = folder / "policy.toml"
    path.write_text(POLICY_TEXT)
    config = ProxyConfig(
        electric_url=electric_url,
        electric_secret=Secret(ELECTRIC_SECRET),
        issuers=issuers or (issuer_config(),),
        policy_path=path,
        origins=frozenset({"https://app.example"}),
        port=0,
        idle_seconds=idle_seconds,
        **settings,
    )
    recorder, clock, ticks = Recorder(), Clock(), Ticks()
    async with open_proxy(
        config, load_policy(config), observer=recorder, clock=clock, monotonic=ticks, connect=connect
    ) as url:
        yield Gate(url, recorder, upstream, clock, ticks)


@asynccontextmanager
async def gate(
    answer: Answer, folder: Path, *, idle_seconds: float = 15.0, **settings: Any
) -> AsyncIterator[Gate]:
    """Run a gate in front of a scripted upstream; `settings` are further ones of ProxyConfig."""
    async with (
        serve(answer) as (url, seen),
        gate_before(url, folder, seen, idle_seconds=idle_seconds, **settings) as running,
    ):
        yield running


def bearer(**changes: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**changes)}"}


LOG_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746",
    "etag": '"h-1:-1:0_0"',
    "electric-handle": "h-1",
    "electric-offset": "0_0",
    "electric-schema": '{"id":{"type":"uuid","pk_index":0}}',
    "electric-has-data": "true",
    "electric-server": "ElectricSQL/1.7.12",
    "electric-up-to-date": "",
    "connection": "keep-alive",
    "x-internal": "upstream only",
    "set-cookie": "a=b",
}


async def log_answer(_request: web.Request) -> web.StreamResponse:
    """What Electric answers to a request for a log."""
    return web.Response(body=b"[]", headers=LOG_HEADERS)
