"""Plays a program: a session against a server of a random history, from its first step to its last."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client import ClientSettings, Session, ShapeDefinition
from shapegate_client import Step as SwitchStep
from shapegate_client.errors import StoreError
from shapegate_client.status import Stopped
from shapegate_wire.shape import Replica
from tests.client.ports import FixedCredentials
from tests.client.stateful.checks import Mirror, check_rate, check_seen
from tests.client.stateful.faults import Gentle
from tests.client.stateful.observer import Observer
from tests.client.stateful.operation import Insert, Kind
from tests.client.stateful.program import (
    ORGS,
    Change,
    Commit,
    Logout,
    Meet,
    Pass,
    Program,
    Restart,
    Sleep,
    Step,
    Switch,
)
from tests.client.stateful.server import World
from tests.client.stateful.virtual import VirtualClock
from tests.client.stateful.world import Org

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_client.config import LiveMode
    from tests.client.stateful.server import Server

END_SECONDS: Final = 3_600.0
"""Virtual; longer than the longest wait that a peer may ask for, and some failures before it."""
FIRST: Final = tuple(
    Insert(number, "first", team, owner)
    for number, (team, owner) in enumerate(itertools.product(("red", "green"), ("ann", "bob")), start=1)
)
LAST: Final = Insert(99, "last", "red", "ann")


@dataclass
class Play:
    """One program under way."""

    program: Program
    server: Server
    url: str
    home: Path
    world: World
    clock: VirtualClock
    credentials: FixedCredentials = field(default_factory=FixedCredentials)
    live_mode: LiveMode = field(init=False)
    pending_rows_max: int = field(init=False)
    observer: Observer = field(init=False)
    session: Session = field(init=False)
    mirror: Mirror = field(init=False)
    homes: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.live_mode, self.pending_rows_max = self.program.live_mode, self.program.pending_rows_max
        self.observer = Observer(self.home)

    @property
    def definition(self) -> ShapeDefinition:
        full = self.program.kind is Kind.FULL
        return ShapeDefinition(table="items", replica=Replica.FULL if full else Replica.DEFAULT)

    async def open(self) -> None:
        settings = ClientSettings(
            live_mode=self.live_mode, pending_rows_max=self.pending_rows_max, look_seconds=60.0
        )
        self.session = await Session.start(
            self.url, self.credentials, home=self.home, settings=settings, clock=self.clock
        )
        self.observer.attach(self.session._replica.store)
        await self.session.subscribe(self.definition)
        self.mirror = Mirror(self.session)

    async def close(self) -> None:
        await self.session._replica.quiesce()
        self.observer.detach()
        await self.session.close()
        await self.ended()

    async def ended(self) -> None:
        """Look at what a session leaves behind, beside its rows."""
        await self.mirror.end()
        check_rate(self.world.asked_at)
        self.world.asked_at.clear()

    async def step(self, step: Step) -> None:
        match step:
            case Commit(org=org, operations=operations):
                self.world.orgs[org].commit(operations)
                self.world.wake()
            case Change(org=org, what=what):
                self.change(self.world.orgs[org], what)
                self.world.wake()
            case Meet(faults=faults):
                self.world.faults.extend(faults)
            case Pass(seconds=seconds, turns=turns):
                for _ in range(turns):
                    await asyncio.sleep(0)
                if seconds:
                    await asyncio.sleep(seconds)
            case Sleep(seconds=seconds):
                self.clock.fall_asleep(seconds)
            case Restart():
                await self.restart(step)
            case Switch(keep=keep):
                await self.switch(keep=keep)
            case Logout():
                await self.logout()
            case never:
                assert_never(never)

    def change(self, org: Org, what: str) -> None:
        match what:
            case "truncate":
                org.truncate()
            case "rotate":
                org.rotate()
            case "alter":
                org.alter()
            case "nullability":
                org.set_not_null()
            case _:
                org.compact()

    async def restart(self, step: Restart) -> None:
        """End and start again; a kill leaves the files as they are before some statement."""
        await (self.close() if step.statements is None else self.kill(step.statements))
        self.live_mode, self.pending_rows_max = step.live_mode, step.pending_rows_max
        await self.open()

    async def kill(self, statements: int) -> None:
        left = self.home.with_name(f"home {next(self.homes)}")
        count, seen = itertools.count(), list[int]()

        def die() -> None:
            if next(count) == statements:
                self.observer.copy_to(left)
                self.observer.look()
                seen.append(len(self.observer.seen))

        self.observer.before_statement = die
        await asyncio.sleep(5.0)
        await self.session._replica.quiesce()
        self.observer.detach()
        if not seen:
            self.observer.copy_to(left)
            seen.append(len(self.observer.seen))
        await self.session.close()
        await self.ended()
        # What the dead process would have shown later it never showed.
        self.home = self.observer.home = left
        self.observer.before_statement = lambda: None
        del self.observer.seen[seen[0] :]

    async def switch(self, *, keep: bool) -> None:
        left = self.session.principal.organization.id

        def follow(step: SwitchStep) -> None:
            if step is SwitchStep.QUIESCED:
                self.observer.detach()
            if step is SwitchStep.ADOPTED:
                check_rate(self.world.asked_at)
                self.world.asked_at.clear()
                self.observer.attach(self.session._replica.store)

        await self.session.switch(next(org for org in ORGS if org != left), keep=keep, on_step=follow)
        if not keep:
            self.observer.begin_anew(left)

    async def logout(self) -> None:
        await self.session._replica.quiesce()
        self.observer.detach()
        await self.session.logout()
        await self.ended()
        assert not [*self.home.glob("stores/*/*")], "rows outlived the logout"
        for org in ORGS:
            self.observer.begin_anew(org)
        self.credentials = FixedCredentials()
        await self.open()

    async def go_on(self) -> None:
        """Subscribe again where a fault ended the sync that may end one."""
        if isinstance(self.session.status, Stopped):
            gentle = all(isinstance(fault, Gentle) for fault in self.world.met)
            assert not gentle, f"ended without need: {self.session.status.reason}"
            assert not isinstance(self.session.status.reason, StoreError)
            self.world.asked_at.clear()
            await self.session.subscribe(self.definition)

    async def finish(self) -> None:
        """Let all faults end: the client must reach the server's rows, whatever came before."""
        self.world.faults.clear()
        org = self.world.orgs[self.session.principal.organization.id]
        org.commit((LAST,))
        self.world.wake()
        pauses = itertools.chain([0.01] * 5, itertools.repeat(30.0))
        async with asyncio.timeout(END_SECONDS):
            while not self.has_reached(org):
                await self.go_on()
                await asyncio.sleep(next(pauses))
        await self.session._replica.store._run(lambda: None)
        for _ in range(20):
            await asyncio.sleep(0)
        self.mirror.check()
        await self.close()

    def has_reached(self, org: Org) -> bool:
        self.observer.look()
        last = self.observer.seen[-1]
        return (last.org, last.handle, last.state) == (org.name, org.log.handle, org.history[-1])


async def play(program: Program, server: Server, url: str, home: Path) -> World:
    """Play a program to its end and check everything."""
    size = program.messages_per_page
    world = World({name: Org(name, program.kind, messages_per_page=size) for name in ORGS})
    server.world = world
    for org in world.orgs.values():
        org.commit(FIRST)
    played = Play(program, server, url, home, world, VirtualClock(seed=program.seed))
    await played.open()
    try:
        for step in program.steps:
            await played.go_on()
            await played.step(step)
        await played.go_on()
        await played.finish()
    finally:
        await played.session.close()
    assert not played.observer.faults, played.observer.faults
    check_seen(world, played.observer.seen)
    return world
