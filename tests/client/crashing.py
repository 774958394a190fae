"""A process that dies by SIGKILL at a chosen point: `python -m tests.client.crashing HOME URL WHAT STEP`."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import sys
from pathlib import Path

from shapegate_client import Session, ShapeDefinition, Step
from shapegate_client.files import remove_private
from shapegate_client.fold import EMPTY, fold
from shapegate_client.home import StoreOwner
from shapegate_client.store import Store, open_reader
from tests.client.builders import DEFINITION, insert, layout, position
from tests.client.ports import FixedCredentials

OWNER = StoreOwner(issuer="i", user_id="u", organization_id="acme")
LAYOUT = layout()


def dying_at(name: str, step: Step) -> None:
    if step.name == name:
        os.kill(os.getpid(), signal.SIGKILL)


class KeptCredentials(FixedCredentials):
    """Says in a file whether somebody is logged in, as real credentials do."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._mark = home / "credentials.json"
        self.logged_in = self._mark.exists()

    async def logout(self) -> None:
        await super().logout()
        remove_private(self._mark)


async def leave(home: Path, url: str, what: str, name: str) -> None:
    async with Session.open(url, KeptCredentials(home), home=home) as session:
        await session.subscribe(ShapeDefinition(table="items"))
        await session.up_to_date(timeout=10)
        if what == "logout":
            await session.logout(on_step=lambda step: dying_at(name, step))
        else:
            await session.switch("globex", keep=what == "switch", on_step=lambda step: dying_at(name, step))


async def apply_for_ever(path: Path) -> None:
    """Commit batch after batch; batch n adds row n, writes n into row 0 and moves to n_0."""
    store = await Store.open(path, OWNER)
    at = await store.register(DEFINITION, "http://gate")
    done = 0 if at is None else at.offset.lsn
    now = datetime.datetime.now(datetime.UTC)
    if at is None:
        batch = fold(EMPTY, [insert(0, "0")], LAYOUT)
        await store.replace(LAYOUT, batch, position("0_inf"), now, begin=True)
    while True:
        done += 1
        batch = fold(EMPTY, [insert(done, "x" * 500), insert(0, str(done))], LAYOUT)
        await store.apply(LAYOUT, batch, position(f"{done}_0"), now)
        print(done, flush=True)  # noqa: T201  # tells the test how far it is


def read_states(path: Path, count: int) -> None:
    """Read until so many states of `apply_for_ever` were seen, each of them whole."""
    seen = set[str]()
    while len(seen) < count:
        db = open_reader(path, OWNER)
        rows = {row["id"]: row["title"] for row in db.table("items").rows}
        db.close()
        assert set(rows) == set(range(int(rows[0]) + 1)), "a part of a batch was seen"
        seen.add(rows[0])


if __name__ == "__main__":
    if sys.argv[1] == "apply":
        asyncio.run(apply_for_ever(Path(sys.argv[2])))
    if sys.argv[1] == "read":
        read_states(Path(sys.argv[2]), int(sys.argv[3]))
        sys.exit()
    asyncio.run(leave(Path(sys.argv[1]), *sys.argv[2:]))
