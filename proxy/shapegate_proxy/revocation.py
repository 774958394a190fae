"""Whether the session of a token still counts: asked of Postgres, told by NOTIFY, looked up in any case.

A session counts while it is not revoked and its user is an active member of an active organization (SECURITY
I-21, J-14). An answer is believed for `BELIEVED_SECONDS`; a notice ends that belief at once. When nobody can
be asked, requests get 503, and those under way end before an unseen revocation could be older than 15 s.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

import asyncpg

from shapegate_proxy.errors import InvalidToken, SessionsUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shapegate_proxy.config import Secret
    from shapegate_proxy.held import HeldRequests
    from shapegate_proxy.principal import Principal

CHANNEL: Final = "shapegate_sessions"
BELIEVED_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 5.0
"""How often the sessions of requests under way are looked up without a notice."""
QUERY_SECONDS: Final = 3.0
BLIND_SECONDS_MAX: Final = 10.0
"""How long after the last good question requests under way go on; with another one on top less than 15 s."""
RETRY_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 15.0
"""How often the listening connection has to show that it is not dead without a word."""
CACHED_MAX: Final = 50_000
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_FAULTS: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Whatever keeps Postgres from answering; a timeout is an OSError."""
_LOG: Final = logging.getLogger("shapegate.proxy")

_ACTIVE: Final = """
SELECT s.jti::text AS jti, s.user_id::text AS user_id, s.organization_id::text AS organization_id
FROM shapegate_auth.sessions AS s
JOIN public.memberships AS m ON m.user_id = s.user_id AND m.organization_id = s.organization_id
JOIN public.organizations AS o ON o.id = s.organization_id
WHERE s.jti = ANY($1::text[]::uuid[]) AND s.revoked_at IS NULL AND m.status = 'active' AND o.status = 'active'
"""


class Sessions(Protocol):
    """Who knows whether a session still counts."""

    async def confirm(self, principal: Principal) -> None:
        """Return if it does. Raises InvalidToken if not, SessionsUnavailable if nobody can be asked."""

    def believes(self, principal: Principal) -> bool:
        """Say, without asking anybody, whether it is sure that the session counts."""

    async def available(self) -> bool:
        """Say whether somebody can be asked."""

    @property
    def failures(self) -> int:
        """How often nobody could be asked up to now."""


class UncheckedSessions:
    """No database is configured: every session counts until its token ends."""

    async def confirm(self, principal: Principal) -> None:
        """Believe the token alone."""

    def believes(self, principal: Principal) -> bool:  # noqa: ARG002  # whosever it is
        """Believe the token alone."""
        return True

    async def available(self) -> bool:
        """Nobody has to be asked."""
        return True

    @property
    def failures(self) -> int:
        """Nobody is asked."""
        return 0


