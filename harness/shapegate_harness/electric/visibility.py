"""Which transactions a snapshot saw (Postgres: pg_snapshot; PROTOCOL 3.7). Pure: no I/O, no clock."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from shapegate_harness.electric.errors import DecoderError

_SNAPSHOT: Final = re.compile(r"([0-9]+):([0-9]+):([0-9]+(?:,[0-9]+)*)?", re.ASCII)
_EPOCH: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """A Postgres snapshot: everything below `xmin` was over, nothing from `xmax` on, `running` was not."""

    xmin: int
    xmax: int
    running: frozenset[int] = frozenset()

    def sees(self, xid: int) -> bool:
        """Tell whether the effects of a committed transaction are in the snapshot; `xid` has 32 bits."""
        wide = self.widen(xid)
        return wide < self.xmin or (wide < self.xmax and wide not in self.running)

    def widen(self, xid: int) -> int:
        """Give a 32-bit id of pgoutput the epoch that puts it nearest to `xmax`."""
        distance = (xid - self.xmax) % _EPOCH
        return self.xmax + (distance - _EPOCH if distance >= _EPOCH // 2 else distance)

    def to_message(self) -> bytes:
        """Print the `snapshot-end` control message."""
        headers = {
            "control": "snapshot-end",
            "xip_list": [str(xid) for xid in sorted(self.running)],
            "xmax": str(self.xmax),
            "xmin": str(self.xmin),
        }
        return json.dumps({"headers": headers}, separators=(",", ":")).encode()


def parse_visibility(text: str) -> Visibility:
    """Read what `pg_current_snapshot()` prints: `xmin:xmax:xip,xip`. Raises DecoderError."""
    matched = _SNAPSHOT.fullmatch(text)
    if matched is None:
        raise DecoderError(f"{text[:80]!r} is no snapshot: expected xmin:xmax:xip,...")
    running = matched[3].split(",") if matched[3] else []
    return Visibility(xmin=int(matched[1]), xmax=int(matched[2]), running=frozenset(map(int, running)))
