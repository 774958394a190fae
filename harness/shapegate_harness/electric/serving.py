"""One request for a shape, from the asked position to an answer (PROTOCOL 1.3, 4.4; recorded)."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, assert_never

from shapegate_harness.electric import answer
from shapegate_harness.electric.answer import Answer, Served
from shapegate_harness.electric.creation import check_columns
from shapegate_harness.electric.errors import Unavailable, rejected
from shapegate_harness.electric.log import ChunkPage, LogPage, NotReady, OutOfBounds, Page
from shapegate_harness.electric.sse import Event, EventStream, events, wait_until
from shapegate_harness.electric.subset_rows import Changed, read_subset
from shapegate_wire import names
from shapegate_wire.offset import BEFORE_ALL, SNAPSHOT_START, Now, Offset

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from shapegate_harness.electric.engine import Engine
    from shapegate_harness.electric.query import Asked
    from shapegate_harness.electric.settings import ElectricSettings
    from shapegate_harness.electric.shape import Shape
    from shapegate_harness.electric.subset import Subset


class Serving:
    """Answers requests from the shapes of one engine."""

    def __init__(self, engine: Engine, settings: ElectricSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._unique = itertools.count(1)
        self.held = 0
        """Live requests that wait for news right now."""

    async def serve(self, asked: Asked, *, if_none_match: str | None) -> Answer | EventStream:
        """Answer one request. Raises Rejected, RejectedSubset, Failed, Unavailable."""
        shape = await self._engine.shape(asked)
        if asked.queryable is not None:
            # It is no part of what makes a shape, so it is checked at every request for it.
            check_columns(asked, shape.projection.relation)
        has_position = isinstance(asked.offset, Offset) and asked.offset != BEFORE_ALL
        if has_position and asked.handle != shape.handle:
            return answer.must_refetch(shape.handle)
        if asked.subset is not None:
            return await self._subset(asked, asked.subset, shape)
        if isinstance(asked.offset, Now):
            return self._quiet(asked, shape, if_none_match)
        page: ChunkPage | LogPage | None = await self._page(shape, asked.offset)
        if isinstance(page, LogPage) and asked.sse and not shape.retired:
            return self._events(asked, shape, page, if_none_match)
        if isinstance(page, LogPage) and not page.messages and asked.live:
            page = await self._news(shape, asked.offset)
        if shape.retired:
            return self._gone(shape)
        if page is None:
            return self._quiet(asked, shape, if_none_match)
        return self._found(asked, shape, page, if_none_match)

    async def events(self, stream: EventStream) -> AsyncGenerator[Event, None]:
        """Yield what the reader of a stream gets; it counts as held meanwhile."""
        self.held += 1
        try:
            found = events(stream, settings=self._settings)
            async with aclosing(found):
                async for event in found:
                    yield event
        finally:
            self.held -= 1

    async def _subset(self, asked: Asked, subset: Subset, shape: Shape) -> Answer:
        """Read rows on demand; the offset is the one that the log would have given."""
        offset = shape.log.end if isinstance(asked.offset, Now) else SNAPSHOT_START
        if isinstance(asked.offset, Offset) and asked.offset != BEFORE_ALL:
            offset = (await self._page(shape, asked.offset)).offset
        if shape.retired:
            return self._gone(shape)
        found = await read_subset(
            self._engine.database, shape, subset, queryable=asked.queryable, settings=self._settings
        )
        if isinstance(found, Changed):
            shape.retire()
            return self._gone(shape)
        schema = None if asked.live else shape.schema
        return answer.subset_answer(handle=shape.handle, offset=offset, schema=schema, body=found)

    def _events(
        self, asked: Asked, shape: Shape, page: LogPage, if_none_match: str | None
    ) -> Answer | EventStream:
        head = self._found(asked, shape, page, if_none_match)
        if head.status != HTTPStatus.OK:
            return head
        return EventStream(
            head=replace(head, body=b""),
            shape=shape,
            after=page.offset,
            backlog=page if page.messages else None,
        )

    async def _page(self, shape: Shape, after: Offset) -> ChunkPage | LogPage:
        """Find what is after an offset; wait for a snapshot on its way, and some time for a log behind."""
        loop = asyncio.get_running_loop()
        snapshot_until = loop.time() + self._settings.snapshot_seconds
        bounds_until = loop.time() + self._settings.long_poll_seconds / 2
        while True:
            news = shape.news
            page: Page = shape.log.page(after)
            match page:
                case ChunkPage() | LogPage():
                    return page
                case NotReady() | OutOfBounds():
                    if shape.retired:
                        return LogPage(messages=(), offset=after, up_to_date=False)
                case _:
                    assert_never(page)
            until = bounds_until if isinstance(page, OutOfBounds) else snapshot_until
            if not await wait_until(news, until):
                if isinstance(page, OutOfBounds):
                    raise rejected(names.OFFSET, "out of bounds for this shape")
                raise Unavailable("Snapshot creation failed", retry_after_seconds=10)

    async def _news(self, shape: Shape, after: Offset) -> LogPage | None:
        """Hold a live request until its shape has news; None if the time is over."""
        until = asyncio.get_running_loop().time() + self._settings.long_poll_seconds
        self.held += 1
        try:
            while True:
                news = shape.news
                page = shape.log.page(after)
                if shape.retired:
                    return None
                if isinstance(page, LogPage) and page.messages:
                    return page
                if not await wait_until(news, until):
                    return None
        finally:
            self.held -= 1

    def _gone(self, shape: Shape) -> Answer:
        if shape.failure is not None:
            raise shape.failure
        if not self._engine.active:
            raise self._engine.away()
        return answer.must_refetch(None)

    def _quiet(self, asked: Asked, shape: Shape, if_none_match: str | None) -> Answer:
        """Answer without data: at `now`, or when a live request was held for nothing."""
        served = Served(
            handle=shape.handle,
            schema=shape.schema,
            asked=asked.offset,
            offset=shape.log.end,
            live=asked.live,
            up_to_date=True,
            has_data=False,
            cursor=self._cursor(asked),
            unique=next(self._unique),
        )
        body = b"[" + answer.up_to_date(self._engine.last_lsn) + b"]"
        return answer.log_answer(served, body, if_none_match=if_none_match)

    def _found(
        self, asked: Asked, shape: Shape, page: ChunkPage | LogPage, if_none_match: str | None
    ) -> Answer:
        match page:
            case ChunkPage():
                body = page.body
            case LogPage():
                end = (answer.up_to_date(self._engine.last_lsn),) if page.up_to_date else ()
                body = b"[" + b",".join((*page.messages, *end)) + b"]"
            case _:
                assert_never(page)
        served = Served(
            handle=shape.handle,
            schema=shape.schema,
            asked=asked.offset,
            offset=page.offset,
            live=asked.live,
            up_to_date=isinstance(page, LogPage) and page.up_to_date,
            has_data=True,
            cursor=self._cursor(asked),
            events=asked.sse and isinstance(page, LogPage),
        )
        return answer.log_answer(served, body, if_none_match=if_none_match)

    def _cursor(self, asked: Asked) -> str | None:
        if not asked.live:
            return None
        return answer.next_cursor(
            asked.cursor,
            now=self._settings.now(),
            long_poll_seconds=self._settings.long_poll_seconds,
            jitter=self._settings.jitter,
        )
