"""A relay of the gate's parts that asks nobody who they are: `python -m benchmarks.no_auth UPSTREAM PORT`.

It shows what token, scope and filter cost on top: each target goes to Electric as it came. For benches only.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web
from yarl import URL

from benchmarks.running import HOST
from shapegate_cli.event_loop import run
from shapegate_proxy.admissions import Admissions
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.observe import Decision, Kind, ShapeServed
from shapegate_proxy.printed_head import HeadPrinter
from shapegate_proxy.relay import Progress, relay
from shapegate_proxy.server import ServePlain, ServerSettings, serve_app
from shapegate_proxy.serving import new_request_id
from shapegate_proxy.tallies import Tallies
from shapegate_proxy.upstream import UpstreamRequest

if TYPE_CHECKING:
    from shapegate_proxy.incoming import Incoming, Responder

_HEADERS: Final = (("accept-encoding", "identity"), ("accept", "application/json"))


class Relay:
    """Passes requests on, and counts them as the gate does."""

    def __init__(self, electric_url: URL) -> None:
        self._electric_url = electric_url
        self._electric = LeanClient(electric_url)
        self._built: dict[str, UpstreamRequest] = {}
        self._tallies = Tallies()

    async def serve(self, incoming: Incoming, responder: Responder) -> None:
        """Answer one request."""
        started, request_id, progress = time.monotonic(), new_request_id(), Progress()
        built = self._built.get(incoming.target)
        if built is None:
            url = self._electric_url.join(URL(incoming.target, encoded=True))
            built = UpstreamRequest(method="GET", url=url, headers=_HEADERS, live=False, sse=False)
            self._built[incoming.target] = built
        await relay(
            self._electric, built, responder, request_id=request_id, org_in_url=False, progress=progress
        )
        event = ShapeServed(
            request_id=request_id,
            method="GET",
            decision=Decision.SERVED,
            status=progress.status or 499,
            code="served",
            org=None,
            user=None,
            table=None,
            kind=Kind.CATCH_UP,
            offset=None,
            handle=None,
            live=False,
            body_bytes=progress.body_bytes,
            first_byte_seconds=None,
            seconds=round(time.monotonic() - started, 4),
        )
        self._tallies.count(event, now=0.0)


async def _main(upstream: int, port: int) -> None:
    relaying = Relay(URL.build(scheme="http", host=HOST, port=upstream))
    settings = ServerSettings(
        host=HOST,
        port=port,
        origins=frozenset(),
        idle_seconds=15.0,
        stall_seconds=30.0,
        connections_max=1_000,
        drain_seconds=1.0,
    )
    plain = ServePlain(
        admissions=Admissions(),
        printer=HeadPrinter(frozenset()),
        serve=relaying.serve,
        at_once=lambda *_: False,
        begin=lambda *_: None,
    )
    async with serve_app(web.Application(), settings, log=logging.getLogger("no_auth"), plain=plain):
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(_main(*map(int, sys.argv[1:])), uvloop=True)
