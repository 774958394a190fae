"""Which live value stands for which recorded one, learned answer by answer. Pure.

A value that varies from run to run is compared by relation: what was the same is the same again, what was
different is different, and what was larger is larger. Each method takes a recorded and a live value and
returns what is wrong with the pair, or None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_HANDLE: Final = re.compile(r"[0-9]+-[0-9]{16}", re.ASCII)
_OFFSET: Final = re.compile(r"(-1|[0-9]+)(?:_([0-9]+|inf))?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_POSITION: Final = re.compile(r"(?<=[?&])(handle|offset|cursor)=([^&]*)")
_LSN_MIN: Final = 100_000
"""Smaller first parts of an offset are not from Postgres' log, and are the same everywhere."""
_LAST: Final = 1 << 64
"""What `inf` counts as."""
_CURSOR_JUMP_MAX: Final = 3_600

LSN: Final = "lsn"
XID: Final = "transaction id"


@dataclass(frozen=True, slots=True)
class _Pair:
    recorded: int
    live: int
    exact: bool
    """Whether it names one event, not just a moment between events."""


@dataclass(slots=True)
class Correspondence:
    """All pairs of one replay."""

    _live: dict[tuple[str, str], str] = field(default_factory=dict)
    _recorded: dict[tuple[str, str], str] = field(default_factory=dict)
    _ordered: dict[str, list[_Pair]] = field(default_factory=dict)

    def same(self, kind: str, recorded: str, live: str) -> str | None:
        """Pair two values one to one."""
        paired = self._live.setdefault((kind, recorded), live)
        if paired != live:
            return f"the {kind} that was {paired} before"
        back = self._recorded.setdefault((kind, live), recorded)
        if back != recorded:
            return f"another {kind} than the one for {back}"
        return None

    def ordered(self, kind: str, recorded: int, live: int, *, exact: bool) -> str | None:
        """Pair two numbers so that their order is that of all pairs of the kind before.

        Two exact ones that differ in the recording differ here, too; others may fall together.
        """
        pairs = self._ordered.setdefault(kind, [])
        for known in pairs:
            if known.recorded == recorded:
                continue
            low, high = (known.live, live) if known.recorded < recorded else (live, known.live)
            if low > high or (low == high and known.exact and exact):
                return f"a {kind} that is to {known.live} as {recorded} is to {known.recorded}"
        pairs.append(_Pair(recorded, live, exact))
        return None

    def handle(self, recorded: str, live: str) -> str | None:
        """Pair two handles."""
        if not _HANDLE.fullmatch(live):
            return "digits, a dash and 16 digits"
        return self.same("handle", recorded, live)

    def hash(self, recorded: str, live: str) -> str | None:
        """Pair two slots of a tag: empty and `1` are the same everywhere."""
        if not _HASH.fullmatch(recorded):
            return None if live == recorded else repr(recorded)
        return self.same("hash", recorded, live) if _HASH.fullmatch(live) else "32 hexadecimal digits"

    def number(self, kind: str, recorded: str, live: str, *, exact: bool) -> str | None:
        """Pair two numbers that are texts."""
        if not _NUMBER.fullmatch(live):
            return "decimal digits"
        if kind == LSN and int(recorded) < _LSN_MIN:
            return None if live == recorded else repr(recorded)
        if not exact and kind == LSN and self._position(kind, recorded) not in (recorded, live):
            # Where the recorded position was that of a change, it is here, too.
            return f"the lsn {self._position(kind, recorded)} of a change"
        problem = self.same(kind, recorded, live) if exact else None
        return problem or self.ordered(kind, int(recorded), int(live), exact=exact)

    def offset(self, recorded: str, live: str, *, any_op: bool = False) -> str | None:
        """Pair two offsets; `any_op` where a chunk may end some messages earlier or later."""
        if ("offset", recorded) in self._live:
            return self.same("offset", recorded, live)
        one, other = _OFFSET.fullmatch(recorded), _OFFSET.fullmatch(live)
        if one is None or other is None:
            return None if recorded == live else repr(recorded)
        problem = self.number(LSN, one[1], other[1], exact=True) if one[1] != "-1" else None
        if problem is None and one[1] == "-1" and live != recorded:
            problem = repr(recorded)
        if problem is None and one[2] != other[2] and not any_op:
            problem = f"the operation {one[2]}"
        if problem is None:
            problem = self.ordered("offset", _place(one), _place(other), exact=True)
        return problem or self.same("offset", recorded, live)

    def etag(self, recorded: str, live: str, *, any_op: bool = False) -> str | None:
        """Pair two tags: handle, asked offset, offset, and a unique number where there was one."""
        ones, others = recorded.strip('"').split(":"), live.strip('"').split(":")
        if len(ones) != len(others) or len(ones) < 3 or live != f'"{live.strip(chr(34))}"':
            return f"{len(ones)} parts in quotes, as in {recorded}"
        return (
            self.handle(ones[0], others[0])
            or self.offset(ones[1], others[1])
            or self.offset(ones[2], others[2], any_op=any_op)
            or (None if all(re.fullmatch(r"-?[0-9]+", part) for part in others[3:]) else "a unique number")
        )

    def cursor(self, recorded: str, live: str, *, sent: int | None) -> str | None:
        """Pair two cursors; one that does not get beyond what was sent would serve a cached answer."""
        if not _NUMBER.fullmatch(live):
            return "decimal digits"
        if sent is not None and int(live) <= sent:
            return f"more than the {sent} that was sent"
        # A cursor names a moment: the same one stands for several live ones.
        self._live["cursor", recorded] = live
        return None

    def target(self, recorded: str) -> str:
        """Print a recorded request target with the positions of this run."""

        def live(found: re.Match[str]) -> str:
            return f"{found[1]}={self._position(found[1], found[2])}"

        return _POSITION.sub(live, recorded)

    def if_none_match(self, recorded: str) -> str:
        """Print a recorded `if-none-match` with the positions of this run."""
        parts = recorded.strip('"').split(":")
        if len(parts) < 3:
            return recorded
        handle, *offsets = parts
        live = [self._position("handle", handle), *(self._position("offset", each) for each in offsets)]
        return f'"{":".join(live)}"'

    def _position(self, kind: str, recorded: str) -> str:
        """Find the live counterpart; what no answer held is sent as it was."""
        return self._live.get((kind, recorded), recorded)


def _place(offset: re.Match[str]) -> int:
    """Print an offset's order as one number."""
    op = _LAST - 1 if offset[2] == "inf" else int(offset[2] or 0)
    return int(offset[1]) * _LAST + op


def sent_cursor(target: str) -> int | None:
    """Read the cursor of a request target; None if it has none."""
    found = re.search(r"[?&]cursor=([0-9]+)", target)
    return None if found is None else int(found[1])
