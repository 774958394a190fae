"""Clients' filters that were compiled before: each is read, checked and printed once while it is in use.

Kept for each organization alone, so that how long a filter takes tells nobody what another org asks.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_proxy.policy import compile_filter
from shapegate_proxy.recent import Recent

if TYPE_CHECKING:
    from shapegate_proxy.policy import TablePolicy
    from shapegate_wire.filter import PrintedFilter
    from shapegate_wire.shape import ShapeDefinition

FILTERS_MAX: Final = 4_096
CHARS_MAX: Final = 1_000
"""Longer filters are compiled each time; so all that is kept stays below 20 MB."""

_Key = tuple[str, str, str, tuple[str, ...]]


class CompiledFilters:
    """A bounded memory; the one that was not used for longest makes room."""

    def __init__(self, *, size_max: int = FILTERS_MAX) -> None:
        self._printed: Recent[_Key, PrintedFilter] = Recent(size_max=size_max)

    def __len__(self) -> int:
        return len(self._printed)

    def compile(self, asked: ShapeDefinition, granted: TablePolicy, org: str) -> PrintedFilter | None:
        """See `compile_filter`; one that is refused is not kept."""
        if asked.where is None or len(asked.where) + sum(map(len, asked.params)) > CHARS_MAX:
            return compile_filter(asked, granted, org)
        key = (org, asked.table, asked.where, asked.params)
        printed = self._printed.recall(key)
        if printed is None:
            printed = compile_filter(asked, granted, org)
            assert printed is not None  # there is a `where`
            self._printed.remember(key, printed)
        return printed
