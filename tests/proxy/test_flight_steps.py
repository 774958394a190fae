"""Any sequence of events for requests that go to Electric without a task, over a scripted Electric."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from shapegate_proxy.answer_cache import AnswerCache
from shapegate_proxy.collapsing import Collapsing
from shapegate_proxy.errors import InvalidToken, UpstreamFault
from shapegate_proxy.flights import Departures
from shapegate_proxy.held import HeldRequests
from shapegate_proxy.limit_settings import LimitSettings
from shapegate_proxy.limits import Limits, account
from shapegate_proxy.policy import confine
from shapegate_proxy.revocation import UncheckedSessions
from shapegate_wire.request import parse_request
from tests.proxy.builders import (
    NOW,
    USER,
    Clock,
    Recorder,
    policy,
    principal,
)
from tests.proxy.flying import OTHER_USER
from tests.proxy.raw import TARGET
from tests.proxy.scripted import ScriptedBegun, ScriptedClient, ticks
from tests.proxy.scripted import request as scripted_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.electric import Chunk
    from shapegate_proxy.errors import Refused
    from shapegate_proxy.flights import Flight
    from shapegate_proxy.printed_head import ClientHead
    from shapegate_proxy.services import Services


@dataclass(eq=False)
class Client:
    """A connection and its answer, as a request sees them; `sent` are the pieces of the body."""

    paused: bool = False
    lost: bool = False
    answers: int = 0
    """How many heads were sent."""
    sent: list[bytes] = field(default_factory=list)
    over: bool = False
    """Whether the answer came to an end, or was broken off."""
    landings: int = 0
    task: asyncio.Task[None] | None = None
    flight: Flight | None = None
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    def known(self) -> None:
        """Take note."""

    def at_once(self) -> bool:
        return not self.paused and not self.lost

    def responder(self, origin: str | None) -> Client:
        assert origin is None
        return self

    def answer_now(
        self, status: int, head: ClientHead, body: Chunk, origin: str | None = None, request_id: str = ""
    ) -> None:
        assert self.at_once()
        self.answers += 1
        self.sent.append(bytes(body))
        self.over = True

    async def _give(self, piece: Chunk) -> None:
        if self.lost:
            raise ConnectionResetError("The client went away")
        self.sent.append(bytes(piece))
        while self.paused:
            await self.resumed.wait()
            self.resumed.clear()

    async def answer(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        self.answers += 1
        self.over = True
        await self._give(body)

    async def begin(self, status: int, head: ClientHead, *, request_id: str) -> None:
        self.answers += 1

    async def flush(self) -> None:
        """Send the head."""

    def write_now(self, chunk: Chunk) -> None:
        assert self.at_once()
        self.sent.append(bytes(chunk))

    async def write(self, chunk: Chunk, *, more: bool) -> None:
        await self._give(chunk)

    async def end(self) -> None:
        self.over = True

    def break_off(self) -> None:
        self.over = True
        self.lose()

    async def refuse(self, refused: Refused, *, request_id: str) -> int:
        self.answers += 1
        self.over = True
        return 0

    def landed(self) -> None:
        self.landings += 1
        self.flight = None

    def take_over(self, answering: Callable[[], Awaitable[None]]) -> None:
        async def work() -> None:
            await answering()
            self.landed()

        assert self.task is None
        self.task = asyncio.create_task(work())

    def lose(self) -> None:
        """Lose the connection, as `Front` does."""
        self.lost = True
        if self.flight is not None:
            self.flight.leave()
            self.flight = None
        if self.task is not None:
            self.task.cancel()


def admission(user: str) -> Admission:
    asked = parse_request(URL(f"http://gate/?{TARGET.partition('?')[2]}").query.items(), None)
    confined = confine(principal(user=user), asked, policy())
    proven = SimpleNamespace(
        principal=confined.principal,
        lifetime=SimpleNamespace(ends=NOW.timestamp() + 300),
        counts=lambda *_: True,
    )
    return SimpleNamespace(  # type: ignore[return-value]  # no more is looked at here
        proven=proven,
        asked=asked,
        confined=confined,
        account=account(confined),
        built=scripted_request(),
        org=None,
        origin=None,
        table="items",
        kind="initial",
        offset="-1",
        user=user,
    )


class Stage:
    """Requests over what shares and keeps, before a scripted Electric; the test says what happens."""

    def __init__(self, *, collapse: bool, cached: bool) -> None:
        self.client = ScriptedClient(begun=[])
        shared = self.collapsing = Collapsing(self.client) if collapse else None
        self.cache = AnswerCache(shared or self.client, monotonic=lambda: 0.0) if cached else None
        self.recorder, self.held = Recorder(), HeldRequests()
        self.limits = Limits(LimitSettings(requests_per_principal=2), monotonic=lambda: 0.0)
        self.admissions = [admission(USER), admission(OTHER_USER)]
        for each in self.admissions:
            self.limits.admit(each.account).__exit__(None, None, None)
        self.services: Services = SimpleNamespace(  # type: ignore[assignment]  # what requests need of them
            limits=self.limits,
            held=self.held,
            electric=self.cache or shared or self.client,
            observer=self.recorder,
            sessions=UncheckedSessions(),
            clock=Clock(),
        )
        self.clients: list[Client] = []
        self.begun = 0
        self.ended: list[tuple[Client, list[bytes]]] = []
        """Whom a revocation ended before its answer was all sent, and what was sent by then."""

    def play(self, step: str, number: int) -> None:
        upstream = self.client.begun
        assert upstream is not None
        begun = upstream[number % len(upstream)] if upstream else None
        client = self.clients[number % len(self.clients)] if self.clients else None
        if step == "ask":
            client = Client()
            client.flight = Departures(self.services).begin(self.admissions[number % 2], client)
            if client.flight is not None:
                self.begun += 1
                self.clients.append(client)
        elif step == "revoke":
            self.ended += [(each, list(each.sent)) for each in self.clients if not each.over]
            self.held.end_sessions({None}, lambda: InvalidToken("ended"))  # type: ignore[arg-type]  # all of them
        elif client is not None and step == "leave":
            client.lose()
        elif client is not None and step == "pause":
            client.paused = not client.paused
            client.resumed.set()
        elif client is not None and step == "take" and client.flight is not None:
            client.flight.take_task()
        elif begun is not None and not begun.left:
            self._upstream(step, begun)

    def _upstream(self, step: str, begun: ScriptedBegun) -> None:
        outcome = begun.asked.outcome
        if step in ("whole", "409", "400") and not outcome.done() and not begun.stuck:
            begun.deliver(b"[]", status=200 if step == "whole" else int(step))
        elif step in ("piece", "end") and outcome.done() and not outcome.cancelled():
            if outcome.exception() is None and outcome.result().whole is None:
                outcome.result().send(b"x" if step == "piece" else b"")
        elif step in ("head", "fault") and not outcome.done():
            begun.stick()
            if step == "head":
                begun.asked.answer()
            else:
                outcome.set_exception(UpstreamFault("gone"))
                outcome.exception()

    async def finish(self) -> None:
        """Let everything come to its end."""
        for _ in range(4):
            for client in self.clients:
                client.paused = False
                client.resumed.set()
            for begun in self.client.begun or ():
                for step in ("head", "end"):
                    if not begun.left:
                        self._upstream(step, begun)
            await ticks(30)


HAPPENS = (
    *("ask", "ask", "whole", "409", "400", "head", "piece", "end", "fault"),
    *("leave", "revoke", "pause", "take", "tick", "tick"),
)
STEPS = st.lists(st.tuples(st.sampled_from(HAPPENS), st.integers(0, 5)), max_size=40)


async def test_I_08_a_mistake_of_the_client_to_electric_leaves_no_count() -> None:
    def mistake(*_: object) -> None:
        raise ValueError("a request that cannot be printed")

    stage = Stage(collapse=False, cached=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.client, "begin", mistake)
        with contextlib.suppress(ValueError):
            stage.play("ask", 0)
    assert not stage.limits._requests | stage.limits._initial


@settings(max_examples=300, deadline=None)
@given(STEPS, st.booleans(), st.booleans())
@example([("ask", 0), ("head", 0), ("tick", 1), ("revoke", 0), ("piece", 0)], False, False)
@example([("ask", 0), ("take", 0), ("tick", 1), ("revoke", 0)], False, False)
@example([("ask", 0), ("take", 0), ("tick", 1), ("head", 0)], True, False)
@example([("ask", 0), ("take", 0), ("tick", 1), ("whole", 0)], True, False)
def test_I_21_whatever_happens_in_whatever_order_each_request_ends_once_and_leaves_nothing(
    steps: list[tuple[str, int]], collapse: bool, cached: bool
) -> None:
    async def run() -> None:
        stage = Stage(collapse=collapse, cached=cached)
        errors = list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        for step, number in steps:
            if step == "tick":
                await ticks(number)
            else:
                stage.play(step, number)
        await stage.finish()
        assert len(stage.recorder.events) == stage.begun
        assert len({event.request_id for event in stage.recorder.events}) == stage.begun
        assert errors == []
        if "fault" not in {step for step, _ in steps}:
            assert UpstreamFault.code not in {event.code for event in stage.recorder.events}
        assert not stage.limits._requests | stage.limits._initial | stage.limits._live
        assert stage.held.count == 0
        for client in stage.clients:
            assert client.answers <= 1
            assert client.over or client.lost
            assert client.landings == (not client.lost) or client.over
        for client, sent in stage.ended:
            assert client.sent == sent
        assert stage.collapsing is None or (stage.collapsing.running, stage.collapsing._joinable) == (0, {})
        assert stage.cache is None or (stage.cache._fills, stage.cache._filling_bytes) == ({}, 0)
        for begun in stage.client.begun or ():
            outcome = begun.asked.outcome
            if begun.left or begun.asked.cancelled or outcome.cancelled():
                continue
            assert outcome.done()
            assert outcome.exception() is not None or outcome.result().closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
