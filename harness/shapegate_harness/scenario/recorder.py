"""Every shape request that the gate answered, kept in order, so that a check can ask what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapegate_proxy.observe import ShapeServed


class Recorder:
    """An observer of the gate that remembers."""

    def __init__(self) -> None:
        self._events: list[ShapeServed] = []

    def served(self, event: ShapeServed) -> None:
        """Keep the event."""
        self._events.append(event)

    @property
    def mark(self) -> int:
        """The present end, to be given to `since`."""
        return len(self._events)

    def since(self, mark: int, *, user: str) -> tuple[ShapeServed, ...]:
        """Return what this user asked after the mark, in order."""
        return tuple(event for event in self._events[mark:] if event.user == user)
