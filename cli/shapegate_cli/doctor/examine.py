"""Looks at one deployment from all sides: the order of the checks, and what each of them needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_cli.doctor.acting import ORGS_MAX, open_application, read_orgs
from shapegate_cli.doctor.answered import Answered
from shapegate_cli.doctor.asking import open_asker
from shapegate_cli.doctor.comparing import SYNC_SECONDS, Comparison
from shapegate_cli.doctor.fit import comparable, judge_fit, org_table
from shapegate_cli.doctor.isolation import judge_isolation
from shapegate_cli.doctor.line import Line, Verdict, fail, ok, warning
from shapegate_cli.doctor.peers import (
    ElectricReplies,
    judge_clock,
    judge_gate,
    judge_health,
    judge_keys,
    judge_secret,
)
from shapegate_cli.doctor.reading import DatabaseSilent, clock_offset_seconds, open_database, read_facts
from shapegate_cli.doctor.replication import judge_publication, judge_server, judge_slots
from shapegate_cli.doctor.roles import judge_app_role, judge_electric_role
from shapegate_proxy.policy import Policy
from shapegate_wire import names as wire_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from datetime import datetime

    import asyncpg
    from yarl import URL

    from shapegate_cli.doctor.answered import Reply
    from shapegate_cli.doctor.asking import Asker
    from shapegate_cli.doctor.configured import Configured
    from shapegate_cli.doctor.facts import Facts, Names
    from shapegate_cli.doctor.visitors import Visitors
    from shapegate_proxy.config import Secret
    from shapegate_wire.identifier import TableName

_SERVING: Final = frozenset({"electric", "gate"})
"""The checks without which nothing can be synced, and each table would be waited for in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One deployment, as far as the doctor was told of it."""

    configured: Configured
    names: Names
    gate_url: URL | None
    """None if nobody says where it answers."""
    database_url: str | None
    """Of any role; None leaves Postgres out."""
    app_database_url: str | None
    """None lets the role of `database_url` act as the application's."""
    visitors: Visitors | None
    """None leaves the comparison out."""
    orgs: tuple[str, ...] = ()
    """Those to compare; empty means all."""
    tables: frozenset[TableName] = frozenset()
    """Those to compare; empty means all."""
    clock: Callable[[], datetime]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    sync_seconds: float = SYNC_SECONDS
    """How long one table may take to be up to date."""


async def examine(case: Case) -> AsyncIterator[Line]:
    """Yield each finding as it comes; nothing is changed anywhere, but that clients sync."""
    for line in _judge_configuration(case.configured):
        yield line
    serving = case.gate_url is not None
    async with open_asker(case.clock) as asker:
        async for line in _judge_peers(case, asker):
            serving = serving and (line.check not in _SERVING or line.verdict is not Verdict.FAIL)
            yield line
    if case.database_url is None:
        seen = "no URL was given, so neither Postgres nor the agreement of sync and RLS is looked at"
        yield warning("postgres", "database", seen, "give --database-url, or DATABASE_URL")
        return
    try:
        async with open_database(case.database_url) as connection:
            async for line in _judge_database(case, connection, serving=serving):
                yield line
    except DatabaseSilent as exc:
        yield fail("postgres", "database", str(exc), "check DATABASE_URL and the server")


def _judge_configuration(configured: Configured) -> Iterator[Line]:
    remedy = "correct it; `shapegate config` tells the same"
    yield from (fail("configuration", "gate", problem, remedy) for problem in configured.problems)
    if not configured.problems:
        yield ok("configuration", "gate", "the gate would start with it")


async def _judge_peers(case: Case, asker: Asker) -> AsyncIterator[Line]:
    """Ask Electric, every issuer and the gate, and look at their clocks on the way."""
    configured = case.configured
    clocks: dict[str, Reply] = {}
    if configured.electric_url is not None:
        replies = await _ask_electric(asker, configured.electric_url, configured.electric_secret)
        clocks["Electric"] = replies.health
        for line in (*judge_health(replies.health), *judge_secret(configured.electric_secret, replies)):
            yield line
    for issuer in configured.issuers:
        if issuer.jwks_url is not None:
            clocks[issuer.issuer] = await asker.get(issuer.jwks_url)
            yield judge_keys(issuer.issuer, clocks[issuer.issuer])
    if case.gate_url is not None:
        clocks["the gate"] = await asker.get(case.gate_url / "health" / "detailed")
        yield judge_gate(clocks["the gate"])
    for whose, reply in clocks.items():
        offset = reply.offset_seconds() if isinstance(reply, Answered) else None
        if offset is not None:
            yield judge_clock(whose, offset, leeway_seconds=configured.leeway_seconds)


