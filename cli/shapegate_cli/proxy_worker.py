"""`python -m shapegate_cli.proxy_worker <fd>`: one of several processes of `shapegate proxy`, started by it.

What it runs with comes from its parent, by the socket of that number.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

from shapegate_cli.event_loop import run
from shapegate_cli.servers import STOP_SECONDS
from shapegate_proxy.logs import configure_logs
from shapegate_proxy.observe import LogObserver
from shapegate_proxy.worker import WorkerFailed, open_worker
from shapegate_proxy.worker_link import LinkClosed, open_link, receive_configuration

if TYPE_CHECKING:
    from shapegate_proxy.configuration import Configuration


def main() -> None:
    """Serve until a signal or the end of the parent; exit code 1 if that cannot start."""
    ours = socket.socket(fileno=int(sys.argv[1]))
    ours.set_inheritable(False)
    try:
        found = receive_configuration(ours)
        configure_logs(format_name=found.config.log_format, level=found.config.log_level)
        run(_serve(ours, found), uvloop=found.config.uvloop)
    except (LinkClosed, WorkerFailed):  # The parent is gone, or was told.
        sys.exit(1)


async def _serve(ours: socket.socket, found: Configuration) -> None:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.begin)
    async with (
        open_link(ours) as link,
        open_worker(link, found, observer=LogObserver(), stop=stop.begin, orphaned=stop.orphaned),
    ):
        await stop.begun.wait()


class _Stop:
    """The end of the process, begun by its parent or by a signal, whatever is first.

    What follows does nothing, since a service manager may signal all processes; so the hurry of a second
    signal to the parent is known by its end.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    def begin(self) -> None:
        """Let the process drain, and end whatever still hangs when its time is up."""
        if self.begun.is_set():
            return
        self.begun.set()
        overdue = threading.Timer(STOP_SECONDS, os._exit, (0,))
        overdue.daemon = True  # it must not keep alive what it is there to end
        overdue.start()

    def orphaned(self) -> None:
        """Drain; or end at once, if the parent did so while this one drained."""
        if self.begun.is_set():
            os._exit(0)
        self.begin()


if __name__ == "__main__":
    main()
