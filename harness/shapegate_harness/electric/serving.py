"""One request for a log, from the asked position to an answer (PROTOCOL 1.3, 4.4; recorded)."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, assert_never

from shapegate_harness.electric import answer
from shapegate_harness.electric.answer import Answer, Served
from shapegate_harness.electric.errors import Unavailable, rejected
from shapegate_harness.electric.log import ChunkPage, LogPage, NotReady, OutOfBounds, Page
from shapegate_wire import names
from shapegate_wire.offset import BEFORE_ALL, Now, Offset

if TYPE_CHECKING:
    from shapegate_harness.electric.engine import Engine
    from shapegate_harness.electric.query import Asked
    from shapegate_harness.electric.settings import ElectricSettings
    from shapegate_harness.electric.shape import Shape


class Serving:
    """Answers requests from the shapes of one engine."""

    def __init__(self, engine: Engine, settings: ElectricSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._unique = itertools.count(1)
        self.held = 0
        """Live requests that wait for news right now."""

    async def serve(self, asked: Asked, *, if_none_match: str | None) -> Answer:
        """Answer one request. Raises Rejected, Failed, Unavailable."""
        shape = await self._engine.shape(asked)
        if isinstance(asked.offset, Now):
            return self._quiet(asked, shape, if_none_match)
        if asked.offset != BEFORE_ALL and asked.handle != shape.handle:
            return answer.must_refetch(shape.handle)
        page: ChunkPage | LogPage | None = await self._page(shape, asked.offset)
        if isinstance(page, LogPage) and not page.messages and asked.live:
            page = await self._news(shape, asked.offset)
        if shape.retired:
            return self._gone(shape)
        if page is None:
            return self._quiet(asked, shape, if_none_match)
        return self._found(asked, shape, page, if_none_match)

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
                        return LogPage(messages=(), offset=after)
                case _:
                    assert_never(page)
            until = bounds_until if isinstance(page, OutOfBounds) else snapshot_until
            if not await _wait(news, until):
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
                if not await _wait(news, until):
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
                end = answer.up_to_date(self._engine.last_lsn)
                body = b"[" + b",".join((*page.messages, end)) + b"]"
            case _:
                assert_never(page)
        served = Served(
            handle=shape.handle,
            schema=shape.schema,
            asked=asked.offset,
            offset=page.offset,
            live=asked.live,
            up_to_date=isinstance(page, LogPage),
            has_data=True,
            cursor=self._cursor(asked),
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


async def _wait(news: asyncio.Event, until: float) -> bool:
    """Wait for news until a moment of the loop's clock; say whether there is any."""
    try:
        async with asyncio.timeout_at(until):
            await news.wait()
    except TimeoutError:
        return False
    return True
