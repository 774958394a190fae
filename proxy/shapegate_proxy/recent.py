"""A bounded memory: what was not used for longest makes room. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, at most `size_max` of them."""

    def __init__(self, *, size_max: int) -> None:
        self._size_max = size_max
        self._by_key: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def recall(self, key: K) -> V | None:
        """Return what is kept of the key; it counts as used now."""
        found = self._by_key.get(key)
        if found is not None:
            self._by_key.move_to_end(key)
        return found

    def remember(self, key: K, value: V) -> None:
        """Keep it, instead of what was kept of the key before."""
        self._by_key[key] = value
        self._by_key.move_to_end(key)
        if len(self._by_key) > self._size_max:
            self._by_key.popitem(last=False)

    def forget(self, key: K) -> None:
        """Keep nothing of the key."""
        self._by_key.pop(key, None)
