"""Answers that Electric allows to give again, kept in memory by the request that they answer.

Kept are whole answers to plain parts of a log: never live ones, subsets, conditional ones, or any other
status than 200. The key is all that Electric was asked, the scope's values among them, so no answer reaches
another org, or another user where the scope names the user. When Electric says to anyone that a log is gone,
no answer of it is given again, nor one that is being received at that moment.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from shapegate_proxy.allowed_headers import client_headers
from shapegate_proxy.answer_head import AnswerHeaders
from shapegate_proxy.errors import UpstreamFault
from shapegate_proxy.freshness import fresh_seconds
from shapegate_proxy.kept_answers import ENTRY_BYTES, AnswerCacheSettings, KeptAnswer, KeptAnswers
from shapegate_proxy.rotations import Rotations, shape_of
from shapegate_proxy.shared_body import PIECE_BYTES
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from shapegate_proxy.electric import (
        Begun,
        Chunk,
        Deliver,
        ElectricState,
        Sink,
        UpstreamAnswer,
        UpstreamClient,
        Watcher,
    )
    from shapegate_proxy.upstream import UpstreamRequest

GONE: Final = frozenset({400, 404, 409, 410})
"""Statuses after which nothing kept of the shape is given: its log, its table or its columns changed."""
FILL_SECONDS_MAX: Final = 10.0
"""A reader who takes longer to its end keeps others no longer from filling in its place."""
FILLS_MAX: Final = 2
"""So many of the largest entries may be under way; beyond that the oldest is given up, not the newest."""


class AnswerCache:
    """A client that gives kept answers again, and asks another client for the others.

    At most it holds `bytes_max`, twice `entry_bytes_max` of answers under way, and once that to join one.
    """

    def __init__(
        self,
        client: UpstreamClient,
        settings: AnswerCacheSettings | None = None,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._settings = settings or AnswerCacheSettings()
        self._monotonic = monotonic
        self._kept = KeptAnswers(self._settings)
        self._rotations = Rotations()
        self._fills: dict[Hashable, _Fill] = {}
        self._filling_bytes = 0

    @property
    def bytes(self) -> int:
        """What the kept answers cost in memory."""
        return self._kept.bytes

    @property
    def entries(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def peek(self, request: UpstreamRequest) -> KeptAnswer | None:
        """Look up an answer that may be given now; who holds on to it asks `valid` before each use."""
        return self._kept.find(request.key, self._monotonic())

    def begin(self, request: UpstreamRequest) -> Begun | None:
        """Ask for an answer, and keep it while its reader takes it; a kept or a live one is for `ask`."""
        asked_at = self._monotonic()
        if request.live or self._kept.find(request.key, asked_at) is not None:
            return None
        since = self._rotations.count
        begun = self._client.begin(request)
        return None if begun is None else _Begun(self, request, asked_at, since, begun)

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        """Give a kept answer, or ask for one and keep it while its reader takes it."""
        if request.live:
            noted = None if deliver is None else partial(self._deliver_noted, request, deliver)
            return self._noted(request, await self._client.ask(request, noted))
        asked_at = self._monotonic()
        kept = self._kept.find(request.key, asked_at)
        if kept is not None:
            return kept.answer()
        since = self._rotations.count
        delivered: list[UpstreamAnswer] = []

        def pass_on(answer: UpstreamAnswer) -> None:
            delivered.append(self.filling(request, answer, asked_at, since))
            if deliver is not None:
                deliver(delivered[0])

        try:
            answer = await self._client.ask(request, None if deliver is None else pass_on)
        except BaseException:
            for left in delivered:  # Nobody else knows of it who could close it.
                left.close()
            raise
        return delivered[0] if delivered else self.filling(request, answer, asked_at, since)

    def filling(
        self, request: UpstreamRequest, answer: UpstreamAnswer, asked_at: float, since: int
    ) -> UpstreamAnswer:
        """Let the reader of an answer fill the cache by taking it, if it may be kept."""
        if answer.status == 200:
            fill = self._begin(request, answer, asked_at, since)
            return answer if fill is None else _FillingAnswer(self, answer, fill)
        return self._noted(request, answer)

    def _deliver_noted(self, request: UpstreamRequest, deliver: Deliver, answer: UpstreamAnswer) -> None:
        deliver(self._noted(request, answer))

    def _noted(self, request: UpstreamRequest, answer: UpstreamAnswer) -> UpstreamAnswer:
        if answer.status in GONE:
            self._gone(request, answer)
        return answer

    async def state(self) -> ElectricState:
        """Ask how Electric is; never raises."""
        return await self._client.state()

    async def close(self) -> None:
        """Drop every answer, and close the client."""
        for fill in tuple(self._fills.values()):
            self._give_up(fill)
        self._kept.clear()
        await self._client.close()

    def _gone(self, request: UpstreamRequest, answer: UpstreamAnswer) -> None:
        """Drop what is kept of a shape; a 409 names the log that is present, and what is of it stays.

        So the 409s of many readers of one old log do not drop what the first of them fetched of the new one.
        A 409 that names the handle it refuses says nothing that could be relied on.
        """
        present = answer.headers.get(names.ELECTRIC_HANDLE) if answer.status == 409 else None
        if present == request.url.query.get(names.HANDLE):
            present = None
        shape = shape_of(request.url)
        self._rotations.tell(shape, present=present)
        self._kept.drop_shape(shape, but=present)

    def _begin(
        self, request: UpstreamRequest, answer: UpstreamAnswer, asked_at: float, since: int
    ) -> _Fill | None:
        """Decide whether an answer of 200 is kept once it is whole; None if not, or if another one is."""
        seconds = fresh_seconds(answer.headers)
        if seconds <= 0 or not answer.framed or not _may_be_kept(request):
            return None
        if not _may_be_passed_on(answer.headers, self._settings.entry_bytes_max):
            return None
        filling = self._fills.get(request.key)
        if filling is not None:
            if asked_at - filling.asked_at < FILL_SECONDS_MAX:
                return None
            self._give_up(filling)
        headers = AnswerHeaders()
        for name, value in answer.headers.items():
            headers.setdefault(name.lower(), value)
        fill = _Fill(request, headers, asked_at, asked_at + seconds, since)
        self._fills[request.key] = fill
        return fill

    def _take(self, fill: _Fill, chunk: Chunk) -> None:
        """Add bytes to a fill under way; one that gets too large is given up, or the oldest if all are."""
        # A view may be a small part of a large buffer, which it would keep.
        fill.chunks.append(chunk if isinstance(chunk, bytes) else bytes(chunk))
        cost = len(chunk) + PIECE_BYTES
        fill.size += cost
        self._filling_bytes += cost
        if fill.size > self._settings.entry_bytes_max:
            self._give_up(fill)
        while self._filling_bytes > FILLS_MAX * self._settings.entry_bytes_max:
            self._give_up(next(iter(self._fills.values())))

    def _finish(self, fill: _Fill) -> None:
        """Keep what is whole now, unless its log is gone or its time is over."""
        request, handle = fill.request, fill.headers[names.ELECTRIC_HANDLE]
        shape = shape_of(request.url)
        if self._rotations.allow(shape, handle, since=fill.since) and self._monotonic() < fill.fresh_until:
            body = b"".join(fill.chunks)
            told = sum(len(name) + len(value) for name, value in fill.headers.items())
            self._kept.keep(
                KeptAnswer(
                    key=request.key,
                    shape=shape,
                    handle=handle,
                    status=200,
                    headers=fill.headers,
                    body=body,
                    size=len(body) + told + len(str(request.url)) + ENTRY_BYTES,
                    fresh_until=fill.fresh_until,
                )
            )
        self._give_up(fill)

    def _give_up(self, fill: _Fill) -> None:
        """Forget a fill; the reader of its answer does not notice. May be called again."""
        if self._fills.get(fill.request.key) is fill:
            del self._fills[fill.request.key]
            self._filling_bytes -= fill.size
        fill.under_way = False
        fill.chunks.clear()


def _may_be_kept(request: UpstreamRequest) -> bool:
    """Say whether answers to such a request are ever kept.

    A cache buster is random, so nobody asks the same again; to keep its answers would only drop others.
    """
    return (
        request.method == "GET"
        and request.body is None
        and not request.live
        and not request.sse
        and all(name != "if-none-match" for name, _ in request.headers)
        and f"&{names.CACHE_BUSTER}=" not in f"&{request.url.raw_query_string}"
    )


def _may_be_passed_on(headers: Mapping[str, str], bytes_max: int) -> bool:
    """Say whether a client could be given this at all; a fault is not kept."""
    if names.ELECTRIC_HANDLE not in headers:
        return False
    try:
        checked = client_headers(200, headers, org_in_url=False, sse=False)
    except UpstreamFault:
        return False
    return int(checked.get("content-length", "0")) <= bytes_max


class _Fill:
    """An answer that is being received, and is kept if it comes to its end in time."""

    __slots__ = ("asked_at", "chunks", "fresh_until", "headers", "request", "since", "size", "under_way")

    def __init__(
        self,
        request: UpstreamRequest,
        headers: Mapping[str, str],
        asked_at: float,
        fresh_until: float,
        since: int,
    ) -> None:
        self.request = request
        self.headers = headers
        self.asked_at = asked_at
        self.fresh_until = fresh_until
        self.since = since
        """How many rotations were told when it was asked for."""
        self.chunks: list[bytes] = []
        self.size = 0
        self.under_way = True


class _FillingAnswer:
    """An answer whose reader fills the cache by taking it."""

    __slots__ = ("_answer", "_cache", "_fill", "framed", "headers", "status")

    def __init__(self, cache: AnswerCache, answer: UpstreamAnswer, fill: _Fill) -> None:
        self._cache = cache
        self._answer = answer
        self._fill = fill
        self.status = answer.status
        self.headers = answer.headers
        self.framed = answer.framed

    @property
    def ready(self) -> bool:
        return self._answer.ready

    def take_whole(self) -> Chunk | None:
        """See the port."""
        body = self._answer.take_whole()
        fill = self._fill
        if body is not None and fill.under_way:
            if body:
                self._cache._take(fill, body)
            if fill.under_way:
                self._cache._finish(fill)
        return body

    def pour(self, sink: Sink) -> None:
        """See the port."""

        def kept(chunk: Chunk) -> bool:
            if not sink(chunk):
                return False
            if self._fill.under_way:
                self._cache._take(self._fill, chunk)
            return True

        self._answer.pour(kept)

    async def next(self) -> Chunk:
        """See the port."""
        chunk = await self._answer.next()
        fill = self._fill
        if fill.under_way:
            if chunk:
                self._cache._take(fill, chunk)
            else:
                self._cache._finish(fill)
        return chunk

    def close(self) -> None:
        self._cache._give_up(self._fill)
        self._answer.close()


class _Begun:
    """A request under way whose answer may be kept."""

    __slots__ = ("_asked_at", "_begun", "_cache", "_delivered", "_request", "_since", "_watcher")

    def __init__(
        self, cache: AnswerCache, request: UpstreamRequest, asked_at: float, since: int, begun: Begun
    ) -> None:
        self._cache = cache
        self._request = request
        self._asked_at = asked_at
        self._since = since
        self._begun = begun
        self._watcher: Watcher | None = None
        """Dropped once it is not called any more: whoever is called holds this too."""
        self._delivered: UpstreamAnswer | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell what becomes of it while nobody waits."""
        self._watcher = watcher
        self._begun.watch(self)

    def deliver(self, answer: UpstreamAnswer) -> None:
        """Pass an answer on that is all there, with the cache as its second reader."""
        self._delivered = self._filling(answer)
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.deliver(self._delivered)

    def stuck(self) -> None:
        """Pass on that it was none."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stuck()

    async def answer(self) -> UpstreamAnswer:
        """Wait for the head."""
        self._watcher = None
        if self._delivered is None:
            self._delivered = self._filling(await self._begun.answer())
        return self._delivered

    def leave(self) -> None:
        """Want nothing any more."""
        self._watcher = None
        if self._delivered is not None:
            self._delivered.close()
        else:
            self._begun.leave()

    def _filling(self, answer: UpstreamAnswer) -> UpstreamAnswer:
        return self._cache.filling(self._request, answer, self._asked_at, self._since)
