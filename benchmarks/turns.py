"""The order in which targets take turns. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def rotated(items: Sequence[T], number: int) -> tuple[T, ...]:
    """Begin with another item in each turn; in as many turns as there are items, each is in every place."""
    start = number % len(items) if items else 0
    return (*items[start:], *items[:start])
