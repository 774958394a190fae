"""How long an answer of Electric may be given again. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

FRESH_SECONDS_MAX: Final = 60.0
"""What Electric says of every part of a log but its start, for which it says a week (PROTOCOL 2.2).

A start that is kept for longer makes each new reader fetch more log after it, and is that of a handle which
nobody knows to be gone as long as nobody asks for more of it.
"""
UP_TO_DATE_SECONDS_MAX: Final = 1.0
"""For what claims to be the present: to see what was just written, nobody shall have to go around the cache.

Electric allows a minute here too. A second is enough for many who come at once.
"""
REMEMBERED_MAX: Final = 64
"""Electric writes a handful of `cache-control`."""
_NEVER: Final = frozenset({"no-store", "no-cache", "private"})
_SECONDS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


def fresh_seconds(headers: Mapping[str, str]) -> float:
    """Say how long an answer with these headers may be given to others, from when it was asked for.

    0.0 is not at all: also what cannot be read, or says two things, is not kept. A time to serve it stale is
    ignored (RFC 9111 5.2.2, RFC 5861).
    """
    life, age = _life(headers.get(names.CACHE_CONTROL, "")), headers.get("age", "0").strip()
    if life is None or "*" in headers.get("vary", "") or not _SECONDS.fullmatch(age):
        return 0.0
    longest = UP_TO_DATE_SECONDS_MAX if names.ELECTRIC_UP_TO_DATE in headers else FRESH_SECONDS_MAX
    return min(longest, max(0.0, float(life - int(age))))


@lru_cache(maxsize=REMEMBERED_MAX)
def _life(cache_control: str) -> int | None:
    """Read the seconds that a shared cache may keep it; None if it may not."""
    told: dict[str, str] = {}
    for part in cache_control.lower().split(","):
        name, _, value = part.strip().partition("=")
        if told.setdefault(name, value) != value:
            return None
    lives = [told[name] for name in ("max-age", "s-maxage") if name in told]
    if "public" not in told or "max-age" not in told or not _NEVER.isdisjoint(told):
        return None
    return min(map(int, lives)) if all(map(_SECONDS.fullmatch, lives)) else None
