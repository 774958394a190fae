"""The gate's configuration, read from environment variables; all problems are reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yarl import URL

from shapegate_proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

HMAC_SECRET_BYTES_MIN: Final = 32
"""RFC 7518 3.2: an HS256 key has at least the size of the hash."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Secret:
    """A text that is never printed; `reveal` is its only way out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(***)"

    def reveal(self) -> str:
        """Hand the text to the one place that sends or compares it."""
        return self._text


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """Whose tokens are accepted, and how they are verified: by a shared secret or by published keys."""

    issuer: str
    audience: str
    secret: Secret | None = None
    jwks_url: URL | None = None
    org_claim: str = "organization_id"
    role_claim: str = "role"
    leeway_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Everything the gate needs to know to start."""

    electric_url: URL
    electric_secret: Secret | None
    """None only if the operator said that Electric runs without one."""
    issuer: IssuerConfig
    policy_path: Path
    database_url: Secret | None = None
    """Where sessions are looked up, as the role shapegate_proxy; None believes tokens until they end."""
    origins: frozenset[str] = frozenset()
    """Exact origins of browsers that may read answers."""
    host: str = "127.0.0.1"
    port: int = 4000
    log_format: str = "json"
    log_level: str = "info"
    idle_seconds: float = 15.0
    """How long a connection may take to send the head of its first or next request."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ProxyConfig:
        """Read the environment. Raises ConfigError, which names every problem at once."""
        reader = _Reader(environ)
        electric_url = reader.url("ELECTRIC_URL", required=True)
        electric_secret = reader.secret("ELECTRIC_SECRET")
        if electric_secret is None and reader.text("ELECTRIC_INSECURE") != "true":
            reader.problem(
                "ELECTRIC_SECRET is missing: expected the secret that Electric runs with "
                "(or ELECTRIC_INSECURE=true if it runs with none)"
            )
        issuer = _issuer(reader)
        database_url = reader.secret("DATABASE_URL")
        if database_url and not database_url.reveal().startswith(("postgresql://", "postgres://")):
            reader.problem("DATABASE_URL is no postgresql:// URL")
        policy = reader.text("SHAPEGATE_POLICY")
        if policy is None:
            reader.problem("SHAPEGATE_POLICY is missing: expected the path of a policy file")
        origins = _origins(reader)
        host = reader.text("HOST") or "127.0.0.1"
        port = reader.integer("PORT", default=4000, low=0, high=65535)
        log_format = reader.choice("LOG_FORMAT", ("json", "text"))
        log_level = reader.choice("LOG_LEVEL", ("info", "debug", "warning", "error"))
        if reader.problems or electric_url is None or issuer is None or policy is None:
            raise ConfigError(tuple(reader.problems))
        return cls(
            electric_url=electric_url,
            electric_secret=electric_secret,
            issuer=issuer,
            policy_path=Path(policy),
            database_url=database_url,
            origins=origins,
            host=host,
            port=port,
            log_format=log_format,
            log_level=log_level,
        )

    def effective(self) -> Mapping[str, str]:
        """Name every setting as its environment variable and print its value; secrets are masked."""
        jwks_url, secret = self.issuer.jwks_url, self.issuer.secret
        return {
            "ELECTRIC_URL": str(self.electric_url.origin()),
            "ELECTRIC_SECRET": "none (ELECTRIC_INSECURE)" if self.electric_secret is None else "***",
            "JWKS_URL": "not used" if jwks_url is None else str(jwks_url),
            "SHARED_TOKEN_SECRET": "not used" if secret is None else "***",
            "JWT_ISSUER": self.issuer.issuer,
            "JWT_AUDIENCE": self.issuer.audience,
            "SHAPEGATE_POLICY": str(self.policy_path),
            "DATABASE_URL": "not used: tokens count until they end" if self.database_url is None else "***",
            "FRONTEND_URL": ", ".join(sorted(self.origins)) or "none",
            "HOST": self.host,
            "PORT": str(self.port),
            "LOG_FORMAT": self.log_format,
            "LOG_LEVEL": self.log_level,
        }


def _issuer(reader: _Reader) -> IssuerConfig | None:
    """Read whose tokens are accepted; JWKS_URL, or AUTH_URL and the well-known path below it."""
    secret = reader.secret("SHARED_TOKEN_SECRET")
    jwks_url = reader.url("JWKS_URL")
    auth_url = reader.url("AUTH_URL")
    if jwks_url is None and auth_url is not None:
        jwks_url = auth_url / ".well-known" / "jwks.json"
    if (secret is None) == (jwks_url is None):
        reader.problem(
            "expected either SHARED_TOKEN_SECRET (HS256) or JWKS_URL (or AUTH_URL): exactly one of them says "
            "how tokens are verified"
        )
    if secret is not None and len(secret.reveal().encode()) < HMAC_SECRET_BYTES_MIN:
        reader.problem(f"SHARED_TOKEN_SECRET is too short: expected at least {HMAC_SECRET_BYTES_MIN} bytes")
    if secret is not None and "-----BEGIN" in secret.reveal():
        reader.problem("SHARED_TOKEN_SECRET holds a PEM key: expected a random text")
    if jwks_url is not None and jwks_url.scheme != "https" and jwks_url.host not in _LOOPBACK:
        reader.problem(f"the keys of {jwks_url.host!r} would come over http: expected an https URL")
    issuer, audience = reader.text("JWT_ISSUER"), reader.text("JWT_AUDIENCE")
    for name, value in (("JWT_ISSUER", issuer), ("JWT_AUDIENCE", audience)):
        if value is None:
            reader.problem(f"{name} is missing: expected the value that every token must carry")
    if issuer is None or audience is None:
        return None
    return IssuerConfig(issuer=issuer, audience=audience, secret=secret, jwks_url=jwks_url)


def _origins(reader: _Reader) -> frozenset[str]:
    origins: set[str] = set()
    for part in (reader.text("FRONTEND_URL") or "").split(","):
        origin = part.strip().rstrip("/")
        if not origin:
            continue
        try:
            url = URL(origin)
            exact = url.scheme in ("http", "https") and str(url.origin()) == str(url).rstrip("/")
        except ValueError:
            exact = False
        if not exact:
            reader.problem(
                f"FRONTEND_URL has {origin!r}: expected origins like https://app.example, by commas"
            )
        origins.add(origin)
    return frozenset(origins)


class _Reader:
    """The environment and the problems found in it so far; empty values count as missing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def secret(self, name: str) -> Secret | None:
        """Read a secret, or the file that `<name>_FILE` points to."""
        value, path = self.text(name), self.text(f"{name}_FILE")
        if value is not None and path is not None:
            self.problem(f"{name} and {name}_FILE are both set: expected one of them")
        elif path is not None:
            try:
                value = Path(path).read_text(encoding="utf-8").strip() or None
            except (OSError, UnicodeDecodeError) as exc:
                self.problem(f"{name}_FILE: {path!r} cannot be read: {exc.__class__.__name__}")
            else:
                if value is None:
                    self.problem(f"{name}_FILE: {path!r} is empty: expected the secret")
        return None if value is None else Secret(value)

    def url(self, name: str, *, required: bool = False) -> URL | None:
        value = self.text(name)
        if value is None:
            if required:
                self.problem(f"{name} is missing: expected an http or https URL")
            return None
        try:
            url = URL(value)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            self.problem(f"{name} is no http or https URL")
            return None
        return url

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and low <= int(value) <= high):
            self.problem(f"{name} is {value!r}: expected a number from {low} to {high}")
            return default
        return int(value)

    def choice(self, name: str, values: tuple[str, ...]) -> str:
        value = self.text(name)
        if value is not None and value.lower() not in values:
            self.problem(f"{name} is {value!r}: expected one of {', '.join(values)}")
        return value.lower() if value is not None else values[0]
