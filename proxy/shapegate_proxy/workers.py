"""Several processes that serve one address, and the parent that keeps them running.

They share nothing but the address: each has its own connections, limits and keys. The parent serves no
request; it starts a worker again that ended, and adds their figures up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from shapegate_proxy.logs import LogEvent
from shapegate_proxy.metrics import families, process_figures
from shapegate_proxy.restarts import GiveUp, Restart, after_end
from shapegate_proxy.tallies import Reading
from shapegate_proxy.worker_process import STOP_SECONDS, WorkerProcess, open_worker_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence

    from prometheus_client import Metric

    from shapegate_proxy.configuration import Configuration
    from shapegate_proxy.logs import Field

ANSWER_SECONDS: Final = 1.0
"""How long a scrape waits for a worker."""
_LOG: Final = logging.getLogger("shapegate.proxy")


class WorkersFailed(Exception):
    """The workers cannot serve; the text says why."""


class Workers:
    """The places of the workers: each is filled again when it falls empty."""

    def __init__(
        self, found: Configuration, *, command: Sequence[str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the places; the port in `found` has to be known.

        `command` starts a worker; the number of its side of the link is added.
        """
        self._found = found
        self._command = command
        self._monotonic = monotonic
        self._workers: dict[int, WorkerProcess] = {}
        """By place, from 1."""
        self._keeping: list[asyncio.Task[None]] = []
        self._gathering: asyncio.Task[tuple[Metric, ...]] | None = None
        self._serving = False
        self._stopping = asyncio.Event()
        self._ended = Reading()
        """What workers counted that are no more."""
        self._restarts = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fill every place inside of the block; all serve when it begins, and drain when it ends.

        Raises WorkersFailed if one of them cannot start.
        """
        places = range(1, self._found.config.workers + 1)
        served = {place: asyncio.Event() for place in places}
        try:
            for place, event in served.items():
                task = asyncio.create_task(self._keep(place, event), name=f"shapegate-worker-{place}")
                self._keeping.append(task)
            for event in served.values():
                await self._unless_failed(event.wait())
            self._serving = True
            yield
        finally:
            await self._close()

    @property
    def url(self) -> str:
        """Where they serve."""
        return next(worker.url for worker in self._workers.values() if worker.url is not None)

    async def run_until(self, stopped: asyncio.Event) -> None:
        """Wait, and tell every worker to stop. Raises WorkersFailed if a place cannot be filled again."""
        await self._unless_failed(stopped.wait())
        self._stop()

    def _stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            for worker in self._workers.values():
                worker.stop()

    async def _close(self) -> None:
        """Let every worker drain and end; kill those that do not."""
        self._stop()
        if self._gathering is not None:
            self._gathering.cancel()
        _, hanging = await asyncio.wait(self._keeping, timeout=STOP_SECONDS)
        for worker in self._workers.values():
            worker.kill()
        for task in hanging:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def families(self) -> Iterable[Metric]:
        """Return the sum of all figures; scrapers that ask at the same time get the same."""
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._gather(), name="shapegate-figures")
        return await asyncio.shield(self._gathering)

    async def _gather(self) -> tuple[Metric, ...]:
        asked = [worker for worker in self._workers.values() if worker.url is not None]
        if asked:
            await asyncio.wait([worker.ask() for worker in asked], timeout=ANSWER_SECONDS)
        # A worker that ended meanwhile is in what ended; one that began has nothing to tell yet.
        total, silent = self._ended.plus(Reading(process=process_figures())), 0
        for worker in self._workers.values():
            total = total.plus(worker.counted())
            silent += worker in asked and worker.silent
        serving = sum(worker.url is not None for worker in self._workers.values())
        return (
            *families(total),
            GaugeMetricFamily("shapegate_workers", "Worker processes that serve.", value=serving),
            GaugeMetricFamily(
                "shapegate_workers_silent", "Workers that did not tell their figures in time.", value=silent
            ),
            CounterMetricFamily(
                "shapegate_worker_restarts", "Workers that were started again.", value=self._restarts
            ),
        )

    async def _unless_failed(self, waiting: Coroutine[object, object, object]) -> None:
        """Wait for something, or for the failure of a place."""
        task = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait([task, *self._keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
        for keeping in self._keeping:
            if keeping.done():
                keeping.result()

    async def _keep(self, place: int, serves: asyncio.Event) -> None:
        """Keep a place filled until the stop. Raises WorkersFailed if it is in vain."""
        vain = 0
        while not self._stopping.is_set():
            began = self._monotonic()
            end = await self._fill(place, serves)
            if self._stopping.is_set():
                return
            vain = 0 if end.served else vain + 1
            next_step = after_end(lived_seconds=self._monotonic() - began, vain=vain)
            match next_step:
                case Restart() if vain and not self._serving:
                    raise WorkersFailed(f"worker {place} cannot start: {end.problem}")
                case Restart(wait_seconds=wait_seconds):
                    fields: dict[str, Field] = {"worker": place, "problem": end.problem}
                    fields["restart_seconds"] = round(wait_seconds, 3)
                    _LOG.warning(LogEvent(name="worker_ended", fields=fields))
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), wait_seconds)
                case GiveUp():
                    raise WorkersFailed(f"worker {place} cannot start, tried {vain} times: {end.problem}")
                case _:
                    assert_never(next_step)
            self._restarts += 1

    def _began(self, place: int, serves: asyncio.Event) -> None:
        serves.set()
        if self._serving:
            _LOG.info(LogEvent(name="worker_listening", fields={"worker": place}))

    async def _fill(self, place: int, serves: asyncio.Event) -> _End:
        """Run one worker in this place until it ends."""
        async with AsyncExitStack() as stack:
            try:
                worker = await stack.enter_async_context(open_worker_process(self._command, self._found))
            except OSError as exc:
                return _End(served=False, problem=f"the process cannot be made ({exc.strerror})")
            self._workers[place] = worker
            if self._stopping.is_set():
                worker.stop()
            try:
                code = await worker.attend(lambda: self._began(place, serves))
            finally:
                del self._workers[place]
                self._ended = self._ended.plus(worker.last.counted())
            problem = worker.problem or f"it ended with exit code {code}"
            return _End(served=worker.url is not None, problem=problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a worker ended."""

    served: bool
    problem: str
