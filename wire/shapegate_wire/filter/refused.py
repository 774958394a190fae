"""Why a filter or an ordering is refused."""

from __future__ import annotations

from typing import Final

from shapegate_wire.errors import WireError

SHOWN_CHARS_MAX: Final = 40
"""Input that a message may repeat: enough to find the place, too little to hold a secret's worth of text."""


class FilterRefused(WireError):
    """A filter or an ordering outside of the closed grammar (SECURITY: the client filter)."""

    def __init__(self, position: int, seen: str, expected: str, advice: str = "") -> None:
        self.position = position
        """Characters before the place, from 0; for the value of `$n`, the place of the `$n`."""
        self.seen = shown(seen)
        self.expected = expected
        self.advice = advice
        hint = f"; {advice}" if advice else ""
        super().__init__(f"at position {position}: {self.seen}: expected {expected}{hint}")


def shown(text: str) -> str:
    """Quote the input for a message, cut to its first 40 characters; nothing seen is the end."""
    if not text:
        return "the end"
    cut = text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
    return ascii(cut)
