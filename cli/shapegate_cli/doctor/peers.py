"""What Electric, the gate and the issuers answer, and what it means. Pure: no I/O, no clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_cli.doctor.answered import Answered, Silent
from shapegate_cli.doctor.line import fail, ok, warning
from shapegate_proxy.electric import VERSION_MIN, ElectricState, read_state
from shapegate_proxy.jwks import parse_keys
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_cli.doctor.answered import Reply
    from shapegate_cli.doctor.line import Line
    from shapegate_proxy.config import Secret

SECRET_BYTES_MIN: Final = 16
"""Of Electric's secret: what is shorter can be guessed by whoever reaches Electric."""
CLOCK_SECONDS: Final = 2.0
"""Clocks that are kept by NTP differ by less."""
_UNAUTHORIZED: Final = 401
_VERSION: Final = ".".join(map(str, VERSION_MIN))


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectricReplies:
    """What Electric answered; the requests for shapes name no table, so that they make none."""

    health: Reply
    with_secret: Reply
    without: Reply
    spelled_otherwise: Reply
    """Without the secret too, at another spelling of the same path (PROTOCOL 8)."""


def judge_health(reply: Reply) -> Iterator[Line]:
    """Judge whether Electric is up, in what version."""
    if isinstance(reply, Silent):
        yield fail("electric", "health", f"no answer ({reply.reason})", "start Electric, check ELECTRIC_URL")
        return
    server = reply.headers.get(names.ELECTRIC_SERVER, "")
    state = read_state(reply.status, server, reply.body)
    match state:
        case ElectricState.ACTIVE:
            yield ok("electric", "health", f"active, {server or 'in a version that it does not tell'}")
        case ElectricState.STARTING:
            seen = "starting: it has no connection to its database"
            yield fail("electric", "health", seen, "look into Electric's log, check its DATABASE_URL")
        case ElectricState.WAITING:
            seen = "waiting: another Electric has its replication slot"
            yield fail(
                "electric", "health", seen, "stop one, or give it another ELECTRIC_REPLICATION_STREAM_ID"
            )
        case ElectricState.OUTDATED:
            seen = f"{server}: expected {_VERSION} or later, as earlier ones check their secret in part"
            yield fail("electric", "version", seen, "upgrade Electric")
        case ElectricState.UNREACHABLE:
            seen = f"answers {reply.status}, which no Electric does"
            yield fail("electric", "health", seen, "check ELECTRIC_URL: it is what stands before /v1/health")
        case _:
            assert_never(state)


def judge_secret(secret: Secret | None, replies: ElectricReplies) -> Iterator[Line]:
    """Judge whether Electric takes the gate's secret, and nobody without one."""
    if secret is None:
        seen = "there is none: whoever reaches Electric reads the rows of every org"
        yield warning("electric", "ELECTRIC_SECRET", seen, "run Electric and the gate with a secret")
        return
    found: list[Line] = []
    if len(secret.reveal().encode()) < SECRET_BYTES_MIN:
        seen = (
            f"is shorter than {SECRET_BYTES_MIN} bytes: expected a random text, as it opens every org's rows"
        )
        found.append(
            fail("configuration", "ELECTRIC_SECRET", seen, "give Electric and the gate a longer one")
        )
    for reply, what in (
        (replies.without, ""),
        (replies.spelled_otherwise, " at another spelling of its path"),
    ):
        if isinstance(reply, Answered) and reply.status != _UNAUTHORIZED:
            seen = f"answers {reply.status} without the secret{what}: expected {_UNAUTHORIZED}"
            remedy = "run it with ELECTRIC_SECRET, in the newest version, where no client can reach it"
            found.append(fail("exposure", "Electric", seen, remedy))
    if isinstance(replies.with_secret, Answered) and replies.with_secret.status == _UNAUTHORIZED:
        seen = "refuses the gate's ELECTRIC_SECRET: expected the one that it runs with"
        found.append(fail("electric", "ELECTRIC_SECRET", seen, "give the gate Electric's own secret"))
    if not found and isinstance(replies.with_secret, Answered):
        found.append(ok("electric", "ELECTRIC_SECRET", "is Electric's, and nobody is let in without it"))
    yield from found


def judge_gate(reply: Reply) -> Line:
    """Judge whether the gate can serve."""
    if isinstance(reply, Silent):
        remedy = "start it, or name its address by --proxy-url"
        return fail("gate", "health", f"no answer ({reply.reason})", remedy)
    if reply.status == 200:
        return ok("gate", "health", "ready")
    parts = ", ".join(f"{name}: {word}" for name, word in _parts(reply.body) if word not in ("ok", "active"))
    seen = f"answers {reply.status} ({parts or 'it names no part'}): expected it to be ready"
    return fail("gate", "health", seen, "look into its log; /health/detailed names its parts")


def judge_keys(issuer: str, reply: Reply) -> Line:
    """Judge the keys that an issuer publishes."""
    if isinstance(reply, Silent):
        return fail("keys", issuer, f"no answer ({reply.reason})", "check JWKS_URL and the network")
    keys = parse_keys(reply.body) if reply.status == 200 else None
    if keys is None:
        seen = f"answers {reply.status} without a fit key: expected RSA, P-256 or Ed25519, with a kid"
        return fail("keys", issuer, seen, "check JWKS_URL, and what the issuer signs with")
    return ok("keys", issuer, f"{len(keys)} fit to verify")


def judge_clock(whose: str, offset_seconds: float, *, leeway_seconds: float) -> Line:
    """Judge by how much a clock differs from this machine's."""
    seen = f"{abs(offset_seconds):.1f} s {'ahead of' if offset_seconds > 0 else 'behind'} this machine's"
    remedy = "keep all clocks by NTP: tokens count by them"
    if abs(offset_seconds) > leeway_seconds:
        text = f"{seen}: expected less than the {leeway_seconds:g} s that tokens are given"
        return fail("clock", whose, text, remedy)
    if abs(offset_seconds) > CLOCK_SECONDS:
        return warning("clock", whose, seen, remedy)
    return ok("clock", whose, "agrees with this machine's")


def _parts(body: bytes) -> list[tuple[str, str]]:
    """Read what the gate says of its parts; nothing if this is no gate."""
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        return []
    checks = said.get("checks") if isinstance(said, dict) else None
    return [(str(name), str(word)) for name, word in checks.items()] if isinstance(checks, dict) else []
