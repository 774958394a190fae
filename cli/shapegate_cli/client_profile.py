"""What the `shapegate client` commands share: the login's addresses, a session, and their failures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from shapegate_cli.problems import Failed, Misused, NotAllowed, Unreachable
from shapegate_client import IssuerCredentials, OfflineSince, Session, errors, system_keyring
from shapegate_client.config import BadAddress
from shapegate_client.errors import (
    ClientError,
    KeyringFailed,
    LoginRefused,
    LoginRequired,
    NotAMember,
    NotLoggedIn,
    NotUpToDate,
    ShapeRefused,
    StoreDamaged,
    StoreMismatch,
    TokenRejected,
)
from shapegate_client.files import ensure_folder, read_private, write_private
from shapegate_client.home import Home, owner_of
from shapegate_client.unfinished import active_principal
from shapegate_wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from shapegate_client import ClientSettings

T = TypeVar("T")

OFFLINE_SECONDS: Final = 5.0
"""How long `sync` goes on trying a proxy that does not answer."""


class MustResync(Failed):
    """The local rows cannot be used any more; they are copies, so sync again."""

    exit_code = 5


_FAILURES: Final[tuple[tuple[tuple[type[ClientError], ...], type[Failed]], ...]] = (
    ((BadAddress,), Misused),
    ((errors.Unreachable,), Unreachable),
    ((NotLoggedIn, LoginRequired, LoginRefused, NotAMember, TokenRejected, KeyringFailed), NotAllowed),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where this home's login came from; holds no secret."""

    home: Path
    issuer_url: str
    proxy_url: str

    def credentials(self) -> IssuerCredentials:
        """Make the credentials that keep their login in this home. Raises BadAddress or StoreFailed."""
        return IssuerCredentials(self.issuer_url, home=self.home, keyring=system_keyring())


def read_profile(home: Path) -> Profile:
    """Read the addresses of the login. Raises Failed if nobody ever logged in here."""
    try:
        loaded = json.loads(read_private(home / "profile.json") or b"")
        return Profile(home=home, issuer_url=str(loaded["issuer_url"]), proxy_url=str(loaded["proxy_url"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise _failed(NotLoggedIn()) from exc
    except ClientError as exc:
        raise _failed(exc) from exc


def write_profile(profile: Profile) -> None:
    """Keep the addresses for the commands that follow. Raises StoreFailed."""
    ensure_folder(profile.home)
    addresses = {"issuer_url": profile.issuer_url, "proxy_url": profile.proxy_url}
    write_private(profile.home / "profile.json", json.dumps(addresses).encode())


def read_password(*, from_stdin: bool) -> str:
    """Take the password from standard input, SHAPEGATE_PASSWORD or a prompt. Raises Failed."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if given := os.environ.get("SHAPEGATE_PASSWORD"):
        return given
    if not sys.stdin.isatty():
        raise Misused("no password: set SHAPEGATE_PASSWORD or give --password-stdin")
    return str(click.prompt("Password", hide_input=True, err=True))


@contextlib.asynccontextmanager
async def session_of(home: Path, settings: ClientSettings | None = None) -> AsyncIterator[Session]:
    """Open the session of the login in this home."""
    profile = read_profile(home)
    async with (
        profile.credentials() as credentials,
        Session.open(profile.proxy_url, credentials, home=home, settings=settings) as session,
    ):
        yield session


async def remove_rows(home: Path) -> None:
    """Remove the rows of the org in use, so that they are synced anew. Raises StoreError or NotLoggedIn."""
    folder = Home(home)
    async with read_profile(home).credentials() as credentials:
        folder.remove_store(owner_of(await active_principal(folder, credentials)))


async def until_up_to_date(session: Session, seconds: float) -> None:
    """Wait for up-to-date, but not long for a proxy that does not answer. Raises Failed or ClientError."""
    done = asyncio.create_task(session.up_to_date(timeout=seconds))
    offline = asyncio.create_task(session.reached(OfflineSince, timeout=seconds))
    try:
        await asyncio.wait([done, offline], return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            await asyncio.wait([done], timeout=OFFLINE_SECONDS)
        while not done.done() and not isinstance(session.status, OfflineSince):
            await asyncio.wait([done], timeout=OFFLINE_SECONDS)
        if not done.done():
            raise Unreachable("the proxy is unreachable: `shapegate client query` reads local rows")
        await done
    except NotUpToDate as exc:
        raise (Unreachable if isinstance(session.status, OfflineSince) else Failed)(str(exc)) from exc
    finally:
        for task in (done, offline):
            task.cancel()
        await asyncio.gather(done, offline, return_exceptions=True)


def run(work: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine yields to the loop
    """Run a command's work. Raises Failed for everything that a user can act on."""
    try:
        return asyncio.run(work)
    except ClientError as exc:
        raise _failed(exc) from exc
    except WireError as exc:
        raise Misused(str(exc)) from exc


def _failed(exc: ClientError) -> Failed:
    if isinstance(exc, ShapeRefused):
        return (NotAllowed if exc.status in (401, 403) else Failed)(str(exc))
    if isinstance(exc, StoreDamaged | StoreMismatch):
        return MustResync(f"{exc} (shapegate client sync --fresh TABLE...)")
    return next((failed for kinds, failed in _FAILURES if isinstance(exc, kinds)), Failed)(str(exc))
