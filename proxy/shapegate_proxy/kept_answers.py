"""Answers that are kept, bounded in number and bytes. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shapegate_proxy.allowed_headers import client_head
from shapegate_proxy.whole_answer import WholeAnswer

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from shapegate_proxy.printed_head import ClientHead

SLICE_BYTES: Final = 768 * 1024
"""A body is handed out in views of this size. uvloop copies nothing of what a slow reader leaves of one;
asyncio's own loop does, so that it has to stay below 1 MB (SECURITY I-22). By 256 KB a third less a second
left on one connection."""
ENTRY_BYTES: Final = 2 * 1024
"""What an entry costs beside its body, its headers and its URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCacheSettings:
    """How much is kept."""

    bytes_max: int = 64 * 1024 * 1024
    entries_max: int = 10_000
    entry_bytes_max: int = 16 * 1024 * 1024
    """More than a chunk of a log, which is some 10 MB."""

    def __post_init__(self) -> None:
        """Raise ValueError for a bound that keeps nothing."""
        if min(self.bytes_max, self.entries_max, self.entry_bytes_max) < 1:
            raise ValueError("the bounds of the cache must be positive")


@dataclass(slots=True, kw_only=True, eq=False)
class KeptAnswer:
    """A whole answer that Electric allows to give again; once `dropped` it must not be given to anyone."""

    key: Hashable = field(repr=False)
    """Of the request: `UpstreamRequest.key`, which holds the secret."""
    shape: bytes
    handle: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    size: int
    """What it costs, in bytes."""
    fresh_until: float
    """On the clock of the cache."""
    dropped: bool = False

    def head(self, *, org_in_url: bool) -> ClientHead:
        """Choose what a client gets of the headers."""
        return client_head(self.status, self.headers, org_in_url=org_in_url, sse=False)

    def valid(self, now: float) -> bool:
        """Whether it may be given to someone at this time."""
        return not self.dropped and now < self.fresh_until

    def answer(self) -> WholeAnswer:
        """Give it to one more reader."""
        body = self.body
        if len(body) <= SLICE_BYTES:
            return WholeAnswer(self.status, self.headers, (body,) if body else (), framed=True)
        view = memoryview(body)
        chunks = [view[at : at + SLICE_BYTES] for at in range(0, len(body), SLICE_BYTES)]
        return WholeAnswer(self.status, self.headers, chunks, framed=True)


class KeptAnswers:
    """The answers by the keys of their requests; what was longest not looked at goes first."""

    def __init__(self, settings: AnswerCacheSettings) -> None:
        self._settings = settings
        self._by_key: OrderedDict[Hashable, KeptAnswer] = OrderedDict()
        self._by_shape: dict[bytes, set[KeptAnswer]] = {}
        self.bytes = 0
        """What all of them cost."""

    def __len__(self) -> int:
        """Count the answers."""
        return len(self._by_key)

    def find(self, key: Hashable, now: float) -> KeptAnswer | None:
        """Look a valid answer up; one that is no longer valid is dropped."""
        kept = self._by_key.get(key)
        if kept is None:
            return None
        if not kept.valid(now):
            self.drop(kept)
            return None
        self._by_key.move_to_end(key)
        return kept

    def keep(self, kept: KeptAnswer) -> None:
        """Keep one, instead of an older one for the same request."""
        older = self._by_key.get(kept.key)
        if older is not None:
            self.drop(older)
        if kept.size > self._settings.bytes_max:
            return
        self._by_key[kept.key] = kept
        self._by_shape.setdefault(kept.shape, set()).add(kept)
        self.bytes += kept.size
        while self.bytes > self._settings.bytes_max or len(self._by_key) > self._settings.entries_max:
            self.drop(next(iter(self._by_key.values())))

    def drop(self, kept: KeptAnswer) -> None:
        """Give it to nobody any more."""
        if kept.dropped:
            return
        kept.dropped = True
        del self._by_key[kept.key]
        of_shape = self._by_shape[kept.shape]
        of_shape.discard(kept)
        if not of_shape:
            del self._by_shape[kept.shape]
        self.bytes -= kept.size

    def drop_shape(self, shape: bytes, *, but: str | None) -> None:
        """Drop every answer of a shape, but those of the handle that is present."""
        for kept in tuple(self._by_shape.get(shape, ())):
            if kept.handle != but:
                self.drop(kept)

    def clear(self) -> None:
        """Drop every one."""
        for kept in tuple(self._by_key.values()):
            self.drop(kept)
