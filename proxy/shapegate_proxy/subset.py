"""The subset of a shape's rows that a client asks for, printed anew. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_proxy.errors import FilterNotAccepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.request import SubsetRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfinedSubset:
    """A subset printed from trees; it narrows the confined shape and never stands alone."""

    where: str | None
    params: tuple[str, ...]
    order_by: str | None
    limit: int | None
    offset: int | None


def confine_subset(asked: SubsetRequest, columns: Mapping[str, str]) -> ConfinedSubset:
    """Print a subset over columns named with their Postgres types. Raises FilterNotAccepted."""
    raise FilterNotAccepted("Subsets are not served")
