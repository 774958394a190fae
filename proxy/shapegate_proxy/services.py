"""What the handlers work with, chosen once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Network, IPv6Network

    from yarl import URL

    from shapegate_proxy.addresses import FailureBudget
    from shapegate_proxy.admissions import Admissions
    from shapegate_proxy.answer_cache import AnswerCache
    from shapegate_proxy.audit import AuditLog
    from shapegate_proxy.compiled import CompiledFilters
    from shapegate_proxy.config import Secret
    from shapegate_proxy.electric import UpstreamClient
    from shapegate_proxy.held import HeldRequests
    from shapegate_proxy.limits import Limits
    from shapegate_proxy.observe import Observer
    from shapegate_proxy.policy import Policy
    from shapegate_proxy.printed_head import HeadPrinter
    from shapegate_proxy.readiness import Readiness
    from shapegate_proxy.revocation import Sessions
    from shapegate_proxy.tokens import Verifier
    from shapegate_proxy.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one running gate."""

    policy: Policy
    verifier: Verifier
    admissions: Admissions
    filters: CompiledFilters
    electric: UpstreamClient
    printer: HeadPrinter
    kept: AnswerCache | None
    """What `electric` keeps of answers, to be looked at without waiting."""
    electric_url: URL
    electric_secret: Secret | None
    origins: frozenset[str]
    observer: Observer
    held: HeldRequests
    sessions: Sessions
    limits: Limits
    turns: Turns
    failures: FailureBudget
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    audit: AuditLog
    readiness: Readiness
    clock: Callable[[], float]
    """The present, in seconds since 1970."""
