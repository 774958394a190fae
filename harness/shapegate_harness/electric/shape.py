"""One incarnation of a shape: its definition, its log, and who waits for news of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shapegate_harness.electric.log import CHUNK_BYTES, ShapeLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_harness.electric.condition import Condition
    from shapegate_harness.electric.errors import ElectricError
    from shapegate_harness.electric.following import Followed
    from shapegate_harness.electric.log import Entry
    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.rows import Projection
    from shapegate_wire.shape import ShapeDefinition
    from shapegate_wire.visibility import Visibility


class Shape:
    """A followed shape; the engine alone changes it."""

    def __init__(
        self,
        *,
        handle: str,
        definition: ShapeDefinition,
        projection: Projection,
        condition: Condition | None,
        snapshot: Visibility,
        chunk_bytes: int = CHUNK_BYTES,
        followed: Followed | None = None,
    ) -> None:
        self.handle = handle
        self.definition = definition
        self.projection = projection
        self.condition = condition
        self.snapshot = snapshot
        self.followed = followed
        """What it takes to follow the subqueries of the filter; None if there are none."""
        self.log = ShapeLog(chunk_bytes=chunk_bytes)
        self.schema = projection.relation.schema_header(tuple(name for name, _ in projection.selected))
        self.retired = False
        self.failure: ElectricError | None = None
        """Why there will be no snapshot; None if it is there or on its way."""
        self._news = asyncio.Event()

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Every table whose changes concern the shape; its own comes first."""
        return (self.projection.relation,) if self.followed is None else self.followed.relations

    @property
    def news(self) -> asyncio.Event:
        """Set at the next change of anything here; take it before looking, wait for it after."""
        return self._news

    def append(self, entries: Iterable[Entry]) -> None:
        """Add changes; nobody is woken before `announce`."""
        self.log.append(entries)

    def complete(self, chunks: tuple[bytes, ...]) -> None:
        """Take the finished snapshot."""
        self.log.complete_snapshot(chunks)
        self.announce()

    def retire(self, failure: ElectricError | None = None) -> None:
        """End this incarnation; its handle is never served again. Idempotent."""
        if not self.retired:
            self.retired = True
            self.failure = failure
            self.announce()

    def announce(self) -> None:
        """Wake everyone who waits for news."""
        news, self._news = self._news, asyncio.Event()
        news.set()
