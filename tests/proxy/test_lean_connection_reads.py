"""How much one read of a lean connection brings: little after a pause, until what comes is taken at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shapegate_proxy.electric import ElectricTimeouts
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.lean_connection import READ_BYTES, SLOW_READ_BYTES
from shapegate_proxy.lean_exchange import WAITING_BYTES_MAX
from shapegate_proxy.upstream import UpstreamRequest
from tests.proxy.raw import CHUNKED, SECONDS, Peer, serve_raw

if TYPE_CHECKING:
    from shapegate_proxy.electric import Chunk

BODY_BYTES = 64 * READ_BYTES


async def send_long(peer: Peer) -> None:
    await peer.head()
    await peer.send(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (BODY_BYTES, b"x" * BODY_BYTES))


async def test_I_22_little_waits_of_a_body_that_is_taken_slowly() -> None:
    async with serve_raw(send_long) as server:
        client = LeanClient(server.url, ElectricTimeouts())
        request = UpstreamRequest(
            method="GET", url=server.url / "v1/shape", headers=(), live=False, sse=False
        )
        sizes, taken = list[int](), list[int]()

        def take(chunk: Chunk) -> bool:
            taken.append(len(chunk))
            return True

        try:
            async with asyncio.timeout(SECONDS):
                answer = await client.ask(request)
                while len(sizes) < 20:
                    sizes.append(len(await answer.next()))
                answer.pour(take)
                while chunk := await answer.next():
                    sizes.append(len(chunk))
            answer.close()
        finally:
            await client.close()
    assert max(sizes[1:20]) <= WAITING_BYTES_MAX + SLOW_READ_BYTES
    assert max(taken) > SLOW_READ_BYTES  # whoever takes all at once is given more at once
    assert sum(sizes) + sum(taken) == BODY_BYTES
