"""Budgets that refill: so many at once, and as many again within each minute. Pure: the clock is given."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")


class Buckets(Generic[K]):
    """One budget for each key; a key that was never charged has its whole budget.

    At most `keys_max` keys are remembered. The one charged longest ago is forgotten first, which gives its
    budget back: nobody is refused for want of memory.
    """

    def __init__(self, *, per_minute: int, keys_max: int, monotonic: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._keys_max = keys_max
        self._monotonic = monotonic
        self._left: OrderedDict[K, tuple[float, float]] = OrderedDict()
        """What was left of a budget, and when that was."""

    def left(self, key: K) -> float:
        """Return what may still be charged; below 1 it is used up."""
        if key not in self._left:
            return float(self._per_minute)
        left, at = self._left[key]
        return min(float(self._per_minute), left + (self._monotonic() - at) * self._per_minute / 60)

    def charge(self, key: K) -> bool:
        """Take one from the budget; say whether it was there."""
        left = self.left(key)
        self._left[key] = max(0.0, left - 1), self._monotonic()
        self._left.move_to_end(key)
        if len(self._left) > self._keys_max:
            self._left.popitem(last=False)
        return left >= 1

    def seconds_until(self, key: K) -> float:
        """Return how long it takes until one may be charged again; 0 if it may be now."""
        return max(0.0, 1 - self.left(key)) * 60 / self._per_minute
