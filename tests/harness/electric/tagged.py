"""A tiny client that keeps rows by tags and conditions, as PROTOCOL 3.5 says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness.electric.builders import Caller, Got


@dataclass(slots=True)
class Kept:
    """A row, visible or about to go, with what decides that."""

    value: dict[str, str | None]
    tags: list[list[str]]
    active: list[bool]

    @property
    def visible(self) -> bool:
        """Some tag has all of its filled slots active."""
        return any(
            all(holds for slot, holds in zip(slots, self.active, strict=True) if slot) for slots in self.tags
        )


@dataclass(slots=True)
class TaggedFollower:
    """A shape's rows as a client has them that understands events."""

    caller: Caller
    query: Mapping[str, str]
    rows: dict[str, Kept] = field(default_factory=dict)
    position: dict[str, str] = field(default_factory=lambda: {"offset": "-1"})
    lsn: int = 0
    rotations: int = 0
    events: list[str] = field(default_factory=list)

    async def catch_up(self) -> None:
        """Follow to the next up-to-date."""
        while True:
            if self.take(await self.caller.get({**self.query, **self.position})):
                return

    async def reach(self, lsn: int) -> None:
        """Follow until everything up to an LSN is folded in."""
        while self.lsn < lsn:
            await self.catch_up()

    def take(self, got: Got) -> bool:
        """Fold one answer; say whether it ends up to date."""
        if got.status == 409:
            self.rows.clear()
            self.position = {"offset": "-1"}
            self.rotations += 1
            return False
        assert got.status == 200, got.text
        for message in got.messages:
            self._fold(message)
        self.position = {"offset": got.headers["electric-offset"], "handle": got.headers["electric-handle"]}
        return "electric-up-to-date" in got.headers

    def _fold(self, message: dict[str, object]) -> None:
        headers = cast("dict[str, object]", message["headers"])
        if headers.get("control") == "up-to-date":
            self.lsn = int(str(headers["global_last_seen_lsn"]))
        if "event" in headers:
            self._move(headers)
        if "operation" not in headers:
            return
        key, value = str(message["key"]), cast("dict[str, str | None]", message["value"])
        tags = [tag.split("/") for tag in cast("list[str]", headers["tags"])]
        active = cast("list[bool]", headers["active_conditions"])
        match headers["operation"]:
            case "insert":
                self.rows[key] = Kept(
                    {name: _plain(text) for name, text in value.items()}, tags, list(active)
                )
            case "update":
                row = self.rows[key]
                kept = {"/".join(tag) for tag in tags}
                assert not kept & set(cast("list[str]", headers["removed_tags"]))
                self.rows[key] = Kept(row.value | value, tags, list(active))
            case _:
                del self.rows[key]
        assert headers["operation"] == "delete" or self.rows[key].visible

    def _move(self, headers: Mapping[str, object]) -> None:
        self.events.append(str(headers["event"]))
        for pattern in cast("list[dict[str, object]]", headers["patterns"]):
            at = int(str(pattern["pos"]))
            for key, row in list(self.rows.items()):
                if any(slots[at] == pattern["value"] for slots in row.tags):
                    row.active[at] = headers["event"] == "move-in"
                    if not row.visible:
                        del self.rows[key]


def _plain(text: str | None) -> str | None:
    """Booleans are true and false in snapshots, t and f in changes."""
    return {"true": "t", "false": "f"}.get(text, text) if text is not None else None
