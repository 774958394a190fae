"""The news of a shape as a stream of events (PROTOCOL 3.6; recorded).

A reader that does not read is not buffered for: what it is sent next is taken from the shape's log only when
the last of it is gone, and after a while of that it is cut off.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from shapegate_harness.electric import answer
from shapegate_harness.electric.log import LogPage
from shapegate_harness.electric.reply import METHODS, reply, response_headers, with_cors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from shapegate_harness.electric.answer import Answer
    from shapegate_harness.electric.settings import ElectricSettings
    from shapegate_harness.electric.shape import Shape
    from shapegate_wire.offset import Offset

KEEP_ALIVE: Final = (b": keep-alive\n\n",)

Event = tuple[bytes, ...]
"""The pieces of one event; Electric sends each as an HTTP chunk of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """An answer whose body goes on."""

    head: Answer
    shape: Shape
    after: Offset
    backlog: LogPage | None
    """What the asker missed; then it is all that is sent."""


def data(message: bytes) -> Event:
    """Print a message as an event."""
    return (b"data: ", message, b"\n\n")


def page_events(page: LogPage) -> Iterable[Event]:
    """Print a page; where nothing comes after it, its end is told: the shape's own, not the server's."""
    for message in page.messages:
        yield data(message)
    if page.up_to_date:
        yield data(answer.up_to_date(page.offset.lsn))


async def events(stream: EventStream, *, settings: ElectricSettings) -> AsyncGenerator[Event, None]:
    """Yield what a reader gets, until its time is over or the shape ends."""
    clock = asyncio.get_running_loop().time
    closes_at = clock() + settings.sse_seconds
    if stream.backlog is not None:
        for event in page_events(stream.backlog):
            yield event
        return
    after, silent_until = stream.after, clock() + settings.sse_keep_alive_seconds
    while clock() < closes_at and not stream.shape.retired:
        news, page = stream.shape.news, stream.shape.log.page(after)
        if isinstance(page, LogPage) and page.messages:
            for event in page_events(page):
                yield event
            after, silent_until = page.offset, clock() + settings.sse_keep_alive_seconds
        elif not await wait_until(news, min(silent_until, closes_at)) and clock() < closes_at:
            yield KEEP_ALIVE
            silent_until = clock() + settings.sse_keep_alive_seconds


async def send(
    request: web.Request, head: Answer, found: AsyncGenerator[Event, None], *, send_seconds: float
) -> web.StreamResponse:
    """Send a stream to its end; a reader that takes nothing for too long is cut off."""
    completed = with_cors(request, METHODS, head)
    if request.method == hdrs.METH_HEAD:
        return reply(request, completed)
    response = web.StreamResponse(status=head.status, headers=response_headers(request, completed))
    response.enable_chunked_encoding()
    await response.prepare(request)
    async with aclosing(found):
        try:
            async for event in found:
                async with asyncio.timeout(send_seconds):
                    for piece in event:
                        await response.write(piece)
            async with asyncio.timeout(send_seconds):
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionResetError:
            pass  # the reader left while something was written to it
    return response


async def wait_until(news: asyncio.Event, until: float) -> bool:
    """Wait for news until a moment of the loop's clock; say whether there is any."""
    try:
        async with asyncio.timeout_at(until):
            await news.wait()
    except TimeoutError:
        return False
    return True
