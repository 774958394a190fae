"""Where Electric listens, when its name has several addresses, or none."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.lean_address import Address

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


class Names:
    """Answers for the resolver; counts what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
        self.asked = 0
        self.hosts = hosts
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.find)

    async def find(self, _host: str, port: int, **_options: int) -> list[tuple[object, ...]]:
        self.asked += 1
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in self.hosts]


async def test_an_address_is_dialled_without_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    with listening() as port:
        (await Address("127.0.0.1", port).dial(5)).close()
    assert names.asked == 0


async def test_an_ipv6_address_is_dialled() -> None:
    with socket.socket(socket.AF_INET6) as server:
        try:
            server.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        server.listen()
        (await Address("::1", server.getsockname()[1]).dial(5)).close()


async def test_a_burst_looks_a_name_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, "127.0.0.1")
    with listening() as port:
        address = Address("electric", port)
        for sock in await asyncio.gather(*[address.dial(5) for _ in range(20)]):
            sock.close()
        (await address.dial(5)).close()
    assert names.asked == 1


async def test_the_next_address_is_tried_after_one_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, "127.0.0.2", "127.0.0.1")
    with listening() as port:
        sock = await Address("electric", port).dial(5)
        assert sock.getpeername() == ("127.0.0.1", port)
        sock.close()


async def test_after_a_failure_a_name_is_looked_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, "127.0.0.2")
    with listening() as port:
        address = Address("electric", port)
        with pytest.raises(ConnectionRefusedError):
            await address.dial(5)
        names.hosts = ("127.0.0.1",)
        (await address.dial(5)).close()
    assert names.asked == 2


async def test_a_name_without_addresses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        await Address("electric", 1).dial(5)


@pytest.mark.parametrize("host", ["127.0.0.1", "255.255.255.255"])
async def test_who_refuses_later_or_at_once_is_an_error(host: str) -> None:
    with pytest.raises(OSError, match=r"\w"):
        await Address(host, 1).dial(5)


async def test_a_dial_that_is_cancelled_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Kept(socket.socket):
        def __init__(self, *of: int) -> None:
            super().__init__(*of)
            made.append(self)

        def connect_ex(self, _address: object, /) -> int:
            return errno.EINPROGRESS  # and nobody answers

        def getsockopt(self, *_of: int) -> int:  # type: ignore[override]  # no more is asked for here
            raise AssertionError

    # A socket that is not connected counts as writable, so nobody is told that it is.
    monkeypatch.setattr(asyncio.get_running_loop(), "add_writer", lambda *_: None)
    monkeypatch.setattr(socket, "socket", Kept)
    dialling = asyncio.create_task(Address("127.0.0.1", 1).dial(5))
    for _ in range(3):
        await asyncio.sleep(0)
    dialling.cancel()
    await asyncio.wait([dialling])
    assert dialling.cancelled()
    assert [sock.fileno() for sock in made] == [-1]


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_what_can_be_no_name_is_an_error(host: str) -> None:
    with pytest.raises((OSError, UnicodeError)):
        await Address(host, 1).dial(5)
