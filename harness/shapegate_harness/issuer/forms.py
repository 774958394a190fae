"""What callers send: JSON bodies of text fields, and the bearer token. Pure: no I/O, no clock.

A body is one JSON object, each name once; names that the endpoint does not know are refused, so that a
misspelt field is not silently without effect. Errors name fields, never values.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shapegate_harness.issuer.errors import MalformedAuthorization, MalformedBody, MissingToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

BODY_BYTES_MAX: Final = 16 * 1024
EMAIL_CHARS_MAX: Final = 320
PASSWORD_CHARS_MAX: Final = 1024
NEW_PASSWORD_CHARS_MIN: Final = 8
"""NIST SP 800-63B 5.1.1.2."""
REFRESH_TOKEN_CHARS_MAX: Final = 256

_BEARER: Final = re.compile(
    r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII | re.IGNORECASE
)
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginForm:
    """Who claims to be whom."""

    email: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshForm:
    """A refresh token to be exchanged."""

    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchForm:
    """The organization to switch to."""

    organization_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordForm:
    """A password, and the one that shall take its place."""

    current_password: str = field(repr=False)
    new_password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutForm:
    """What ends beside the session itself."""

    refresh_token: str | None = field(repr=False)


def parse_login(body: bytes) -> LoginForm:
    """Read the body of a login. Raises MalformedBody."""
    texts = _texts(body, required={"email": _email, "password": _text(PASSWORD_CHARS_MAX)})
    return LoginForm(email=texts["email"], password=texts["password"])


def parse_refresh(body: bytes) -> RefreshForm:
    """Read the body of a refresh. Raises MalformedBody."""
    return RefreshForm(
        refresh_token=_texts(body, required={"refresh_token": _text(REFRESH_TOKEN_CHARS_MAX)})[
            "refresh_token"
        ]
    )


def parse_switch(body: bytes) -> SwitchForm:
    """Read the body of a switch. Raises MalformedBody."""
    return SwitchForm(
        organization_id=UUID(_texts(body, required={"organization_id": _uuid})["organization_id"])
    )


def parse_password(body: bytes) -> PasswordForm:
    """Read the body of a change of password. Raises MalformedBody."""
    texts = _texts(
        body, required={"current_password": _text(PASSWORD_CHARS_MAX), "new_password": new_password_problem}
    )
    return PasswordForm(current_password=texts["current_password"], new_password=texts["new_password"])


def new_password_problem(text: str) -> str | None:
    """Say why a text cannot become a password; None if it can."""
    if 0 < len(text) < NEW_PASSWORD_CHARS_MIN:
        return f"has {len(text)} characters: expected at least {NEW_PASSWORD_CHARS_MIN}"
    return _text(PASSWORD_CHARS_MAX)(text)


def parse_logout(body: bytes) -> LogoutForm:
    """Read the body of a logout; no body at all is an empty object. Raises MalformedBody."""
    texts = _texts(body or b"{}", optional={"refresh_token": _text(REFRESH_TOKEN_CHARS_MAX)})
    return LogoutForm(refresh_token=texts.get("refresh_token"))


def parse_bearer(headers: Sequence[str]) -> str:
    """Read the token from all Authorization headers of a request (SECURITY I-15).

    Raises MissingToken if there is none, MalformedAuthorization if there are several or one of another kind.
    """
    if not headers:
        raise MissingToken
    matched = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
    if matched is None:
        raise MalformedAuthorization
    return matched[1]


def _texts(
    body: bytes,
    *,
    required: Mapping[str, Callable[[str], str | None]] | None = None,
    optional: Mapping[str, Callable[[str], str | None]] | None = None,
) -> Mapping[str, str]:
    """Read the text fields of a body; each check says what is wrong with a text, or None."""
    given = _object(body)
    checks = {**(required or {}), **(optional or {})}
    texts: dict[str, str] = {}
    problems = [f"{name} is missing" for name in required or {} if name not in given]
    if given.keys() - checks.keys():
        problems.append(f"only {', '.join(checks)} may be given")
    for name, check in checks.items():
        if name not in given:
            continue
        value = given[name]
        problem = check(value) if isinstance(value, str) else "is not a text"
        if problem is not None:
            problems.append(f"{name} {problem}")
        elif isinstance(value, str):
            texts[name] = value
    if problems:
        raise MalformedBody("; ".join(problems))
    return texts


def _object(body: bytes) -> Mapping[str, object]:
    try:
        value: object = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # Without the cause: a decoder's error quotes the body, which may hold a password.
        raise MalformedBody from None
    if not isinstance(value, dict):
        raise MalformedBody
    return value


def _once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise MalformedBody("a name is given twice in the body")
        members[name] = value
    return members


def _no_constant(_: str) -> object:
    raise MalformedBody("NaN and Infinity are not JSON")


def _text(chars_max: int) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        if not text:
            return "is empty"
        if len(text) > chars_max:
            return f"has {len(text)} characters: at most {chars_max} are read"
        if any("\ud800" <= char <= "\udfff" for char in text):
            return "is not valid Unicode"
        return None

    return check


def _email(text: str) -> str | None:
    if "\x00" in text:
        return "holds a NUL"
    return _text(EMAIL_CHARS_MAX)(text)


def _uuid(text: str) -> str | None:
    return None if _UUID.fullmatch(text) else "is not a UUID"