async def _ask_electric(asker: Asker, url: URL, secret: Secret | None) -> ElectricReplies:
    """Ask for health, and for a shape without a table, which Electric refuses only after the secret."""
    start = {wire_names.OFFSET: "-1"}
    with_secret = start if secret is None else {**start, wire_names.SECRET: secret.reveal()}
    shape = url.joinpath("v1", "shape")
    health, accepted, without, otherwise = await asyncio.gather(
        asker.get(url.joinpath("v1", "health")),
        asker.get(shape.with_query(with_secret)),
        asker.get(shape.with_query(start)),
        asker.get(url.joinpath("v1", "shape", "").with_query(start)),
    )
    return ElectricReplies(health=health, with_secret=accepted, without=without, spelled_otherwise=otherwise)


async def _judge_database(
    case: Case, connection: asyncpg.Connection, *, serving: bool
) -> AsyncIterator[Line]:
    policy, leeway = case.configured.policy, case.configured.leeway_seconds
    offset = await clock_offset_seconds(connection, case.clock)
    yield judge_clock("Postgres", offset, leeway_seconds=leeway)
    if policy is None:
        yield warning("policy", "tables", "there is no policy to compare with", "set SHAPEGATE_POLICY")
    facts = await read_facts(connection, policy or Policy(tables={}), case.names)
    for line in _judge_facts(policy or Policy(tables={}), facts, case.names):
        yield line
    if policy is None or case.visitors is None or case.gate_url is None or not serving:
        why = "Electric or the gate does not serve" if case.visitors else "there is nobody to sync as"
        remedy = "mend what failed above"
        if case.visitors is None:
            remedy = "give --token-command, with the issuer of its tokens configured, or --stack"
        yield warning("agreement", "sync and RLS", f"not compared: {why}", remedy)
        return
    async for line in _judge_agreement(case, policy, facts, connection, case.visitors, case.gate_url):
        yield line


def _judge_facts(policy: Policy, facts: Facts, names: Names) -> Iterator[Line]:
    own = [table for table, met in facts.guarded.items() if not met.electric_owns]
    electric = facts.roles.get(names.electric_role)
    yield from judge_server(facts.server)
    yield from judge_slots(facts, names)
    yield from judge_publication(facts.publication, own, names)
    yield from judge_electric_role(names.electric_role, electric, policy, facts.guarded)
    yield from judge_app_role(names.app_role, facts.roles.get(names.app_role))
    yield from judge_isolation(policy, facts.guarded, names)
    yield from judge_fit(policy, facts)


async def _judge_agreement(
    case: Case,
    policy: Policy,
    facts: Facts,
    connection: asyncpg.Connection,
    visitors: Visitors,
    gate_url: URL,
) -> AsyncIterator[Line]:
    orgs = case.orgs or visitors.orgs or await read_orgs(connection, org_table(policy, facts))
    if not orgs:
        yield warning("agreement", "orgs", "this role finds none in the database", "name them by --org")
    if len(orgs) > ORGS_MAX:
        yield warning("agreement", "orgs", f"there are more than {ORGS_MAX}", "name the others by --org")
    async with open_application(case.app_database_url, connection, case.names) as application:
        if isinstance(application, Line):
            yield application
            return
        comparison = Comparison(
            proxy_url=gate_url,
            application=application,
            tables=[
                (policy.tables[name], facts.catalogue.tables[name])
                for name in comparable(policy, facts)
                if not case.tables or name in case.tables
            ],
            pause=case.pause,
            sync_seconds=case.sync_seconds,
        )
        async for line in comparison.compare(orgs[:ORGS_MAX], visitors):
            yield line
