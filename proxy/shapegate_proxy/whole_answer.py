"""An answer that is all there. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shapegate_proxy.electric import Chunk, Sink


class WholeAnswer:
    """An UpstreamAnswer whose body is known to its end; nothing of it has to be waited for, or closed."""

    __slots__ = ("_chunks", "_taken", "framed", "headers", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], chunks: Sequence[Chunk], *, framed: bool
    ) -> None:
        self.status = status
        self.headers = headers
        self.framed = framed
        self._chunks = chunks
        self._taken = 0

    @property
    def ready(self) -> bool:
        """Whether `next` returns without waiting: always."""
        return True

    def take_whole(self) -> Chunk | None:
        """Take it, if it is in one piece."""
        if len(self._chunks) > 1:
            return None
        self._taken = len(self._chunks)
        return self._chunks[0] if self._chunks else b""

    def pour(self, sink: Sink) -> None:
        """Do nothing: nothing comes any more."""

    async def next(self) -> Chunk:
        """Return the next bytes of the body; none are its end."""
        taken = self._taken
        if taken == len(self._chunks):
            return b""
        self._taken = taken + 1
        return self._chunks[taken]

    def close(self) -> None:
        """Do nothing: it holds nothing."""
