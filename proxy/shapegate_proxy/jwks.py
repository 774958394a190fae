"""An issuer's published keys (RFC 7517): fetched ahead of time, so that no request waits for a slow endpoint.

A failed or malformed fetch never empties the set; an unknown key id leads to at most one fetch per cool-down
(SECURITY J-08 to J-13).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp
import jwt

from shapegate_proxy.errors import KeysUnavailable
from shapegate_proxy.keys import bind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from yarl import URL

    from shapegate_proxy.keys import VerificationKey

FETCH_SECONDS: Final = 5.0
FETCH_BYTES_MAX: Final = 64 * 1024
FRESH_SECONDS_MIN: Final = 60.0
FRESH_SECONDS_MAX: Final = 300.0
"""A key that the issuer removed verifies no longer than this; the issuer's max-age may say less."""
AHEAD_SECONDS: Final = 2 * FETCH_SECONDS
"""How long before the end of its freshness the set is fetched again."""
COOLDOWN_SECONDS: Final = 10.0
START_SECONDS: Final = 1.0
"""How soon the fetch is tried again while there are no keys at all."""
STALE_SECONDS_MAX: Final = 3600.0

_MAX_AGE: Final = re.compile(r'(?:^|[,\s])max-age="?(?P<seconds>\d{1,9})"?(?=$|[,\s])', re.ASCII | re.I)
_MUST_REVALIDATE: Final = re.compile(r"(?:^|[,\s])no-(?:cache|store)(?=$|[,=\s])", re.I)
_LOG: Final = logging.getLogger("shapegate.proxy")


class PublishedKeys:
    """The key set at one URL; made by `open_published_keys`, which keeps it fresh."""

    def __init__(
        self,
        url: URL,
        http: aiohttp.ClientSession,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._url = url
        self._http = http
        self._monotonic = monotonic
        self._sleep = sleep
        self._timeout = aiohttp.ClientTimeout(total=fetch_seconds)
        self._keys: Mapping[str, VerificationKey] = {}
        self._fetched_at: float | None = None
        self._fresh_seconds = FRESH_SECONDS_MAX
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[bool] | None = None
        self._failing = False
        self.failures = 0
        """How often the set could not be fetched up to now."""

    async def find(self, kid: str | None) -> VerificationKey | None:
        """See `KeySource.find`; waits for a fetch only if the key is not there or too old to be used."""
        if kid is None:
            return None
        if kid not in self._keys or not self.available():
            await self._fetch_after_cool_down()
            if not self.available():
                raise KeysUnavailable
        return self._keys.get(kid)

    def peek(self, kid: str | None) -> VerificationKey | None:
        """See `KeySource.peek`."""
        return self._keys.get(kid) if kid is not None and self.available() else None

    def available(self) -> bool:
        """Say whether there are keys that may be used."""
        return self._fetched_at is not None and self._monotonic() - self._fetched_at <= STALE_SECONDS_MAX

    async def keep_fresh(self) -> None:
        """Fetch the set now and each time before it is stale, for ever."""
        while True:
            try:
                fetched = await self._fetch()
            except Exception as exc:  # noqa: BLE001  # the boundary of the loop: it must not end
                _LOG.error("fetching keys failed: %s", type(exc).__name__)
                fetched = False
            if fetched:
                await self._sleep(self._fresh_seconds - AHEAD_SECONDS)
            else:
                await self._sleep(COOLDOWN_SECONDS if self.available() else START_SECONDS)

    async def close(self) -> None:
        """End a fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _fetch_after_cool_down(self) -> None:
        """Wait for the fetch under way; begin one only if the last began long enough ago."""
        under_way = self._fetching is not None and not self._fetching.done()
        rested = self._tried_at is None or self._monotonic() - self._tried_at >= COOLDOWN_SECONDS
        if under_way or rested:
            await self._fetch()

    async def _fetch(self) -> bool:
        """Join the fetch under way, or begin one. Says whether it brought keys.

        It is a task of its own: a caller who goes away must not take everybody's keys along.
        """
        if self._fetching is None or self._fetching.done():
            self._tried_at = self._monotonic()
            self._fetching = asyncio.create_task(self._take(), name="shapegate-jwks")
        return await asyncio.shield(self._fetching)

    async def _take(self) -> bool:
        asked_at = self._monotonic()
        answer = await self._ask()
        keys = None if answer is None else parse_keys(answer[0])
        if answer is None or keys is None:
            if not self._failing:  # the first of a row is news
                _LOG.warning("the keys at %s cannot be fetched", self._url.with_query(None))
            self._failing = True
            self.failures += 1
            return False
        known, self._failing = self._keys, False
        self._keys = {kid: known[kid] if known.get(kid) == key else key for kid, key in keys.items()}
        self._fetched_at, self._fresh_seconds = asked_at, fresh_seconds(answer[1])
        return True

    async def _ask(self) -> tuple[bytes, str] | None:
        """Return body and Cache-Control of a 200 within the bounds."""
        try:
            async with self._http.get(self._url, timeout=self._timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                body = await answer.content.read(FETCH_BYTES_MAX + 1)
                while len(body) <= FETCH_BYTES_MAX and not answer.content.at_eof():
                    body += await answer.content.read(FETCH_BYTES_MAX + 1)
        except (aiohttp.ClientError, TimeoutError):
            return None
        cache_control = ",".join(answer.headers.getall("cache-control", []))
        return None if len(body) > FETCH_BYTES_MAX else (body, cache_control)


@asynccontextmanager
async def open_published_keys(url: URL, http: aiohttp.ClientSession) -> AsyncIterator[PublishedKeys]:
    """Keep an issuer's keys fresh for the length of the block; the endpoint may be away at the start."""
    keys = PublishedKeys(url, http)
    keeping = asyncio.create_task(keys.keep_fresh())
    try:
        yield keys
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await keys.close()


def fresh_seconds(cache_control: str) -> float:
    """Say for how long a set is used without asking again: what the issuer says, within our bounds."""
    if _MUST_REVALIDATE.search(cache_control):
        return FRESH_SECONDS_MIN
    said = [float(found["seconds"]) for found in _MAX_AGE.finditer(cache_control)]
    return min(max(min(said, default=FRESH_SECONDS_MAX), FRESH_SECONDS_MIN), FRESH_SECONDS_MAX)


def parse_keys(body: bytes) -> Mapping[str, VerificationKey] | None:
    """Read a key set; keys that are unfit to verify are left out. None if the set is malformed or empty."""
    try:
        loaded: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entries = loaded.get("keys") if isinstance(loaded, dict) else None
    if not isinstance(entries, list):
        return None
    keys: dict[str, VerificationKey] = {}
    for entry in entries:
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if isinstance(kid, str) and isinstance(entry, dict) and kid not in keys:
            found = _key(entry)
            if found is not None:
                keys[kid] = found
    return keys or None


def _key(entry: dict[str, object]) -> VerificationKey | None:
    """Bind one key to its algorithm; None if it may not verify, is too weak or of another kind."""
    operations = entry.get("key_ops", ["verify"])
    may_verify = isinstance(operations, list) and "verify" in operations
    if entry.get("use", "sig") != "sig" or not may_verify or "d" in entry:
        return None
    try:
        key = bind(jwt.PyJWK(entry).key)
    except (jwt.PyJWTError, ValueError, TypeError, LookupError, NotImplementedError):
        return None
    return key if key is not None and entry.get("alg", key.algorithm) == key.algorithm else None
