"""Open files of the process, which bound how many connections it can hold.

A server that runs out of them cannot accept, reach Electric or read a file, and asyncio writes a hundred
errors a second about it; so connections stay below, those of clients and those to Electric together
(SECURITY I-08).
"""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVED: Final = 256
"""For the database, key sets, logs and libraries, and for connections that are being closed or refused."""
FOR_ELECTRIC_MAX: Final = 512
"""Of those that connections share, so many are never a client's: however many wait for the same, others
reach Electric. It starts 300 shapes at once, for everybody."""


def descriptors_for(connections: int) -> int:
    """Say how many open files so many clients need if each has a request to Electric too."""
    return 2 * connections + RESERVED


def connections_within(descriptors: int, wanted: int) -> int:
    """Bound the connections of clients if each may need one to Electric that nobody counts; at least one."""
    return max(1, min(wanted, (descriptors - RESERVED) // 2))


def connections_sharing(descriptors: int, wanted: int) -> int:
    """Bound the connections of clients if those to Electric are counted as they come; at least one."""
    shared = descriptors - RESERVED
    return max(1, min(wanted, shared - min(FOR_ELECTRIC_MAX, shared // 4)))


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


class OpenFiles:
    """The open files that connections may take, those of clients and those to Electric.

    Each connection is counted while it is open. One that is needed when all are taken has an idle one closed,
    which is counted a little longer: what is over the bound meanwhile is reserved.
    """

    def __init__(self, files_max: int) -> None:
        self._files_max = files_max
        self._closers: list[Callable[[], bool]] = []
        self.taken = 0

    def lend(self, close_idle: Callable[[], bool]) -> None:
        """Add one who can close a connection that nobody waits at; whoever came first is asked first."""
        self._closers.append(close_idle)

    def room(self) -> bool:
        """Say whether one more may be opened, after one that idles was closed if that is needed."""
        return self.taken < self._files_max or any(close_idle() for close_idle in self._closers)

    def take(self) -> None:
        """Count one that is opened now, whether there is room or not."""
        self.taken += 1

    def give_back(self) -> None:
        """Count one no more: it is closed, or about to be."""
        assert self.taken > 0
        self.taken -= 1
