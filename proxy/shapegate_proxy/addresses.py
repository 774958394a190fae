"""Which address asks, and how many tokens that cannot be genuine it may still show. Pure: the clock is given.

What counts is a token that fails by form, signature, key or audience; an expired or a revoked one does not,
since a tab that slept comes back with it. An address that used its budget up is refused before the costly
verification. Users seen there with a good token within the hour are exempt, each with a budget of their own:
nobody behind a shared address is locked out by a neighbour.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from yarl import URL

from shapegate_proxy.buckets import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

ADDRESSES_MAX: Final = 50_000
"""Addresses and users remembered; some 30 MB when full."""
KNOWN_SECONDS: Final = 3_600.0
HOPS_MAX: Final = 16
"""More balancers one behind the other than anybody runs."""
IPV6_PREFIX_BITS: Final = 64
"""One subscriber holds such a network whole (RFC 6177), so a budget for each address would bound nothing."""


def client_address(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[IPv4Network | IPv6Network]
) -> str:
    """Name who asks: the peer, or whom trusted peers forwarded for, by the values of X-Forwarded-For.

    Read from the right, since each balancer adds at the end: the first address that is not trusted is the
    client. What stands left of it is the client's own claim and is never read.
    """
    seen = _address(peer or "")
    if seen is None:
        return "unknown"
    hops = ",".join(forwarded).split(",") if forwarded else []
    for hop in hops[::-1][:HOPS_MAX]:
        if not any(seen in network for network in trusted):
            break
        before = _address(hop.strip())
        if before is None:
            break
        seen = before
    if isinstance(seen, IPv6Address):
        return str(ipaddress.ip_network((seen, IPV6_PREFIX_BITS), strict=False))
    return str(seen)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port; one of IPv4 written as IPv6 is the one of IPv4."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        try:
            found = ipaddress.ip_address(URL(f"//{text}").host or "")
        except (ValueError, LookupError):  # the latter is yarl's, of an empty host behind an @
            return None
    return getattr(found, "ipv4_mapped", None) or found


class FailureBudget:
    """Counts bad tokens by address."""

    def __init__(self, *, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._buckets: Buckets[tuple[str, str | None]] = Buckets(
            per_minute=per_minute, keys_max=ADDRESSES_MAX, monotonic=monotonic
        )
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When a user showed a good token from an address."""

    def exhausted(self, address: str) -> bool:
        """Say whether the address may show no further token, unless `admits` exempts its user."""
        return self._buckets.left((address, None)) < 1

    def admits(self, address: str, user: str) -> bool:
        """Say whether a token that claims to be this user's may be verified nevertheless."""
        seen = self._known.get((address, user))
        known = seen is not None and self._monotonic() - seen < KNOWN_SECONDS
        return known and self._buckets.charge((address, user))

    def seconds_until(self, address: str) -> float:
        """Return how long until the address may show a token again."""
        return self._buckets.seconds_until((address, None))

    def failed(self, address: str) -> None:
        """Take note of a token that cannot be genuine."""
        self._buckets.charge((address, None))

    def succeeded(self, address: str, user: str) -> None:
        """Take note of a good token."""
        self._known[address, user] = self._monotonic()
        self._known.move_to_end((address, user))
        if len(self._known) > ADDRESSES_MAX:
            self._known.popitem(last=False)
