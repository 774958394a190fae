"""Where Electric listens: the addresses behind its name, and a socket to one of them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN_SECONDS: Final = 10.0
"""How long a name is not looked up again: Electric closes connections after 50 requests, so many are made."""
_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EINTR})

Found: TypeAlias = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class Address:
    """The host and port of one Electric."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = asyncio.Lock()
        self._found: Sequence[Found] = _numeric(host, port)
        self._is_name = not self._found
        self._known_until = 0.0

    async def dial(self, seconds: float) -> socket.socket:
        """Connect to the first address that answers; each has its part of the time. The caller closes.

        Raises OSError or TimeoutError for the last one, if none does, and UnicodeError for a host that
        cannot be a name.
        """
        addresses = await self._addresses()
        fault: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                async with asyncio.timeout(seconds / len(addresses)):
                    await _connect(sock, address)
            except OSError as exc:  # TimeoutError is one.
                sock.close()
                fault = exc
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        self._known_until = 0.0
        raise fault

    async def _addresses(self) -> Sequence[Found]:
        loop = asyncio.get_running_loop()
        if self._is_name and self._known_until <= loop.time():
            async with self._lock:  # A burst of connections looks the name up once.
                if self._known_until <= loop.time():
                    self._found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                    self._known_until = loop.time() + KNOWN_SECONDS
        return self._found


async def _connect(sock: socket.socket, address: tuple[object, ...]) -> None:
    """Connect, without what uvloop's `sock_connect` does: ask the resolver about each address again."""
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":  # whose loop cannot wait for a socket to be writable
        await loop.sock_connect(sock, address)
        return
    number = sock.connect_ex(address)
    if number in _UNDER_WAY:
        connected: asyncio.Future[None] = loop.create_future()
        loop.add_writer(sock, _settle, connected)
        try:
            await connected
        finally:
            loop.remove_writer(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))  # of the class that fits the number


def _settle(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _numeric(host: str, port: int) -> Sequence[Found]:
    """Read an address that is no name, which needs nobody's answer."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return ()
