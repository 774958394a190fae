"""Sessions in a real Postgres: which count, how fast their end is noticed, what an outage does."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from shapegate_proxy.config import Secret
from shapegate_proxy.errors import InvalidToken, SessionsUnavailable
from shapegate_proxy.held import HeldRequests
from shapegate_proxy.revocation import (
    BELIEVED_SECONDS,
    BLIND_SECONDS_MAX,
    CLOSE_SECONDS,
    LOOK_SECONDS,
    QUERY_SECONDS,
    RETRY_SECONDS,
    PostgresSessions,
    UncheckedSessions,
    open_sessions,
)
from shapegate_schema.migrate import migrate
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed
from tests.proxy.builders import principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_harness.postgres import EmbeddedPostgres
    from shapegate_proxy.principal import Principal
    from tests.conftest import CreateDatabase


@dataclass
class Scene:
    """A seeded database, one live session in it, and who it belongs to."""

    owner_url: str
    proxy_url: str
    owner: asyncpg.Connection
    principal: Principal
    now: list[float] = field(default_factory=lambda: [1000.0])

    async def revoke(self) -> None:
        assert self.principal.session is not None
        await self.owner.execute(
            "UPDATE shapegate_auth.sessions SET revoked_at = now() WHERE jti = $1",
            uuid.UUID(self.principal.session),
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(create_session_database: CreateDatabase) -> str:
    url = await create_session_database()
    await migrate(url)
    await seed(url)
    return url


@pytest_asyncio.fixture(loop_scope="session")
async def scene(
    template: str, create_database: CreateDatabase, postgres: EmbeddedPostgres
) -> AsyncIterator[Scene]:
    url = await create_database(template)
    await set_login(url, "shapegate_proxy", "proxy-password")
    owner = await asyncpg.connect(url)
    member = await owner.fetchrow(
        "SELECT user_id::text, organization_id::text FROM memberships ORDER BY user_id LIMIT 1"
    )
    assert member is not None
    session = str(uuid.uuid4())
    await owner.execute(
        "INSERT INTO shapegate_auth.sessions (jti, family_id, user_id, organization_id, expires_at) "
        "VALUES ($1::text::uuid, gen_random_uuid(), $2::text::uuid, $3::text::uuid, now() + '1 hour')",
        session,
        member["user_id"],
        member["organization_id"],
    )
    who = replace(
        principal(org=member["organization_id"], user=member["user_id"]),
        session=session,
    )
    proxy_url = postgres.url(url.rpartition("/")[2], "shapegate_proxy", "proxy-password")
    yield Scene(owner_url=url, proxy_url=proxy_url, owner=owner, principal=who)
    await owner.close()


@asynccontextmanager
async def unwatched(scene: Scene, held: HeldRequests | None = None) -> AsyncIterator[PostgresSessions]:
    """Sessions that hear no notice and look only when they are told to."""
    async with asyncpg.create_pool(scene.proxy_url, min_size=0, max_size=2) as pool:
        yield PostgresSessions(pool, held or HeldRequests(), monotonic=lambda: scene.now[0])


async def test_J_14_a_live_session_of_an_active_member_counts(scene: Scene) -> None:
    async with unwatched(scene) as sessions:
        await sessions.confirm(scene.principal)
        assert await sessions.available()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE shapegate_auth.sessions SET revoked_at = now()",
        "DELETE FROM shapegate_auth.sessions",
        "UPDATE memberships SET status = 'suspended'",
        "UPDATE organizations SET status = 'suspended'",
    ],
)
async def test_J_14_revoked_or_suspended_does_not_count(scene: Scene, statement: str) -> None:
    await scene.owner.execute(statement)
    async with unwatched(scene) as sessions:
        with pytest.raises(InvalidToken):
            await sessions.confirm(scene.principal)


@pytest.mark.parametrize(
    "change",
    [
        {"session": "not-a-uuid"},
        {"session": str(uuid.uuid4())},
        {"user": str(uuid.uuid4())},
        {"org": str(uuid.uuid4())},
    ],
)
async def test_J_14_a_session_is_bound_to_its_user_and_organization(
    scene: Scene, change: dict[str, str | None]
) -> None:
    async with unwatched(scene) as sessions:
        await sessions.confirm(scene.principal)
        with pytest.raises(InvalidToken):
            await sessions.confirm(replace(scene.principal, **change))  # type: ignore[arg-type]  # a table of cases


async def test_J_14_an_answer_is_believed_for_a_bounded_time_and_not_after_a_notice(scene: Scene) -> None:
    async with unwatched(scene) as sessions:
        await sessions.confirm(scene.principal)
        await scene.revoke()
        scene.now[0] += BELIEVED_SECONDS
        await sessions.confirm(scene.principal)
        scene.now[0] += 0.1
        with pytest.raises(InvalidToken):
            await sessions.confirm(scene.principal)
    async with unwatched(scene) as again:
        await scene.owner.execute("UPDATE shapegate_auth.sessions SET revoked_at = NULL")
        await again.confirm(scene.principal)
        await scene.revoke()
        again.notice()
        with pytest.raises(InvalidToken):
            await again.confirm(scene.principal)


async def test_a_token_of_an_issuer_whose_sessions_are_elsewhere_is_not_looked_up(scene: Scene) -> None:
    elsewhere = replace(scene.principal, session=None)
    async with unwatched(scene) as sessions:
        await scene.owner.execute("REVOKE USAGE ON SCHEMA shapegate_auth FROM shapegate_proxy")
        await sessions.confirm(elsewhere)


def test_I_21_an_unseen_revocation_is_never_older_than_15_seconds() -> None:
    assert BELIEVED_SECONDS + QUERY_SECONDS < 15
    assert LOOK_SECONDS + QUERY_SECONDS < 15
    assert BLIND_SECONDS_MAX + RETRY_SECONDS + QUERY_SECONDS < 15


async def hold_until_ended(held: HeldRequests, session: str | None) -> None:
    async with held.hold(session=session, seconds=60):
        await asyncio.Event().wait()


async def test_I_21_a_look_ends_requests_whose_session_is_revoked_also_without_a_notice(scene: Scene) -> None:
    held = HeldRequests()
    async with unwatched(scene, held) as sessions:
        waiting = asyncio.create_task(hold_until_ended(held, scene.principal.session))
        await asyncio.wait([waiting], timeout=0.01)
        await sessions.look()
        assert not waiting.done()
        await scene.revoke()
        await sessions.look()
        with pytest.raises(InvalidToken):
            await asyncio.wait_for(waiting, 5)


async def test_I_21_a_notice_ends_a_request_within_a_second(scene: Scene) -> None:
    held = HeldRequests()
    async with open_sessions(Secret(scene.proxy_url), held) as sessions:
        waiting = asyncio.create_task(hold_until_ended(held, scene.principal.session))
        await heard(scene)
        await sessions.confirm(scene.principal)
        await scene.revoke()
        with pytest.raises(InvalidToken):
            await asyncio.wait_for(waiting, 1)


async def test_I_21_revocation_is_seen_without_a_notice(scene: Scene) -> None:
    held = HeldRequests()
    async with asyncpg.create_pool(scene.proxy_url, min_size=0, max_size=2) as pool:
        sessions = PostgresSessions(pool, held, look_seconds=0.05)
        watching = asyncio.create_task(sessions.watch())
        waiting = asyncio.create_task(hold_until_ended(held, scene.principal.session))
        await sessions.confirm(scene.principal)
        assert not waiting.done()
        await scene.revoke()
        with pytest.raises(InvalidToken):
            await asyncio.wait_for(waiting, 5)
        watching.cancel()
        await asyncio.wait([watching])


async def test_I_21_the_time_without_an_answer_counts_from_the_question(scene: Scene) -> None:
    held = HeldRequests()
    instants = iter([1000.0, 1000.0, 1003.0])  # made, asked, and a slow answer
    async with asyncpg.create_pool(scene.proxy_url, min_size=0, max_size=2) as pool:
        sessions = PostgresSessions(
            pool, held, monotonic=lambda: next(instants, 1000.0 + BLIND_SECONDS_MAX + 0.1)
        )
        waiting = asyncio.create_task(hold_until_ended(held, scene.principal.session))
        await asyncio.wait([waiting], timeout=0.01)
        assert await sessions.look()
        await scene.owner.execute("REVOKE USAGE ON SCHEMA shapegate_auth FROM shapegate_proxy")
        assert not await sessions.look()
        with pytest.raises(SessionsUnavailable):
            await asyncio.wait_for(waiting, 5)


async def heard(scene: Scene) -> None:
    """Wait until somebody listens."""
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = $1"
    database = scene.owner_url.rpartition("/")[2]
    async with asyncio.timeout(10):
        while not await scene.owner.fetchval(listening, database):
            pass  # each look is a round trip


async def test_J_14_when_nobody_can_be_asked_it_fails_closed_with_503(scene: Scene) -> None:
    held = HeldRequests()
    async with unwatched(scene, held) as sessions:
        waiting = asyncio.create_task(hold_until_ended(held, scene.principal.session))
        await asyncio.wait([waiting], timeout=0.01)
        await scene.owner.execute("REVOKE USAGE ON SCHEMA shapegate_auth FROM shapegate_proxy")
        with pytest.raises(SessionsUnavailable):
            await sessions.confirm(scene.principal)
        assert not await sessions.available()
        scene.now[0] += BLIND_SECONDS_MAX
        await sessions.look()
        assert not waiting.done()
        scene.now[0] += 0.1
        await sessions.look()
        with pytest.raises(SessionsUnavailable):
            await asyncio.wait_for(waiting, 5)


class Line:
    """A line to Postgres that can go dead without a word: nothing arrives any more, and nothing is closed."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.open = asyncio.Event()
        self.open.set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            self._pumps.add(asyncio.create_task(self._pump(source, target)))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self.open.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass  # the other end is gone
        finally:
            target.transport.abort()

    async def close(self) -> None:
        self.open.set()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[tuple[Line, str]]:
    """Put a line in front of Postgres; yields it and the URL that leads through it."""
    parts = urlsplit(url)
    line = Line(str(parts.hostname), int(parts.port or 5432))
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    userinfo = parts.netloc.rpartition("@")[0]
    try:
        yield line, urlunsplit(parts._replace(netloc=f"{userinfo}@127.0.0.1:{port}"))
    finally:
        server.close()
        await line.close()


