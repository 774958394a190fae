"""The whole system in one process: Postgres, schema, seeds, a development Electric, an issuer and the gate.

Development use, on loopback only. Everything that is started inside of `open_stack` is stopped with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

import asyncpg
from yarl import URL

from shapegate_harness.electric import DevElectric
from shapegate_harness.issuer import IssuerSettings, TokenIssuer
from shapegate_harness.ports import HOST
from shapegate_harness.postgres import EmbeddedPostgres
from shapegate_proxy.app import load_policy, open_proxy
from shapegate_proxy.claims import NamedClaim
from shapegate_proxy.config import IssuerConfig, ProxyConfig, Secret
from shapegate_proxy.policy_file import parse_policy
from shapegate_schema.domains import policy_file
from shapegate_schema.migrate import migrate
from shapegate_schema.provision import provision
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from shapegate_harness.ports import Ports
    from shapegate_proxy.observe import Observer, ShapeServed

DATABASE: Final = "shapegate"
DOMAIN: Final = "controls"
"""The domain of the database `shapegate`; every other has a database of its own beside it."""
DEMO_PASSWORD: Final = "shapegate-demo"  # noqa: S105  # of seeded users, on loopback, printed on purpose
ROLES: Final = ("app_rw", "electric", "shapegate_issuer", "shapegate_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLogin:
    """A seeded user and one organization they belong to."""

    email: str
    password: str
    organization: str
    organization_id: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where everything is; what `shapegate up --json` writes (DESIGN, fixed faces)."""

    proxy_url: str
    issuer_url: str
    electric_url: str
    electric_secret: str
    database_url: str
    app_database_url: str
    logins: tuple[StackLogin, ...]
    domain: str
    pid: int

    def to_json(self) -> str:
        """Print as one JSON object; holds passwords, so the file has to be private."""
        return json.dumps(asdict(self), indent=2)


class Stack:
    """The running system; the gate can be taken away and brought back at the same address."""

    def __init__(self, addresses: Addresses, *, gate: Gate, issuer: TokenIssuer) -> None:
        self.addresses = addresses
        self._gate = gate
        self._issuer = issuer

    async def admit(self, *, slug: str, name: str, owner_email: str) -> StackLogin:
        """Provision an org whose owner can log in as the seeded users do. Raises SchemaError."""
        org = await provision(self.addresses.database_url, slug=slug, name=name, owner_email=owner_email)
        await self._issuer.set_password(owner_email, DEMO_PASSWORD)
        return StackLogin(
            email=owner_email,
            password=DEMO_PASSWORD,
            organization=org.name,
            organization_id=str(org.id),
            role="owner",
        )

    async def stop_proxy(self) -> None:
        """Take the gate away; connections to it are refused from now on."""
        await self._gate.stop()

    async def start_proxy(self) -> None:
        """Bring the gate back at its old address."""
        await self._gate.start()


class Gate:
    """One gate that can be stopped and started again with the same configuration."""

    def __init__(self, config: ProxyConfig, observer: Observer) -> None:
        self._config = config
        self._observer = observer
        self._running = AsyncExitStack()

    async def start(self) -> URL:
        """Start and return the URL; later starts come back to the same port."""
        gate = open_proxy(self._config, load_policy(self._config), observer=self._observer)
        url = await self._running.enter_async_context(gate)
        assert url.port is not None, "a started server has a port"
        self._config = replace(self._config, port=url.port)
        return url

    async def stop(self) -> None:
        """Stop; does nothing when it is stopped."""
        await self._running.aclose()


class Silent:
    """An observer that takes no note."""

    def served(self, event: ShapeServed) -> None:
        """Ignore the event."""


