"""The configuration as a whole: environment, file and policy, with every problem named at once."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yarl import URL

from shapegate_proxy.claims import NamedClaim
from shapegate_proxy.config import ProxyConfig, SharingSettings, clashes
from shapegate_proxy.config_file import NAMED_BY, read_config_file
from shapegate_proxy.environment import Environment, read_text
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.findings import Findings, Setting
from shapegate_proxy.issuer_entry import VARIABLES, issuer_of_environment, issuer_of_file
from shapegate_proxy.policy_file import parse_policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    from shapegate_proxy.config import IssuerConfig, Secret
    from shapegate_proxy.config_file import ConfigFile
    from shapegate_proxy.policy import Policy


CACHE_BYTES: Final = 64 * 1024 * 1024
CACHE_BYTES_MAX: Final = 1 << 40
WORKERS_MAX: Final = 64
"""More processes than that are a slip of the pen; a machine with more cores runs several gates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the gate would run with, and where each part of it comes from."""

    config: ProxyConfig
    policy: Policy
    settings: tuple[Setting, ...]
    """Every setting in the order of the documentation; secrets are masked."""


def read_configuration(environ: Mapping[str, str]) -> Configuration:
    """Read the environment and the files that it names. Raises ConfigError with every problem at once."""
    findings = Findings()
    env = Environment(environ, findings)
    electric_url = _electric_url(env)
    electric_secret = _electric_secret(env)
    database_url = _database_url(env)
    file = read_config_file(env.text(NAMED_BY), findings)
    issuers = _issuers(env, file)
    policy_path, policy = _policy(env)
    if policy is not None:
        _check_claims(policy, issuers, env)
    origins, trusted = _origins(env), _networks(env)
    host, port = env.text("HOST", otherwise="127.0.0.1"), env.integer("PORT", default=4000, low=0, high=65535)
    metrics = _metrics(env)
    workers = env.integer("SHAPEGATE_WORKERS", default=1, low=1, high=WORKERS_MAX)
    uvloop = env.choice("SHAPEGATE_UVLOOP", ("true", "false")) == "true"
    sharing = _sharing(env)
    log_format = env.choice("LOG_FORMAT", ("json", "text"))
    log_level = env.choice("LOG_LEVEL", ("info", "debug", "warning", "error"))
    limits = file.limits()
    if findings.problems or electric_url is None or policy is None:
        raise ConfigError(tuple(findings.problems))
    config = ProxyConfig(
        electric_url=electric_url,
        electric_secret=electric_secret,
        issuers=issuers,
        policy_path=policy_path,
        database_url=database_url,
        origins=origins,
        host=host or "127.0.0.1",
        port=port,
        log_format=log_format,
        log_level=log_level,
        limits=limits,
        trusted_proxies=trusted,
        metrics=metrics,
        sharing=sharing,
        workers=workers,
        uvloop=uvloop,
    )
    return Configuration(config=config, policy=policy, settings=tuple(findings.settings))


def _electric_url(env: Environment) -> URL | None:
    """Read where Electric answers: below what the path of its shapes and of its health begins."""
    url = env.url("ELECTRIC_URL")
    if not env.has("ELECTRIC_URL"):
        env.findings.problem("ELECTRIC_URL is missing: expected an http or https URL")
    elif url is not None and url.path.rstrip("/").endswith("/v1/shape"):
        env.findings.problem("ELECTRIC_URL ends with /v1/shape, which the gate adds: leave it out")
    return url


def _electric_secret(env: Environment) -> Secret | None:
    """Read the secret; without one the operator has to say that Electric runs so (REQUIREMENTS P-24)."""
    secret = env.secret("ELECTRIC_SECRET")
    insecure = env.choice("ELECTRIC_INSECURE", ("false", "true")) == "true"
    if secret is None and not insecure:
        env.findings.problem(
            "ELECTRIC_SECRET is missing: expected the secret that Electric runs with "
            "(or ELECTRIC_INSECURE=true if it runs with none)"
        )
    if secret is not None and insecure:
        env.findings.problem("ELECTRIC_SECRET and ELECTRIC_INSECURE=true are both set: expected one of them")
    return secret


def _database_url(env: Environment) -> Secret | None:
    url = env.secret("DATABASE_URL", otherwise="none: tokens count until they end")
    if url is not None and not url.reveal().startswith(("postgresql://", "postgres://")):
        env.findings.problem("DATABASE_URL is no postgresql:// URL")
    return url


def _issuers(env: Environment, file: ConfigFile) -> tuple[IssuerConfig, ...]:
    """Read the issuer of the environment, unless only the file names some, and those of the file."""
    entries = file.issuers()
    read = [issuer_of_file(entry, env) for entry in entries]
    if not entries or env.has(*VARIABLES, "SHARED_TOKEN_SECRET_FILE"):
        read.insert(0, issuer_of_environment(env))
    issuers = tuple(issuer for issuer in read if issuer is not None)
    for clash in clashes(issuers):
        env.findings.problem(clash)
    return issuers


def _policy(env: Environment) -> tuple[Path, Policy | None]:
    named = env.required("SHAPEGATE_POLICY", "the path of a policy file")
    path = Path(named or "")
    text = None if named is None else read_text(path, "SHAPEGATE_POLICY", env.findings)
    try:
        if text is not None:
            return path, parse_policy(text, source=str(path))
    except ConfigError as exc:
        env.findings.problems += exc.problems
    return path, None


def _check_claims(policy: Policy, issuers: tuple[IssuerConfig, ...], env: Environment) -> None:
    """Take note of claims that a scope names and no issuer gives: its rows would be nobody's."""
    given = {name for issuer in issuers for name in issuer.claims}
    compared = [item.claim for table in policy.tables.values() for item in table.scope.compared]
    named = {claim.name for claim in compared if isinstance(claim, NamedClaim)}
    for name in sorted(named - given):
        env.findings.problem(
            f"the policy names {{claims.{name}}} and no issuer gives it: "
            f"expected {name} in the `claims` of an [[issuers]]"
        )