async def test_J_14_I_21_a_database_that_is_silent_ends_requests_in_time(scene: Scene) -> None:
    held = HeldRequests()
    async with (
        line_to(scene.proxy_url) as (line, url),
        asyncpg.create_pool(url, min_size=0, max_size=1) as pool,
    ):
        sessions = PostgresSessions(pool, held, monotonic=lambda: scene.now[0], query_seconds=0.5)
        waiting = asyncio.create_task(hold_until_ended(held, scene.principal.session))
        await sessions.confirm(scene.principal)
        line.open.clear()
        scene.now[0] += BLIND_SECONDS_MAX + 0.1
        async with asyncio.timeout(2):
            assert not await sessions.look()
        with pytest.raises(SessionsUnavailable):
            await waiting
        line.open.set()
        assert await sessions.available()  # the dead connection does not take the place of a new one


async def test_a_silent_database_does_not_hold_up_the_stop(scene: Scene) -> None:
    async with line_to(scene.proxy_url) as (line, url):
        async with open_sessions(Secret(url), HeldRequests()) as sessions:
            await sessions.confirm(scene.principal)
            line.open.clear()
            stopping = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping < CLOSE_SECONDS + 1


async def test_without_a_database_the_token_alone_counts() -> None:
    sessions = UncheckedSessions()
    await sessions.confirm(principal())
    assert await sessions.available()
