"""A deployment of all three domains: one database, one Electric, and a gate as an environment says."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import jwt
from yarl import URL

from shapegate_cli.doctor.configured import read_configured
from shapegate_cli.doctor.examine import Case, examine
from shapegate_cli.doctor.facts import Names
from shapegate_cli.doctor.visitors import open_visitors
from shapegate_cli.issuer_store import utc_now
from shapegate_harness.electric import DevElectric
from shapegate_harness.stack import Silent
from shapegate_proxy.app import open_proxy
from shapegate_proxy.configuration import read_configuration
from shapegate_schema.domains import domain_names, policy_file
from shapegate_schema.migrate import migrate
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from shapegate_cli.doctor.line import Line

ISSUER, AUDIENCE = "urn:test:issuer", "shapegate"
SECRET = "a-shared-secret-of-more-than-32-bytes"
ELECTRIC_SECRET = "a-secret-of-electric's"
PASSWORD = "a password"
ACME, GLOBEX, INITECH = (f"{prefix}0000-0000-4000-8000-000000000000" for prefix in ("ac3e", "610b", "1ec4"))
ISSUERS = f"""
[[issuers]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
secret_env = "TOKEN_SECRET"
claims = {{ tenant = "tenant", client = "client", vendor = "vendor" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What runs, and how the gate of each domain is configured."""

    folder: Path
    """Holds a token of each org's owner, in a file that is named as the org."""
    database_url: str
    app_database_url: str
    electric_url: str

    def environ(self, domain: str, **changes: str) -> Mapping[str, str]:
        """The environment of a domain's gate."""
        usual = {
            "ELECTRIC_URL": self.electric_url,
            "ELECTRIC_SECRET": ELECTRIC_SECRET,
            "TOKEN_SECRET": SECRET,
            "SHAPEGATE_CONFIG": str(self.folder / "gate.toml"),
            "SHAPEGATE_POLICY": str(policy_file(domain)),
            "PORT": "0",
        }
        return usual | changes

    async def look(
        self,
        environ: Mapping[str, str],
        gate_url: URL | None,
        *,
        tokens: Path | None = None,
        **changes: Any,
    ) -> tuple[Line, ...]:
        """Collect all that the doctor finds; `tokens` is another folder, `changes` are of the case."""

        async def hurry(_seconds: float) -> None:
            """Rows of these tests do not change while they are compared."""

        configured = read_configured(environ)
        command = ("cat", f"{tokens or self.folder}/{{org}}")
        async with open_visitors(None, configured.issuers, command) as visitors:
            told: dict[str, Any] = {
                "configured": configured,
                "names": Names(),
                "gate_url": gate_url,
                "database_url": self.database_url,
                "app_database_url": self.app_database_url,
                "visitors": visitors,
                "orgs": (ACME, GLOBEX),
                "clock": utc_now,
                "pause": hurry,
            }
            return tuple([line async for line in examine(Case(**told | changes))])

    async def run_as_superuser(self, statement: str) -> None:
        """Change something in the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def open_gate(environ: Mapping[str, str]) -> AsyncIterator[URL]:
    """Run a gate as an environment says."""
    found = read_configuration(environ)
    async with open_proxy(found.config, found.policy, observer=Silent()) as url:
        yield url


@asynccontextmanager
async def open_deployment(database_url: str, folder: Path) -> AsyncIterator[Deployment]:
    """Fill an empty database with all domains and serve it; `database_url` is a superuser's."""
    for domain in domain_names():
        await migrate(database_url, domain)
        await seed(database_url, domain)
    for role in ("electric", "app_rw"):
        await set_login(database_url, role, PASSWORD)
    (folder / "gate.toml").write_text(ISSUERS)
    for org, slug in ((ACME, "acme"), (GLOBEX, "globex")):
        (folder / org).write_text(token(org, slug, "owner", await _owner(database_url, org)))
    as_role = URL(database_url).with_password(PASSWORD)
    async with DevElectric.open(
        database_url=str(as_role.with_user("electric")), secret=ELECTRIC_SECRET
    ) as electric:
        yield Deployment(
            folder=folder,
            database_url=database_url,
            app_database_url=str(as_role.with_user("app_rw")),
            electric_url=electric.url,
        )


def token(org: str, slug: str, role: str, user: str) -> str:
    """A token of somebody in an org, with the claims that the issuer would give."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "iat": now,
        "exp": now + 3600,
        "organization_id": org,
        "role": role,
        "tenant": f"TNT-{slug.upper()}",
        "client": f"TC-{slug.upper()}",
        "vendor": f"TV-{slug.upper()}",
    }
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def _owner(database_url: str, org: str) -> str:
    connection = await asyncpg.connect(database_url)
    try:
        return str(
            await connection.fetchval(
                "SELECT user_id FROM memberships WHERE organization_id = $1 AND role = 'owner'", org
            )
        )
    finally:
        await connection.close()
