"""An address for several processes: one port for all, and none that somebody else serves."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.errors import ConfigError
from shapegate_proxy.shared_address import hold_address

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def listener(port: int, *, shared: bool) -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        yield listening


def test_a_free_port_is_found_and_held_and_others_listen_on_it() -> None:
    with hold_address("127.0.0.1", 0) as port:
        assert port > 0
        with listener(port, shared=True), listener(port, shared=True), socket.socket() as peer:
            peer.connect(("127.0.0.1", port))


def test_who_holds_the_address_takes_no_connection() -> None:
    with (
        hold_address("127.0.0.1", 0) as port,
        socket.socket() as peer,
        pytest.raises(ConnectionRefusedError),
    ):
        peer.connect(("127.0.0.1", port))


@pytest.mark.parametrize("shared", [False, True])
def test_an_address_where_somebody_listens_is_refused(shared: bool) -> None:
    with (
        listener(0, shared=shared) as taken,
        pytest.raises(OSError, match="in use"),
        hold_address("127.0.0.1", taken.getsockname()[1]),
    ):
        pass


def test_a_port_that_was_held_is_free_afterwards() -> None:
    with hold_address("127.0.0.1", 0) as port:
        pass
    with listener(port, shared=False):
        pass


def test_a_name_of_several_addresses_has_one_port() -> None:
    with hold_address("localhost", 0) as port, listener(port, shared=True):
        pass


def test_a_system_that_cannot_share_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ConfigError, match="SO_REUSEPORT"), hold_address("127.0.0.1", 0):
        pass
