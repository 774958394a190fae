"""Which texts a value of a request may be. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from typing import Final

from shapegate_wire.errors import WireError

VALUE_CHARS_MAX: Final = 8_000

_NOT_TEXT: Final = re.compile("[\x00\ufffd\ud800-\udfff]")
"""NUL, and what decoders make of bytes that are no UTF-8: U+FFFD or lone surrogates."""


def check_text(text: str, *, chars_max: int = VALUE_CHARS_MAX) -> None:
    """Refuse what Postgres has no text for, and what is too long to read. Raises WireError."""
    if _NOT_TEXT.search(text):
        raise WireError("is not valid UTF-8 text")
    if len(text) > chars_max:
        raise WireError(f"has {len(text)} characters: at most {chars_max} are read")
