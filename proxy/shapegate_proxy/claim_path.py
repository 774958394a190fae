"""Where a claim is found in a token, as a configuration writes it. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from typing import Final

PATH_NAMES_MAX: Final = 8
EXPECTED: Final = (
    'expected a path like "app_metadata.org_id", or a list of names where a name has other characters: '
    '["https://app.example/org"]'
)

ClaimPath = tuple[str, ...]
"""The names to follow from the top of the token's body, one or more."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def parse_claim_path(value: object) -> ClaimPath | None:
    """Read plain names with dots between them, or a list of names of any characters; None for all else."""
    if isinstance(value, str):
        path = tuple(value.split("."))
        fits = all(_PLAIN.fullmatch(name) for name in path)
    else:
        listed = value if isinstance(value, list) else []
        path = tuple(name for name in listed if isinstance(name, str) and name)
        fits = len(path) == len(listed)
    return path if fits and 0 < len(path) <= PATH_NAMES_MAX else None


def print_claim_path(path: ClaimPath) -> str:
    """Print as TOML's text where that reads back alike, else as its list."""
    return ".".join(path) if all(_PLAIN.fullmatch(name) for name in path) else str(list(path))
