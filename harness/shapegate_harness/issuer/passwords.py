"""Passwords: argon2id on a few threads of their own, never on the event loop.

A check costs the same whether there is a hash to check against or not, so that the time of an answer does
not tell which users exist. The threads and the requests that wait for them are bounded.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shapegate_harness.issuer.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

TIME_COST: Final = 2
MEMORY_KIBIBYTES: Final = 19 * 1024
PARALLELISM: Final = 1
"""OWASP's least argon2id setting: about 40 ms and 19 MiB a check on one core of a small machine."""
THREADS: Final = 2
WAITING_MAX: Final = 32
"""Under a second of work for the threads; beyond it a caller is better told to come back."""


class Passwords:
    """Hashes and checks passwords; closed by `open`'s block."""

    def __init__(self, hasher: PasswordHasher, executor: ThreadPoolExecutor, decoy: str) -> None:
        self._hasher = hasher
        self._executor = executor
        self._decoy = decoy
        self._places = threading.BoundedSemaphore(THREADS + WAITING_MAX)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Passwords]:
        """Start the threads; they have ended when the block is left."""
        hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIBIBYTES, parallelism=PARALLELISM)
        with cls.threads() as executor:
            decoy = await asyncio.get_running_loop().run_in_executor(executor, _decoy, hasher)
            yield cls(hasher, executor, decoy)

    @staticmethod
    @contextmanager
    def threads() -> Iterator[ThreadPoolExecutor]:
        """The threads that hash; at the end those checks are dropped that no thread has begun."""
        executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="shapegate-argon2")
        try:
            yield executor
        finally:
            # Blocks for the check that a thread is in, some 40 ms.
            executor.shutdown(wait=True, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Hash a password for storing. Raises Busy."""
        return await self._run(self._hasher.hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Tell whether a password is the one that was hashed; None matches nothing. Raises Busy."""
        return await self._run(self._matches, password, password_hash)

    def _matches(self, password: str, password_hash: str | None) -> bool:
        try:
            return self._hasher.verify(self._decoy if password_hash is None else password_hash, password)
        except InvalidHashError:
            return self._matches(password, None)
        except VerificationError:
            return False

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            future = self._executor.submit(work, *args, **kwargs)
        except BaseException:
            self._places.release()
            raise
        # Released when the thread is through with it, not when a caller stops to wait.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)


def _decoy(hasher: PasswordHasher) -> str:
    """Hash what nobody knows, to check against where there is no hash."""
    return hasher.hash(secrets.token_urlsafe(32))
