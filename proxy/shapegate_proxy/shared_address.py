"""An address on which several processes listen, held by one that does not listen itself (SO_REUSEPORT).

The system spreads connections over those who listen. Whoever holds the address knows its port before any of
them starts; while it is held the port is nobody's free one.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from shapegate_proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import AddressFamily


@contextmanager
def hold_address(host: str, port: int) -> Iterator[int]:
    """Hold an address inside of the block; yields its port (0 picks a free one).

    Raises OSError if it cannot be bound or somebody listens there, also another gate that would share it, and
    ConfigError if the system cannot share addresses.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError(("SHAPEGATE_WORKERS: this system has no SO_REUSEPORT: expected 1",))
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as stack:
        for family, address in {(family, address) for family, _, _, _, address in found}:
            with _bound(family, (address[0], port), shared=False):
                pass  # Bound together with others it would not show that somebody listens there already.
            held = stack.enter_context(_bound(family, (address[0], port), shared=True))
            port = held.getsockname()[1]
        yield port


@contextmanager
def _bound(family: AddressFamily, address: tuple[str | int, int], *, shared: bool) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        yield bound
