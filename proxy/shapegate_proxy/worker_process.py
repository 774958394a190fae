"""One worker as its parent knows it: a process, what it said, and when it ended."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_proxy.tallies import Reading
from shapegate_proxy.worker_link import Ask, Link, LinkClosed, Listening, NotStarted, Stop, Told, open_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from shapegate_proxy.configuration import Configuration
    from shapegate_proxy.worker_link import Message

START_SECONDS: Final = 30.0
"""A worker that does not serve by then is ended; it fetches keys and connects to the database meanwhile."""
STOP_SECONDS: Final = 9.0
"""A worker that has not stopped by then is killed; draining takes 5 s at most."""


@asynccontextmanager
async def open_worker_process(command: Sequence[str], found: Configuration) -> AsyncIterator[WorkerProcess]:
    """Run one worker inside of the block; it is killed at the end if it still runs."""
    ours, theirs = socket.socketpair()
    async with AsyncExitStack() as stack:
        with theirs:
            link = await stack.enter_async_context(open_link(ours))
            process = await asyncio.create_subprocess_exec(
                *(*command, str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C goes to all of a terminal; the parent passes it on.
            )
        worker = WorkerProcess(process, link)
        stack.callback(worker.kill)
        with suppress(LinkClosed, TimeoutError):  # It is known as a worker that does not serve.
            async with asyncio.timeout(START_SECONDS):
                await link.send_configuration(found)
        yield worker


class WorkerProcess:
    """One process as its parent knows it."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self._process = process
        self._link = link
        self._asked: asyncio.Future[None] | None = None
        self.last = Reading()
        """The figures that it told last."""
        self.url: str | None = None
        """Where it serves; None before it does."""
        self.problem: str | None = None
        """Why it cannot serve, if it said so."""

    @property
    def silent(self) -> bool:
        """Whether an answer is due."""
        return self._asked is not None and not self._asked.done()

    def counted(self) -> Reading:
        """Return its figures; of one that is silent what it counted before, so that no sum falls."""
        return self.last.counted() if self.silent else self.last

    async def attend(self, serves: Callable[[], None]) -> int:
        """Hear what it says until it ends; returns its exit code, negative for a signal.

        `serves` is called when it does.
        """
        overdue = asyncio.get_running_loop().call_later(START_SECONDS, self.kill)
        try:
            while True:
                message = await self._link.receive()
                self._take(message)
                if isinstance(message, Listening):
                    overdue.cancel()
                    serves()
        except LinkClosed:
            pass
        finally:
            overdue.cancel()
            self._answered()
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def _take(self, message: Message) -> None:
        match message:
            case Listening(url=url):
                self.url = url
            case NotStarted(problem=problem):
                self.problem = problem
            case Told(reading=reading):
                self.last = reading
                self._answered()
            case Ask() | Stop():
                raise LinkClosed("a word of a parent: expected one of a worker")
            case _:
                assert_never(message)

    def ask(self) -> asyncio.Future[None]:
        """Ask for figures, unless an answer is due already; returns what ends with the answer."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            self._link.send_soon(Ask())
        return self._asked

    def _answered(self) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)

    def stop(self) -> None:
        """Let it drain and end."""
        self._link.send_soon(Stop())

    def kill(self) -> None:
        """End it now, if it still runs."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