def _origins(env: Environment) -> frozenset[str]:
    origins: set[str] = set()
    for part in (env.text("FRONTEND_URL") or "").split(","):
        origin = part.strip().rstrip("/")
        if not origin:
            continue
        try:
            url = URL(origin)
            exact = url.scheme in ("http", "https") and str(url.origin()) == str(url).rstrip("/")
        except ValueError:
            exact = False
        if not exact:
            env.findings.problem(
                f"FRONTEND_URL has {origin!r}: expected origins like https://app.example, by commas"
            )
        origins.add(origin)
    return frozenset(origins)


def _networks(env: Environment) -> tuple[IPv4Network | IPv6Network, ...]:
    networks: list[IPv4Network | IPv6Network] = []
    for part in (env.text("TRUSTED_PROXIES") or "").split(","):
        if not part.strip():
            continue
        try:
            network = ip_network(part.strip())
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:  # which is everybody, and so believes every client
            env.findings.problem(
                f"TRUSTED_PROXIES has {part.strip()!r}: expected networks like 10.0.0.0/8, by commas"
            )
        else:
            networks.append(network)
    return tuple(networks)


def _sharing(env: Environment) -> SharingSettings:
    return SharingSettings(
        client=env.choice("SHAPEGATE_UPSTREAM_CLIENT", ("lean", "aiohttp")),
        collapse=env.choice("SHAPEGATE_COLLAPSE", ("true", "false")) == "true",
        cache_bytes=env.integer("SHAPEGATE_CACHE_BYTES", default=CACHE_BYTES, low=0, high=CACHE_BYTES_MAX),
    )


def _metrics(env: Environment) -> tuple[str, int] | None:
    host = env.text("METRICS_HOST", otherwise="127.0.0.1")
    if not env.has("METRICS_PORT"):
        env.text("METRICS_PORT", otherwise="none: no metrics are served")
        if host is not None:
            env.findings.problem("METRICS_HOST is set but METRICS_PORT is missing: expected both")
        return None
    return host or "127.0.0.1", env.integer("METRICS_PORT", default=0, low=0, high=65535)
