"""The gate as a process of its own, in the variants that are compared.

How a variant is told to the gate stands here only: in `environment_of` and `ABLE`.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import jwt

from benchmarks.running import HOST, free_port, run_process
from benchmarks.target import Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

ABLE: Final = frozenset({"cache", "collapse", "workers"})
"""What the gate can do by now, of "cache", "collapse" and "workers".

A figure that needs what is not named here is skipped; what is named here has to work.
"""
ORG: Final = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
_ISSUER: Final = "urn:bench:issuer"
_AUDIENCE: Final = "shapegate"
_TOKEN_SECRET: Final = "a secret of the bench, longer than 32 bytes"  # noqa: S105  # proves nothing elsewhere
_TOKEN_SECONDS: Final = 3_600
_TABLE: Final = """
[tables.{name}]
scope = "organization_id = {{org}}"

[tables.{name}.columns]
id = "uuid"
organization_id = "uuid"
name = "text"
"""
_TABLES: Final = ("tiny", "kept", "long", "long_kept", "live")
_PASSED: Final = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
"""Of the environment; PYTHONPATH lets another checkout be measured."""
_MANY: Final = 1_000_000
"""As good as no limit: what is measured is not how the gate refuses."""
_CACHE_BYTES: Final = 64 * 1_024 * 1_024
_CONNECTIONS: Final = 30_000
"""More than the open files of one process allow on most systems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How one gate is set up; the defaults are what is measured where nothing else is said."""

    client: Literal["lean", "aiohttp"] = "lean"
    """How it speaks to Electric."""
    collapse: bool = True
    """Whether requests for the same are asked once."""
    cache: bool = True
    workers: int = 1
    uvloop: bool = True


def environment_of(variant: Variant) -> Mapping[str, str]:
    """Say a variant in the gate's settings; a setting that the gate does not know is ignored by it."""
    return {
        "SHAPEGATE_UPSTREAM_CLIENT": variant.client,
        "SHAPEGATE_COLLAPSE": _word(variant.collapse),
        "SHAPEGATE_CACHE_BYTES": str(_CACHE_BYTES if variant.cache else 0),
        "SHAPEGATE_WORKERS": str(variant.workers),
        "SHAPEGATE_UVLOOP": _word(variant.uvloop),
    }


def _word(on: bool) -> str:
    return "true" if on else "false"


def print_policy() -> str:
    """Print a policy of all tables that are asked for."""
    return "version = 1\n" + "".join(_TABLE.format(name=name) for name in _TABLES)


def print_limits() -> str:
    """Print a configuration file with limits that nothing here reaches."""
    many = (
        "requests_per_principal",
        "live_per_principal",
        "requests_per_org",
        "initial_per_org",
        "shapes_per_hour_principal",
        "shapes_per_hour_org",
    )
    limits = dict.fromkeys(many, _MANY) | {"connections": _CONNECTIONS}
    return "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in limits.items())


@asynccontextmanager
async def run_gate(
    folder: Path,
    *,
    upstream: int,
    variant: Variant | None = None,
    name: str = "the gate",
    secret: str = "bench",  # noqa: S107  # of the stand-in, which asks for none
) -> AsyncIterator[Target]:
    """Run a gate before the upstream at that port within the block; its files are made in `folder`.

    Everything is on: a token to verify, the scope, metrics on a listener of their own, the log of warnings.
    Raises NotReady.
    """
    port, metrics = free_port(), free_port()
    policy, limits, log = (folder / f"gate {port}.{kind}" for kind in ("policy", "limits", "log"))
    policy.write_text(print_policy(), encoding="utf-8")
    limits.write_text(print_limits(), encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if name in _PASSED},
        "ELECTRIC_URL": f"http://{HOST}:{upstream}",
        "ELECTRIC_SECRET": secret,
        "SHARED_TOKEN_SECRET": _TOKEN_SECRET,
        "JWT_ISSUER": _ISSUER,
        "JWT_AUDIENCE": _AUDIENCE,
        "SHAPEGATE_POLICY": str(policy),
        "SHAPEGATE_CONFIG": str(limits),
        "FRONTEND_URL": "https://app.example",
        "HOST": HOST,
        "PORT": str(port),
        "METRICS_HOST": HOST,
        "METRICS_PORT": str(metrics),
        "LOG_LEVEL": "warning",
        **environment_of(variant or Variant()),
    }
    words = (sys.executable, "-m", "shapegate_cli", "proxy")
    async with run_process(words, port=port, log=log, environment=environment) as pid:
        yield Target(name=name, port=port, pid=pid, headers=bearer(0), metrics=metrics)


@asynccontextmanager
async def run_no_auth(folder: Path, *, upstream: int) -> AsyncIterator[Target]:
    """Run a relay of the gate's parts without token, scope and filter within the block. Raises NotReady."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name in _PASSED}
    words = (sys.executable, "-m", "benchmarks.no_auth", str(upstream), str(port))
    log = folder / f"no auth {port}.log"
    async with run_process(words, port=port, log=log, environment=environment) as pid:
        yield Target(name="without token and scope", port=port, pid=pid)


def bearer(number: int, *, org: str = ORG) -> Mapping[str, str]:
    """Sign a token of the user of that number, in one organization if no other is named."""
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "sub": f"11111111-1111-4111-8111-{number:012d}",
        "jti": f"22222222-2222-4222-8222-{number:012d}",
        "iat": now,
        "exp": now + _TOKEN_SECONDS,
        "organization_id": org,
        "role": "member",
    }
    return {"Authorization": f"Bearer {jwt.encode(claims, _TOKEN_SECRET, algorithm='HS256')}"}
