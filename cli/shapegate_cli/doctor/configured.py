"""The gate's configuration as far as it can be read, with its problems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yarl import URL

from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.environment import Environment
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.findings import Findings
from shapegate_proxy.policy_file import parse_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.config import IssuerConfig, Secret
    from shapegate_proxy.policy import Policy

LEEWAY_SECONDS: Final = 10.0
"""What tokens are given where no issuer says otherwise."""
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # read here, not bound
"""Where a gate that listens on all addresses is asked from the same machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What the gate runs with; a part that cannot be read is None or empty, and a problem says why."""

    problems: tuple[str, ...] = ()
    electric_url: URL | None = None
    electric_secret: Secret | None = None
    issuers: tuple[IssuerConfig, ...] = ()
    policy: Policy | None = None
    gate_url: URL | None = None
    database_url: Secret | None = None

    @property
    def leeway_seconds(self) -> float:
        """The least that some issuer's tokens are given."""
        return min((issuer.leeway_seconds for issuer in self.issuers), default=LEEWAY_SECONDS)


def read_configured(environ: Mapping[str, str]) -> Configured:
    """Read the environment that the gate runs with; with problems, read what does not depend on them."""
    try:
        read = read_configuration(environ)
    except ConfigError as exc:
        env = Environment(environ, Findings())
        return Configured(
            problems=exc.problems,
            electric_url=env.url("ELECTRIC_URL"),
            electric_secret=env.secret("ELECTRIC_SECRET"),
            policy=_policy(env.text("SHAPEGATE_POLICY")),
            database_url=env.secret("DATABASE_URL"),
        )
    config = read.config
    host = _EVERYWHERE.get(config.host, config.host)
    return Configured(
        electric_url=config.electric_url,
        electric_secret=config.electric_secret,
        issuers=config.issuers,
        policy=read.policy,
        gate_url=URL.build(scheme="http", host=host, port=config.port),
        database_url=config.database_url,
    )


def _policy(path: str | None) -> Policy | None:
    try:
        return None if path is None else parse_policy(Path(path).read_text(encoding="utf-8"), source=path)
    except (OSError, ValueError, ConfigError):
        return None  # one of the problems says so
