"""Open files of the process, which bound how many connections it can hold.

A server that runs out of them cannot accept, reach Electric or read a file, and asyncio writes a hundred
errors a second about it; so the bound on connections stays below (SECURITY I-08).
"""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

RESERVED: Final = 256
"""For the database, key sets, logs and libraries, and for connections that are being closed or refused."""


def descriptors_for(connections: int) -> int:
    """Say how many open files so many clients need: each has a request to Electric too."""
    return 2 * connections + RESERVED


def connections_within(descriptors: int, wanted: int) -> int:
    """Bound the connections of clients to what so many open files allow; at least one."""
    return max(1, min(wanted, (descriptors - RESERVED) // 2))


def raise_descriptors(wanted: int) -> int:
    """Raise the soft limit of this process as far as allowed; returns how many files it may open.

    It is never lowered. Many systems start with 1,024 and allow far more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):  # macOS has a lower limit than the one it tells
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        return target
    return soft
