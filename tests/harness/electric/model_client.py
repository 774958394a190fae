"""Clients that fold a shape's log over long poll or server-sent events, and note every state they show."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shapegate_wire.offset import BEFORE_ALL, Offset, parse_offset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import aiohttp

    from tests.harness.electric.random_program import Followed

Row = dict[str, str | None]

_RETRY_SECONDS: Final = 0.01
"""How soon a client tries again while Postgres is away."""


@dataclass(slots=True)
class ModelClient:
    """One follower of one shape; `follow` runs until it is cancelled."""

    url: str
    followed: Followed
    session: aiohttp.ClientSession
    rows: dict[str, Row] = field(default_factory=dict)
    offset: Offset = BEFORE_ALL
    handle: str | None = None
    live: bool = False
    shown: list[str] = field(default_factory=list)
    """The state at every up-to-date."""
    shown_keys: frozenset[str] = frozenset()
    """The keys of the last state that was shown."""
    rotations: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, *, events: bool) -> None:
        """Follow for ever, over server-sent events where there is nothing to catch up with."""
        while True:
            if events and self.live:
                await self._stream()
            else:
                await self._poll()

    async def reach(self, key: str) -> None:
        """Return once a row whose key ends so was shown."""
        # What a chunk before the up-to-date brought is held, but not shown yet.
        while not any(shown.endswith(key) for shown in self.shown_keys):
            self.news.clear()
            await self.news.wait()

    def _query(self) -> Mapping[str, str]:
        position = {"offset": str(self.offset)}
        if self.handle is not None:
            position["handle"] = self.handle
        if self.live:
            position["live"] = "true"
        return {**self.followed.query, **position}

    async def _poll(self) -> None:
        async with self.session.get(f"{self.url}/v1/shape", params=self._query()) as response:
            if await self._is_refused(response):
                return
            for message in await response.json():
                self._fold(self.rows, message)
            self._advance(response)
            self.live = "electric-up-to-date" in response.headers
            if self.live:
                self._show()

    async def _stream(self) -> None:
        """Take an event stream to its end; what comes after the last up-to-date will come again."""
        query = {**self._query(), "live_sse": "true"}
        async with self.session.get(f"{self.url}/v1/shape", params=query) as response:
            if await self._is_refused(response):
                return
            assert response.content_type == "text/event-stream"
            if "electric-up-to-date" not in response.headers:
                # There is more than a chunk to catch up with: such a stream ends without an up-to-date.
                self.live = False
                return
            held = {key: dict(row) for key, row in self.rows.items()}
            end = parse_offset(response.headers["electric-offset"])
            assert isinstance(end, Offset)
            async for message in _events(response):
                headers = message["headers"]
                assert isinstance(headers, dict)
                self._fold(held, message)
                if "lsn" in headers:
                    end = max(end, Offset(int(headers["lsn"]), headers["op_position"]))
                if headers.get("control") == "up-to-date":
                    self.rows = {key: dict(row) for key, row in held.items()}
                    self.offset = max(end, Offset(int(headers["global_last_seen_lsn"]), 0))
                    self._show()

    async def _is_refused(self, response: aiohttp.ClientResponse) -> bool:
        if response.status == 409:
            self.rotations += 1
            self.rows, self.offset, self.handle, self.live = {}, BEFORE_ALL, None, False
        elif response.status == 503:
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            assert response.status == 200, await response.text()
            return False
        return True

    def _advance(self, response: aiohttp.ClientResponse) -> None:
        offset = parse_offset(response.headers["electric-offset"])
        assert isinstance(offset, Offset)
        self.offset, self.handle = offset, response.headers["electric-handle"]

    def _show(self) -> None:
        state = self.followed.state(self.rows)
        if not self.shown or self.shown[-1] != state:
            self.shown.append(state)
        self.shown_keys = frozenset(self.rows)
        self.news.set()

    def _fold(self, rows: dict[str, Row], message: Mapping[str, object]) -> None:
        headers, key, value = message["headers"], message.get("key"), message.get("value")
        assert isinstance(headers, dict)
        if "operation" not in headers:
            return
        assert isinstance(key, str)
        assert isinstance(value, dict)
        match headers["operation"]:
            case "insert":
                rows[key] = value
            case "update":
                rows[key] = rows[key] | value
            case "delete":
                rows.pop(key, None)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, object]]:
    async for line in response.content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))
