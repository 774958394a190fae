"""A relay of the gate's parts that asks nobody who they are: `python -m benchmarks.no_auth UPSTREAM PORT`.

It shows what token, scope and filter cost on top: each target goes to Electric as it came. For benches only.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from yarl import URL

from benchmarks.running import HOST
from shapegate_cli.event_loop import run
from shapegate_proxy.admissions import Admission, Admissions
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.flights import Departures
from shapegate_proxy.held import HeldRequests
from shapegate_proxy.observe import Kind, ShapeServed
from shapegate_proxy.printed_head import HeadPrinter
from shapegate_proxy.relay import Progress, relay
from shapegate_proxy.server import ServePlain, ServerSettings, serve_app
from shapegate_proxy.serving import new_request_id
from shapegate_proxy.tallies import Tallies
from shapegate_proxy.upstream import UpstreamRequest
from shapegate_wire.offset import BEFORE_ALL
from shapegate_wire.request import ShapeRequest
from shapegate_wire.shape import ShapeDefinition

if TYPE_CHECKING:
    from shapegate_proxy.incoming import Incoming, Responder
    from shapegate_proxy.services import Services

_HEADERS: Final = (("accept-encoding", "identity"), ("accept", "application/json"))


class _Anyone:
    """Stands for token, session and limits of everybody, and looks at nothing."""

    org = session = None
    ends = math.inf

    @property
    def principal(self) -> _Anyone:
        """Nobody in particular."""
        return self

    @property
    def lifetime(self) -> _Anyone:
        """Without an end."""
        return self

    def counts(self, _now: float, _seconds: float) -> bool:
        """Every token counts."""
        return True

    def believes(self, _principal: object) -> bool:
        """Every session counts."""
        return True

    def admits_now(self, _account: object) -> bool:
        """Every request is let in."""
        return True

    def count(self, _account: object) -> None:
        """Nothing is counted."""

    def uncount(self, _account: object) -> None:
        """Nothing is counted."""


class _Tallied:
    """Counts as the gate does."""

    def __init__(self) -> None:
        self._tallies = Tallies()

    def served(self, event: ShapeServed) -> None:
        """Count one request."""
        self._tallies.count(event, now=0.0)


class Relay:
    """Passes requests on: the first of each target in a task, the next ones at once, as the gate does."""

    def __init__(self, electric_url: URL) -> None:
        self._electric_url = electric_url
        self._electric = LeanClient(electric_url)
        self._observer = _Tallied()
        self.admissions = Admissions()

    def services(self) -> Services:
        """Choose the parts that the gate's own road asks for; anyone may pass."""
        anyone = _Anyone()
        parts = SimpleNamespace(
            electric=self._electric,
            held=HeldRequests(),
            sessions=anyone,
            limits=anyone,
            observer=self._observer,
            clock=time.time,
        )
        return cast("Services", parts)

    async def serve(self, incoming: Incoming, responder: Responder) -> None:
        """Answer one request."""
        url = self._electric_url.join(URL(incoming.target, encoded=True))
        built = UpstreamRequest(method="GET", url=url, headers=_HEADERS, live=False, sse=False)
        assert incoming.head is not None
        self.admissions.remember(incoming.head, _admit(incoming.target, built))
        progress = Progress()
        await relay(
            self._electric,
            built,
            responder,
            request_id=new_request_id(),
            org_in_url=False,
            progress=progress,
        )


def _admit(target: str, built: UpstreamRequest) -> Admission:
    anyone = cast("Any", _Anyone())
    asked = ShapeRequest(definition=ShapeDefinition(table="tiny"), offset=BEFORE_ALL)
    return Admission(
        proven=anyone,
        asked=asked,
        confined=anyone,
        account=anyone,
        built=built,
        target=target,
        org=None,
        origin=None,
        table="tiny",
        kind=Kind.CATCH_UP,
        offset="-1",
        user="anyone",
    )


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
        admissions=relaying.admissions,
        printer=HeadPrinter(frozenset()),
        serve=relaying.serve,
        at_once=lambda *_: False,
        begin=Departures(relaying.services()).begin,
    )
    async with serve_app(web.Application(), settings, log=logging.getLogger("no_auth"), plain=plain):
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(_main(*map(int, sys.argv[1:])), uvloop=True)
