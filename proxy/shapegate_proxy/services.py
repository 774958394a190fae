"""What the handlers work with, chosen once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from yarl import URL

    from shapegate_proxy.config import Secret
    from shapegate_proxy.electric import UpstreamClient
    from shapegate_proxy.held import HeldRequests
    from shapegate_proxy.keys import KeySource
    from shapegate_proxy.observe import Observer
    from shapegate_proxy.policy import Policy
    from shapegate_proxy.revocation import Sessions
    from shapegate_proxy.tokens import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one running gate."""

    policy: Policy
    verifier: Verifier
    keys: KeySource
    electric: UpstreamClient
    electric_url: URL
    electric_secret: Secret | None
    origins: frozenset[str]
    observer: Observer
    held: HeldRequests
    sessions: Sessions
    clock: Callable[[], datetime]
    """The present, aware and in UTC."""
