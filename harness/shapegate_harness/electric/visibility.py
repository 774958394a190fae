"""Snapshots as Postgres prints them, and as a log tells them (PROTOCOL 3.7). Pure: no I/O, no clock."""

from __future__ import annotations

import json
import re
from typing import Final

from shapegate_harness.electric.errors import DecoderError
from shapegate_wire.visibility import Visibility

_SNAPSHOT: Final = re.compile(r"([0-9]+):([0-9]+):([0-9]+(?:,[0-9]+)*)?", re.ASCII)


def print_snapshot_end(snapshot: Visibility) -> bytes:
    """Print the `snapshot-end` control message."""
    headers = {
        "control": "snapshot-end",
        "xip_list": [str(xid) for xid in sorted(snapshot.running)],
        "xmax": str(snapshot.xmax),
        "xmin": str(snapshot.xmin),
    }
    return json.dumps({"headers": headers}, separators=(",", ":")).encode()


def parse_visibility(text: str) -> Visibility:
    """Read what `pg_current_snapshot()` prints: `xmin:xmax:xip,xip`. Raises DecoderError."""
    matched = _SNAPSHOT.fullmatch(text)
    if matched is None:
        raise DecoderError(f"{text[:80]!r} is no snapshot: expected xmin:xmax:xip,...")
    running = matched[3].split(",") if matched[3] else []
    return Visibility(xmin=int(matched[1]), xmax=int(matched[2]), running=frozenset(map(int, running)))
