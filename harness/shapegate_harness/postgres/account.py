"""The account that runs the server: ourselves, or `nobody` when we are root, as Postgres refuses root."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.postgres.command import ENVIRONMENT
from shapegate_harness.postgres.errors import AccountUnavailable, PlatformUnsupported

if sys.platform != "win32":
    import pwd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NAME: Final = "nobody"
_PROBE_SECONDS: Final = 10.0
"""A few milliseconds, unless a folder lies on a network disk that does not answer."""

_FIRST_CLOSED: Final = (
    'i=0; for p do if [ -d "$p" ]; then [ -x "$p" ]; else [ -r "$p" ]; fi || { echo "$i"; exit; }; '
    "i=$((i+1)); done; echo none"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An unprivileged account, not ours."""

    name: str
    uid: int
    gid: int


def server_account(name: str = _NAME) -> Account | None:
    """Return the account the server must run as; None: as ourselves, who are not root.

    Raises PlatformUnsupported on Windows, AccountUnavailable if we are root and there is no such account.
    """
    if sys.platform == "win32":
        raise PlatformUnsupported("the embedded Postgres runs on Linux and macOS only; on Windows use WSL")
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError as exc:
        raise AccountUnavailable(
            f"Postgres refuses to run as root, and there is no account {name!r} to run it instead; "
            "add that account, or start as an ordinary user"
        ) from exc
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


async def first_closed(paths: Sequence[Path], *, account: Account) -> Path | None:
    """Return the first of `paths` that the account may not enter (a folder) or read (a file).

    It is tried, as that account, rather than computed: mode bits do not tell of ACLs and mount options.
    Raises AccountUnavailable if we may not run programs as the account.
    """
    index = await asyncio.to_thread(_first_closed, paths, account)
    return None if index is None else paths[index]


def _first_closed(paths: Sequence[Path], account: Account) -> int | None:
    try:
        tried = subprocess.run(  # noqa: S603  # a fixed script; the paths are its arguments
            ("/bin/sh", "-c", _FIRST_CLOSED, "sh", *paths),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_PROBE_SECONDS,
            env=dict(ENVIRONMENT),
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except (OSError, subprocess.SubprocessError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise AccountUnavailable(
            f"Postgres refuses to run as root, and nothing can be run as {account.name!r} here ({reason}); "
            "start as an ordinary user, or allow this container to change accounts (setuid)"
        ) from exc
    answer = tried.stdout.decode().strip()
    return None if answer == "none" else int(answer)
