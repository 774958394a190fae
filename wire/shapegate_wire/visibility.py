"""Which transactions a snapshot saw (Postgres: pg_snapshot; PROTOCOL 3.7). Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_wire.message import SnapshotEnd

_EPOCH: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """A Postgres snapshot: all below `xmin` was over, nothing from `xmax` on; `running` was under way."""

    xmin: int
    xmax: int
    running: frozenset[int] = frozenset()

    @classmethod
    def of(cls, end: SnapshotEnd) -> Visibility:
        """Take what the end of a snapshot says."""
        return cls(xmin=end.xmin, xmax=end.xmax, running=frozenset(end.xip_list))

    def sees(self, txid: int) -> bool:
        """Tell whether the effects of a committed transaction are in the snapshot; `txid` has 32 bits."""
        wide = self.widen(txid)
        return wide < self.xmin or (wide < self.xmax and wide not in self.running)

    def widen(self, txid: int) -> int:
        """Give a 32-bit id the epoch that puts it nearest to `xmax` (REQUIREMENTS C-47)."""
        distance = (txid - self.xmax) % _EPOCH
        return self.xmax + (distance - _EPOCH if distance >= _EPOCH // 2 else distance)
