"""Asks for the next part of a log while the last one is parsed and taken in.

What will be asked next is guessed from the head of an answer; the state machine decides later, and an
answer is used only for exactly the request that it was asked with. At most one answer is ahead, never a live
one, and none where the rate of requests leaves no room.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shapegate_client.backoff import book, pace_seconds
from shapegate_client.transport import INLINE_BYTES_MAX, Unread
from shapegate_wire.errors import MalformedResponse, MissingHeaders
from shapegate_wire.head import parse_head

if TYPE_CHECKING:
    from shapegate_client.clock import Clock
    from shapegate_client.event import Answer
    from shapegate_client.principal import AccessToken
    from shapegate_client.transport import EventStream, Fetched, OnBytes, Transport
    from shapegate_wire.request import ShapeRequest

AHEAD_BYTES_MIN: Final = INLINE_BYTES_MAX
"""Of smaller answers the next one is asked for in its turn: nothing would be gained."""


@dataclass(frozen=True, slots=True)
class _Ahead:
    """An answer that is on its way before its turn."""

    request: ShapeRequest
    token: AccessToken
    task: asyncio.Task[Fetched]


class Prefetch:
    """Asks on behalf of one shape; used by one task, which drops what is ahead when it goes another way."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._ahead: _Ahead | None = None

    async def ask(
        self, request: ShapeRequest, token: AccessToken, *, booked_until: float, on_bytes: OnBytes
    ) -> tuple[Answer, EventStream | None]:
        """Do what `Transport.ask` does, with the answer that is ahead if it is to this request and token.

        `booked_until` is the instant up to which the requests before this one fill the rate.
        """
        ahead = self._ahead
        if ahead is not None and (ahead.request, ahead.token) == (request, token):
            fetched = await ahead.task
            self._ahead = None
        else:
            await self.drop()
            fetched = await self._transport.fetch(request, token, on_bytes=on_bytes)
        following = request_after(request, fetched) if isinstance(fetched, Unread) else None
        now = self._clock.monotonic()
        if following is not None and not pace_seconds(book(booked_until, now), now):
            fetch = self._transport.fetch(following, token, on_bytes=on_bytes)
            self._ahead = _Ahead(following, token, asyncio.create_task(fetch, name="shapegate-prefetch"))
        return await self._transport.understand(request, fetched)

    async def drop(self) -> None:
        """Give up what is ahead, and wait until its connection is closed; idempotent."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.task.cancel()
            await asyncio.wait([ahead.task])


def request_after(request: ShapeRequest, answer: Unread) -> ShapeRequest | None:
    """Guess what is asked after a large answer to a request; None if nothing is to be asked ahead. Pure.

    Where caches or dead handles are suspected, each answer has a say in the next request, which has its turn.
    """
    suspicious = request.expired_handle is not None or request.cache_buster is not None
    if request.live or suspicious or answer.status != 200 or len(answer.body) <= AHEAD_BYTES_MIN:
        return None
    try:
        head = parse_head(answer.headers, live=False)
    except (MissingHeaders, MalformedResponse):
        return None
    if head.up_to_date or head.offset == request.offset or request.handle not in (None, head.handle):
        return None
    return replace(request, offset=head.offset, handle=head.handle)