@asynccontextmanager
async def open_stack(
    folder: Path,
    *,
    ports: Ports,
    observer: Observer,
    domain: str = DOMAIN,
    seeded: bool = True,
    rows: int = 0,
    durable: bool = True,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> AsyncIterator[Stack]:
    """Run the system inside of the block, with its data below `folder`; `rows` asks for further seed rows.

    Raises PostgresError, SchemaError or OSError, each with a sentence to show.
    """
    policy_path = policy_file(domain)
    database = DATABASE if domain == DOMAIN else f"{DATABASE}_{domain}"
    async with AsyncExitStack() as stack:
        on_progress("starting Postgres")
        postgres = await stack.enter_async_context(
            EmbeddedPostgres.open(folder / "postgres", durable=durable)
        )
        on_progress("preparing the database")
        known = await asyncio.to_thread(_secrets, folder / "secrets.json")
        owner_url = await _prepare(postgres, database, domain, known)
        logins = (await seed(owner_url, domain, rows=rows)).logins if seeded else ()
        on_progress("starting Electric, issuer and proxy")
        role_url = {role: postgres.url(database, role, known[role]) for role in ROLES}
        electric = await stack.enter_async_context(
            DevElectric.open(
                database_url=role_url["electric"], secret=known["secret"], host=HOST, port=ports.electric
            )
        )
        settings = IssuerSettings(key_file=folder / "issuer-key.pem")
        issuer = await stack.enter_async_context(
            TokenIssuer.open(
                database_url=role_url["shapegate_issuer"], settings=settings, host=HOST, port=ports.issuer
            )
        )
        await asyncio.gather(*(issuer.set_password(login.email, DEMO_PASSWORD) for login in logins))
        gate = Gate(
            ProxyConfig(
                electric_url=URL(electric.url),
                electric_secret=Secret(known["secret"]),
                issuers=(issuer_of_gate(settings, issuer.url, policy_path),),
                policy_path=policy_path,
                database_url=Secret(role_url["shapegate_proxy"]),
                host=HOST,
                port=ports.proxy,
            ),
            observer,
        )
        stack.push_async_callback(gate.stop)
        proxy_url = await gate.start()
        yield Stack(
            Addresses(
                proxy_url=str(proxy_url.origin()),
                issuer_url=issuer.url,
                electric_url=electric.url,
                electric_secret=known["secret"],
                database_url=owner_url,
                app_database_url=role_url["app_rw"],
                logins=tuple(
                    StackLogin(
                        email=login.email,
                        password=DEMO_PASSWORD,
                        organization=login.organization_name,
                        organization_id=str(login.organization_id),
                        role=login.role,
                    )
                    for login in logins
                ),
                domain=domain,
                pid=os.getpid(),
            ),
            gate=gate,
            issuer=issuer,
        )


def issuer_of_gate(settings: IssuerSettings, issuer_url: str, policy_path: Path) -> IssuerConfig:
    """Say how a stack's gate knows the stack's issuer."""
    return IssuerConfig(
        issuer=settings.issuer,
        audience=settings.audience,
        jwks_url=URL(issuer_url) / ".well-known" / "jwks.json",
        claims={name: (name,) for name in _claims_named(policy_path)},
    )


def _claims_named(policy_path: Path) -> frozenset[str]:
    """Find the claims that the policy's scopes name; the issuer calls them the same."""
    policy = parse_policy(policy_path.read_text(encoding="utf-8"))
    compared = chain.from_iterable(table.scope.compared for table in policy.tables.values())
    return frozenset(each.claim.name for each in compared if isinstance(each.claim, NamedClaim))


async def _prepare(postgres: EmbeddedPostgres, database: str, domain: str, known: dict[str, str]) -> str:
    """Create the database if it is not there, migrate it, let the roles log in; return its owner's URL."""
    connection = await asyncpg.connect(postgres.url())
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
            await connection.execute(f"CREATE DATABASE {quote(database)}")
    finally:
        await connection.close()
    owner_url = postgres.url(database)
    await migrate(owner_url, domain)
    await asyncio.gather(*(set_login(owner_url, role, known[role]) for role in ROLES))
    return owner_url


def _secrets(path: Path) -> dict[str, str]:
    """Read the passwords of this folder's roles and Electric's secret; make those that are missing."""
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    made = {name: known.get(name) or secrets.token_urlsafe(24) for name in (*ROLES, "secret")}
    if made != known:
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
        unfinished.rename(path)
    return made