class PostgresSessions:
    """Sessions in Postgres; made by `open_sessions`."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        held: HeldRequests,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        query_seconds: float = QUERY_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._pool = pool
        self._query_seconds = query_seconds
        self._look_seconds = look_seconds
        self._held = held
        self._monotonic = monotonic
        self._believed: dict[str, tuple[str, str, float]] = {}
        """User, organization and instant of the look-up, by session."""
        self._noticed = asyncio.Event()
        self._epoch = 0
        """Counts notices, so that an answer from before one is not believed after it."""
        self._looked_at = monotonic()
        """When the last question began that was answered; a revocation after it may be unseen."""
        self.failures = 0
        """How often Postgres did not answer up to now."""

    async def confirm(self, principal: Principal) -> None:
        """See `Sessions.confirm`; without a session the issuer's are not kept here, and the token counts."""
        session = principal.session
        if session is None:
            return
        known = self._fresh(session)
        if known is None:
            known = (await self._look_up(frozenset({session}))).get(session)
        if known is None or known[:2] != (principal.user, principal.org):
            raise _revoked()

    def believes(self, principal: Principal) -> bool:
        """See `Sessions.believes`."""
        session = principal.session
        if session is None:
            return True
        known = self._fresh(session)
        return known is not None and known[:2] == (principal.user, principal.org)

    def _fresh(self, session: str) -> tuple[str, str, float] | None:
        known = self._believed.get(session)
        if known is None or self._monotonic() - known[2] > BELIEVED_SECONDS:
            return None
        return known

    async def available(self) -> bool:
        """Ask for nothing in particular."""
        with suppress(SessionsUnavailable):
            await self._look_up(frozenset())
            return True
        return False

    def notice(self, *_details: object) -> None:
        """Something about sessions changed: believe nothing any more, and look at once."""
        self._epoch += 1
        self._believed.clear()
        self._noticed.set()

    async def watch(self) -> None:
        """Look up the sessions of requests under way, after each notice and every few seconds, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._noticed.wait()
            self._noticed.clear()
            if not await self.look():
                self._noticed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def look(self) -> bool:
        """End the requests whose session counts no more, or all if nobody could be asked for too long.

        Asks also when nothing is under way, so that the time of the last answer is true.
        Says whether there was an answer.
        """
        under_way, began = self._held.sessions, self._monotonic()
        try:
            active = await self._look_up(under_way)
        except Exception as exc:  # noqa: BLE001  # the boundary of the loop: whatever fails, nobody was asked
            if not isinstance(exc, SessionsUnavailable):
                _LOG.error("looking up sessions failed: %s", type(exc).__name__)
            if self._monotonic() - self._looked_at > BLIND_SECONDS_MAX:
                self._held.end_sessions(under_way, SessionsUnavailable)
            return False
        self._looked_at = began
        self._held.end_sessions(under_way - active.keys(), _revoked)
        return True

    async def _look_up(self, sessions: frozenset[str]) -> dict[str, tuple[str, str, float]]:
        epoch, asked_at = self._epoch, self._monotonic()
        wanted = [session for session in sessions if _UUID.fullmatch(session)]
        try:
            rows = await self._fetch(wanted)
        except _FAULTS as exc:
            self.failures += 1
            _LOG.warning("sessions cannot be looked up: %s", type(exc).__name__)
            raise SessionsUnavailable from exc
        found = {row["jti"]: (row["user_id"], row["organization_id"], asked_at) for row in rows}
        if epoch == self._epoch:
            if len(self._believed) + len(found) > CACHED_MAX:
                self._believed.clear()
            self._believed.update(found)
        return found

    async def _fetch(self, sessions: list[str]) -> list[asyncpg.Record]:
        """Ask Postgres; a connection that does not answer is cut, since giving it back would wait for it."""
        async with asyncio.timeout(self._query_seconds):
            connection = await self._pool.acquire(timeout=self._query_seconds)
            try:
                return await connection.fetch(_ACTIVE, sessions)
            except BaseException:
                connection.terminate()
                raise
            finally:
                await self._pool.release(connection)


@asynccontextmanager
async def open_sessions(database_url: Secret, held: HeldRequests) -> AsyncIterator[PostgresSessions]:
    """Listen and look for the length of the block; Postgres may be away at the start, and come later."""
    pool = asyncpg.create_pool(
        database_url.reveal(), min_size=0, max_size=4, timeout=QUERY_SECONDS, command_timeout=QUERY_SECONDS
    )
    await pool  # which connects to nobody yet
    sessions = PostgresSessions(pool, held)
    tasks = [asyncio.create_task(sessions.watch()), asyncio.create_task(_listen(database_url, sessions))]
    try:
        yield sessions
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()  # cut off, it terminates what is left


async def _listen(database_url: Secret, sessions: PostgresSessions) -> None:
    """Keep one connection that hears notices; while there is none, looking every few seconds has to do."""
    while True:
        with suppress(*_FAULTS):
            connection = await asyncpg.connect(
                database_url.reveal(), timeout=QUERY_SECONDS, command_timeout=QUERY_SECONDS
            )
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _connection, ended=ended: ended.set())
            try:
                await connection.add_listener(CHANNEL, sessions.notice)
                sessions.notice()  # what happened before nobody heard
                while not ended.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HEARTBEAT_SECONDS):
                            await ended.wait()
                    await connection.execute("SELECT 1")
            finally:
                connection.terminate()
        await asyncio.sleep(RETRY_SECONDS)


def _revoked() -> InvalidToken:
    return InvalidToken("The session of this token has ended")
