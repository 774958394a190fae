"""Passwords: argon2id, off the loop, bounded, at one cost for every case."""

from __future__ import annotations

import asyncio
import threading
from typing import Literal

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from shapegate_harness.issuer.errors import Busy
from shapegate_harness.issuer.passwords import (
    MEMORY_KIBIBYTES,
    PARALLELISM,
    THREADS,
    TIME_COST,
    WAITING_MAX,
    Passwords,
)

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def argon_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("shapegate-argon2")]


async def test_a_password_matches_its_hash_and_no_other() -> None:
    async with Passwords.open() as passwords:
        hashed = await passwords.hash("correct horse")
        assert await passwords.matches("correct horse", hashed)
        assert not await passwords.matches("Correct horse", hashed)
        assert not await passwords.matches("", hashed)


async def test_a_hash_is_argon2id_with_the_documented_cost_and_a_salt_of_its_own() -> None:
    async with Passwords.open() as passwords:
        first, second = await passwords.hash("same"), await passwords.hash("same")
    parameters = extract_parameters(first)
    assert parameters.type is Type.ID
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (
        TIME_COST,
        MEMORY_KIBIBYTES,
        PARALLELISM,
    )
    assert first != second


@pytest.mark.parametrize("stored", [None, "", "plain text", "$argon2id$broken"], ids=repr)
async def test_what_is_no_hash_matches_nothing(stored: str | None) -> None:
    async with Passwords.open() as passwords:
        assert not await passwords.matches("", stored)
        assert not await passwords.matches("plain text", stored)


class CountingHasher(PasswordHasher):
    """Counts what it verifies to the end, by the hash's own parameters."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002  # the library's name
        self.verified.append(str(hash)[:9])
        return super().verify(hash, password)


async def test_no_hash_costs_one_verification_like_any_other() -> None:
    hasher = CountingHasher()
    with Passwords.threads() as executor:
        passwords = Passwords(hasher, executor, CHEAP.hash("nobody knows"))
        await passwords.matches("x", CHEAP.hash("y"))
        await passwords.matches("x", None)
    assert hasher.verified == ["$argon2id", "$argon2id"]


class HeldHasher(PasswordHasher):
    """Verifies only once it is let go."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.let_go = threading.Event()
        self.begun = threading.Semaphore(0)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002  # the library's name
        self.begun.release()
        assert self.let_go.wait(timeout=10)
        return super().verify(hash, password)


async def test_too_many_at_once_are_told_to_come_back_and_the_rest_is_served() -> None:
    hasher, hashed = HeldHasher(), CHEAP.hash("password")
    with Passwords.threads() as executor:
        passwords = Passwords(hasher, executor, hashed)
        waiting = [
            asyncio.create_task(passwords.matches("password", hashed)) for _ in range(THREADS + WAITING_MAX)
        ]
        # The loop stays free although every thread is held: this very statement runs.
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await passwords.matches("password", hashed)
        hasher.let_go.set()
        assert await asyncio.gather(*waiting) == [True] * (THREADS + WAITING_MAX)
        assert await passwords.matches("password", hashed)


async def test_a_place_of_a_caller_who_left_is_free_once_the_thread_is_through() -> None:
    hasher, hashed = HeldHasher(), CHEAP.hash("password")
    with Passwords.threads() as executor:
        passwords = Passwords(hasher, executor, hashed)
        waiting = [
            asyncio.create_task(passwords.matches("password", hashed)) for _ in range(THREADS + WAITING_MAX)
        ]
        for _ in range(THREADS):
            assert await asyncio.to_thread(hasher.begun.acquire, timeout=10)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        # Those that no thread had begun left at once, so as many may come; two are still being worked on.
        again = [asyncio.create_task(passwords.matches("password", hashed)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await passwords.matches("password", hashed)
        hasher.let_go.set()
        assert all(await asyncio.gather(*again))


async def test_no_thread_is_left_behind() -> None:
    before = set(argon_threads())  # an issuer of the test session may have its own
    async with Passwords.open() as passwords:
        await passwords.hash("password")
        assert set(argon_threads()) > before
    assert set(argon_threads()) <= before
