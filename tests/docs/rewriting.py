"""What the gate makes of a request, as docs/how-requests-are-rewritten.md prints it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from yarl import URL

from shapegate_proxy.config import Secret
from shapegate_proxy.policy import confine
from shapegate_proxy.policy_file import parse_policy
from shapegate_proxy.principal import Principal
from shapegate_proxy.upstream import build
from shapegate_wire.request import parse_request

if TYPE_CHECKING:
    from shapegate_proxy.upstream import UpstreamRequest

ELECTRIC: Final = URL("http://electric:3000")
CALLER: Final = Principal(
    issuer="https://auth.example",
    user="ac3e0001-0000-4000-8000-000000000001",
    org="ac3e0000-0000-4000-8000-000000000000",
    role="owner",
    session=None,
    claims={"client": "TC-ACME", "vendor": "TV-ACME"},
    expires_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
)


def rewrite(asked: str, policy: str) -> UpstreamRequest:
    """Read a request as it is shown (a line with method and target, an empty one, a body) and rewrite it."""
    head, _, body = asked.strip().partition("\n\n")
    method, target = head.split(" ", 1)
    request = parse_request(URL(f"http://gate{target}").query.items(), body.encode() if body else None)
    return build(
        confine(CALLER, request, parse_policy(policy)),
        electric_url=ELECTRIC,
        secret=Secret("..."),
        method=method,
    )


def shown(built: UpstreamRequest) -> str:
    """Print a request to Electric: each parameter decoded and on a line of its own, then the body."""
    lines = [f"{built.method} {built.url.path}"]
    lines += [f"    {name} = {value}".rstrip() for name, value in built.url.query.items()]
    if built.body is not None:
        lines += ["", built.body.decode()]
    return "\n".join(lines) + "\n"
