"""What goes between a parent and a worker: messages as they were said, the configuration whole, an end."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.tallies import Count, Reading, Tallies
from shapegate_proxy.worker_link import (
    FRAME_BYTES_MAX,
    Ask,
    LinkClosed,
    Listening,
    NotStarted,
    Stop,
    Told,
    open_link,
    receive_configuration,
)
from shapegate_schema.domains import policy_file
from tests.proxy.builders import ELECTRIC_SECRET, SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_proxy.worker_link import Link, Message

ENVIRON = {
    "ELECTRIC_URL": "http://electric:3000",
    "ELECTRIC_SECRET": ELECTRIC_SECRET,
    "SHARED_TOKEN_SECRET": SECRET,
    "JWT_ISSUER": "https://auth.example",
    "JWT_AUDIENCE": "shapegate",
    "SHAPEGATE_POLICY": str(policy_file("controls")),
}
TOLD = Told(reading=Reading(tallies=Tallies(requests={("live", "served", 200, "served"): Count(1.0, 2)})))


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        async with open_link(ours) as link:
            yield link, theirs


@pytest.mark.parametrize(
    "message", [Listening(url="http://127.0.0.1:1"), NotStarted(problem="taken"), Ask(), Stop(), TOLD]
)
async def test_a_message_arrives_as_it_was_said(message: Message) -> None:
    async with pair() as (link, theirs), open_link(theirs.dup()) as peer:
        await link.send(message)
        link.send_soon(message)
        assert [await peer.receive(), await peer.receive()] == [message, message]


async def test_the_configuration_arrives_whole_with_its_secrets() -> None:
    found = read_configuration(ENVIRON)
    async with pair() as (link, theirs):
        _, arrived = await asyncio.gather(
            link.send_configuration(found), asyncio.to_thread(receive_configuration, theirs)
        )
    assert (arrived.policy, arrived.settings) == (found.policy, found.settings)
    assert repr(arrived.config) == repr(found.config)
    assert arrived.config.electric_secret is not None
    assert arrived.config.electric_secret.reveal() == ELECTRIC_SECRET
    (issuer,) = arrived.config.issuers
    assert issuer.secret is not None
    assert issuer.secret.reveal() == SECRET


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack(">I", 4) + b"x", struct.pack(">I", 1) + b"\xc1"])
async def test_what_is_no_message_is_the_end(sent: bytes) -> None:
    async with pair() as (link, theirs):
        theirs.sendall(sent)
        theirs.close()
        with pytest.raises(LinkClosed):
            await link.receive()


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack(">I", 4) + b"x"])
def test_a_parent_that_goes_away_before_it_said_everything_is_the_end(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(sent)
        with pytest.raises(LinkClosed, match="went away"):
            receive_configuration(ours)


async def test_a_frame_is_bounded() -> None:
    async with pair() as (link, theirs):
        theirs.sendall(struct.pack(">I", FRAME_BYTES_MAX + 1))
        with pytest.raises(LinkClosed, match="at most"):
            await link.receive()
        theirs.sendall(struct.pack(">I", 1) * 2)


async def test_who_is_gone_is_told_nothing() -> None:
    async with pair() as (link, theirs):
        theirs.close()
        link.send_soon(Ask())
        with pytest.raises(LinkClosed):
            await link.receive()
        with pytest.raises(LinkClosed):
            await link.send(Ask())
