"""One client's connection, on aiohttp: how much of it is read, and how long it may leave an answer lie.

A head is bounded in size and as a whole, what cannot be read is answered in JSON without quoting it, after
which the connection ends (SECURITY I-08, I-10, I-19; REQUIREMENTS P-52).
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD

from shapegate_proxy import answers
from shapegate_proxy.errors import (
    HeadersTooLarge,
    InternalError,
    Refused,
    RequestTooLong,
    UnreadableRequest,
)
from shapegate_proxy.logs import LogEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.http_parser import HttpParser, RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_request import BaseRequest

    Message = tuple[RawRequestMessage, StreamReader]

LINE_BYTES_MAX: Final = 32 * 1024
"""Above the gate's own bound on request targets, so that the gate answers most of them (DESIGN 13)."""
FIELD_BYTES_MAX: Final = 16 * 1024
"""One header; above the longest token, so that the gate says what is wrong with it."""
FIELDS_MAX: Final = 100
HEAD_BYTES_MAX: Final = 64 * 1024
"""Line and headers together; what it is read into takes twice as much, for anybody who connects."""
PIECE_BYTES: Final = 8 * 1024
"""How much of a head is read before its size is looked at."""
WAITING_MAX: Final = 2
"""Pipelined requests that wait behind the one under way before no more is read; aiohttp's own are 32."""


class HeadTooLarge(HttpProcessingError):
    """A head that has more bytes than are read."""

    code = 431
    message = "head too large"


class Connection(web.RequestHandler):
    """One connection; what aiohttp would answer by itself is answered as the gate does."""

    def __init__(
        self, server: web.Server, *, origins: frozenset[str], stall_seconds: float, **settings: Any
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
            auto_decompress=False,
            **settings,
        )
        assert self._parser is not None  # made by aiohttp just now
        self._parser = _BoundedParser(self._parser)  # type: ignore[assignment]  # has all that is called
        # aiohttp has no setting for these.
        self._max_msg_queue_size, self._msg_queue_resume_size = WAITING_MAX, WAITING_MAX - 1
        self._origins = origins
        self._stall_seconds = stall_seconds
        self._stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Begin to wait for the client to take something of its answer."""
        super().pause_writing()
        self._stalled = self._loop.call_later(self._stall_seconds, self._cut)

    def resume_writing(self) -> None:
        """End to wait: it did."""
        self._forget_stall()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of the timer."""
        self._forget_stall()
        super().connection_lost(exc)

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,  # noqa: ARG002  # the exception says more
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # quotes what was sent
    ) -> web.StreamResponse:
        """Answer what the parser could not read, or what escaped every handler, and close."""
        refused = _unreadable(exc)
        if isinstance(refused, InternalError):
            self.log_exception("An error escaped the boundary", exc_info=exc)
        else:
            self.logger.info(LogEvent(name="request_unreadable", fields={"code": refused.code}))
            if exc is not None:
                exc.__traceback__ = None  # its frames hold what was read, and each other
        if request.writer.output_size > 0:
            raise ConnectionError("An answer is under way: it can only be broken off")
        response = refusal(refused, self._origins, request)
        response.force_close()
        return response


class _BoundedParser:
    """aiohttp's parser with a bound on a head as a whole; its own are for each line of one."""

    def __init__(self, parser: HttpParser[RawRequestMessage]) -> None:
        self._parser = parser
        self._head_bytes = 0
        """Of a head that is not complete."""
        self._body: StreamReader = EMPTY_PAYLOAD
        """The body behind the last complete head."""
        self._broken = False
        """Whether something could not be read; what comes after it is not looked at."""

    def feed_data(self, data: bytes) -> tuple[list[Message], bool, bytes]:
        """Read what came. Raises HttpProcessingError for what is no request, or too large a one."""
        found: list[Message] = []
        if self._broken:
            return found, False, b""
        for start in range(0, len(data) or 1, PIECE_BYTES):
            more, upgraded, tail = self._feed(data[start : start + PIECE_BYTES])
            found += more
            if upgraded:
                return found, True, tail + data[start + PIECE_BYTES :]
        return found, False, b""

    def _feed(self, piece: bytes) -> tuple[Sequence[Message], bool, bytes]:
        if self._body.is_eof():
            self._head_bytes += len(piece)
        try:
            if self._head_bytes > HEAD_BYTES_MAX:
                raise HeadTooLarge
            found, upgraded, tail = self._parser.feed_data(piece)
            for message, _ in found:
                message.url.host  # noqa: B018  # aiohttp reads it where an error would leave the connection alone
        except HttpProcessingError:
            self._broken = True
            raise
        except (ValueError, LookupError) as exc:  # yarl's, of a target that is a URL and none
            self._broken = True
            raise BadHttpMessage("a target that is no URL") from exc
        if found:
            self._head_bytes, self._body = 0, found[-1][1]
        return found, upgraded, tail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def _unreadable(exc: BaseException | None) -> Refused:
    match exc:
        case LineTooLong(args=(_, limit, *_)) if limit == LINE_BYTES_MAX:
            return RequestTooLong(f"The request line is longer than {LINE_BYTES_MAX} bytes")
        case LineTooLong():
            return HeadersTooLarge(f"A header is longer than {FIELD_BYTES_MAX} bytes")
        case HeadTooLarge():
            return HeadersTooLarge(f"The head of the request is longer than {HEAD_BYTES_MAX} bytes")
        case BadHttpMessage(message=message) if message.startswith("Too many headers"):
            return HeadersTooLarge(f"The request has more than {FIELDS_MAX} headers")
        case HttpProcessingError():
            return UnreadableRequest("This is no HTTP request that the gate reads")
        case _:
            return InternalError("Something went wrong inside of the gate")


def refusal(refused: Refused, origins: frozenset[str], request: BaseRequest) -> web.Response:
    """Print a refusal; where the head was not read, the one page that may ask is taken for the asking one."""
    origin = request.headers.get("origin") or (next(iter(origins)) if len(origins) == 1 else None)
    request_id = uuid.uuid4().hex
    return web.Response(
        status=refused.status,
        body=answers.error_body(refused, request_id),
        content_type="application/json",
        headers={
            **answers.cors_headers(origin, origins),
            **answers.plain_headers(request_id),
            "cache-control": answers.NO_STORE,
        },
    )
