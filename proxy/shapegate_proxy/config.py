"""What one gate runs with, as values; `configuration` reads them. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shapegate_proxy.limit_settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network
    from pathlib import Path

    from yarl import URL

    from shapegate_proxy.claim_path import ClaimPath

HMAC_ALGORITHMS: Final = frozenset({"HS256"})
SIGNATURE_ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})


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
    """Whose tokens are accepted, what proves them, and where they say what.

    Exactly one of `secret`, `jwks_url` and `public_key` does: the kinds are never mixed (SECURITY J-01).
    """

    issuer: str
    """The value of `iss`; several entries may share it if they share no algorithm."""
    audience: str
    algorithms: frozenset[str] = frozenset()
    """Which of the kind's algorithms are accepted; empty means all that the kind has."""
    secret: Secret | None = None
    """For HS256, at least 32 bytes."""
    jwks_url: URL | None = None
    public_key: str | None = None
    """One public key as PEM; its kind says the algorithm."""
    org_claim: ClaimPath = ("organization_id",)
    role_claim: ClaimPath = ("role",)
    user_claim: ClaimPath = ("sub",)
    claims: Mapping[str, ClaimPath] = field(default_factory=dict)
    """Further claims that scopes may name, by the name that scopes use."""
    subject_prefix: str = ""
    """What every user's name begins with in the token; it is taken off, and another beginning is refused."""
    leeway_seconds: float = 10.0
    lifetime_seconds_max: float | None = None
    """The longest time from `iat` to `exp`; None believes the issuer."""
    revocation: bool = True
    """Whether `jti` is looked up in the database of sessions; without such a database nothing is."""

    def __post_init__(self) -> None:
        """Fill in the kind's algorithms. Raises ValueError for a mixture of kinds or algorithms."""
        kinds = (self.secret, self.jwks_url, self.public_key)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "an issuer is proven by a secret, by published keys or by a public key: one of them"
            )
        known = HMAC_ALGORITHMS if self.secret is not None else SIGNATURE_ALGORITHMS
        if not self.algorithms <= known:
            raise ValueError(f"expected algorithms out of {', '.join(sorted(known))}")
        object.__setattr__(self, "algorithms", self.algorithms or known)


def clashes(issuers: Sequence[IssuerConfig]) -> tuple[str, ...]:
    """Name every pair of issuer and algorithm that more than one entry claims."""
    claimed = [(entry.issuer, algorithm) for entry in issuers for algorithm in sorted(entry.algorithms)]
    twice = dict.fromkeys(pair for pair in claimed if claimed.count(pair) > 1)
    return tuple(
        f"two entries accept {algorithm} tokens of {issuer!r}: expected one, so that their key is certain"
        for issuer, algorithm in twice
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingSettings:
    """How Electric is asked, and what of its answers serves more than one request."""

    client: str = "lean"
    """Which client speaks to it: `lean` or `aiohttp`."""
    collapse: bool = True
    """Whether the same requests at the same time are asked once."""
    cache_bytes: int = 64 * 1024 * 1024
    """How much is kept of answers that may be given again; 0 keeps none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Everything the gate needs to know to start."""

    electric_url: URL
    electric_secret: Secret | None
    """None only if the operator said that Electric runs without one."""
    issuers: tuple[IssuerConfig, ...]
    """At least one; no two with the same issuer and an algorithm in common."""
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
    stall_seconds: float = 60.0
    """How long a client may take nothing of an answer; longer than a busy page or a small device does."""
    limits: LimitSettings = field(default_factory=LimitSettings)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Balancers whose X-Forwarded-For says which address asked; from nobody else it counts."""
    metrics: tuple[str, int] | None = None
    """Host and port of the metrics' own listener; None serves none."""
    workers: int = 1
    """How many processes serve; each has the limits for itself."""
    sharing: SharingSettings = SharingSettings()
    uvloop: bool = True
    """Whether processes run on uvloop, if it is installed."""
