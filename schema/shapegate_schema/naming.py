"""What an org and its owner may be called. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from typing import Final

from shapegate_schema.errors import InvalidName

SLUG_CHARS_MAX: Final = 63
NAME_CHARS_MAX: Final = 200
EMAIL_CHARS_MAX: Final = 320

_SLUG: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_EMAIL: Final = re.compile(r"[^\s@]{1,64}@[^\s@.]+(?:\.[^\s@.]+)*")


def check_names(*, slug: str, name: str, owner_email: str) -> None:
    """Return if all three can be stored and shown. Raises InvalidName, which names every problem."""
    problems = [*_slug_problems(slug), *_name_problems(name), *_email_problems(owner_email)]
    if problems:
        raise InvalidName("; ".join(problems))


def check_slug(slug: str) -> None:
    """Return if a slug can be one. Raises InvalidName."""
    if problems := _slug_problems(slug):
        raise InvalidName("; ".join(problems))


def _slug_problems(slug: str) -> list[str]:
    # Where an org is named by slug or id, a slug that looks like an id would be taken for one.
    if len(slug) <= SLUG_CHARS_MAX and _SLUG.fullmatch(slug) and not _UUID.fullmatch(slug):
        return []
    return [
        f"the slug is {slug!r}: expected at most {SLUG_CHARS_MAX} characters, a lower-case letter first, "
        "then lower-case letters and digits with single hyphens between them, and no UUID"
    ]


def _name_problems(name: str) -> list[str]:
    if 1 <= len(name) <= NAME_CHARS_MAX and name.isprintable() and name == name.strip():
        return []
    return [
        f"the name is {name!r}: expected 1 to {NAME_CHARS_MAX} printable characters without blanks around"
    ]


def _email_problems(email: str) -> list[str]:
    if len(email) <= EMAIL_CHARS_MAX and email.isprintable() and _EMAIL.fullmatch(email):
        return []
    return [f"the owner's e-mail address is {email!r}: expected one like ada@acme.example"]
