"""What one principal and one organization may have under way, and how many shapes they may make in an hour.

Each distinct shape is a log on Electric's disk, so the count is of shapes, not of requests: one asked again
within the hour is free, with or without a handle. An organization at its limit leaves every other one alone.
Pure accounting: the clock is given, a request costs the same whatever is remembered.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.too_many import TooManyInitial, TooManyLive, TooManyRequests, TooManyShapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from shapegate_proxy.limit_settings import LimitSettings
    from shapegate_proxy.policy import ConfinedRequest
    from shapegate_proxy.principal import Principal

HOUR_SECONDS: Final = 3_600.0
REMEMBERED_MAX: Final = 200_000
"""Shapes remembered for all principals, and as many for all organizations; some 35 MB each when full."""
RENEWED_SECONDS: Final = 10.0
"""A shape that is asked again and again is noted this often; so much shorter its hour may be."""
RETRY_SECONDS_MAX: Final = 300
"""Longer than that no client waits."""

Owner = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Account:
    """Whom a request is counted for, and as what."""

    owner: Owner
    """The principal."""
    org: Owner
    shapes_owner: Owner
    """On whose account the shape is."""
    shape: bytes
    """Names what makes a shape at Electric: the definition that goes there, not the client's words for it."""
    shapes_max: int | None
    """How many distinct shapes the owner may have, if the table has a number of its own."""
    live: bool
    initial: bool
    """Whether Electric reads from Postgres for it: at the start of a log, and for a subset."""
    at_once: bool
    """Whether it is over soon: neither live nor a subset."""
    noted_until: float = -math.inf
    """Until when the shape need not be noted again, on the clock of the limits, which sets it."""


def account(confined: ConfinedRequest) -> Account:
    """Name the account of a request."""
    asked, owner, shapes_max = confined.asked, _owner(confined.principal), confined.limits.shapes_per_hour
    return Account(
        owner=owner,
        org=(confined.principal.org,),
        # A table with a number of its own has an account for each principal.
        shapes_owner=owner if shapes_max is None else (*owner, confined.table.to_sql()),
        shape=_shape(confined),
        shapes_max=shapes_max,
        live=asked.live,
        initial=asked.handle is None or asked.subset is not None,
        at_once=not asked.live and asked.subset is None,
    )


def _shape(confined: ConfinedRequest) -> bytes:
    asked = confined.asked.definition
    parts = (
        confined.table.to_sql(),
        confined.where,
        confined.params,
        confined.columns,
        asked.replica.value,
        asked.log.value,
    )
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Limits:
    """The accounts of one gate."""

    def __init__(self, settings: LimitSettings, *, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._requests: dict[Owner, int] = {}
        """Requests under way by principal and by org."""
        self._live: dict[Owner, int] = {}
        self._initial: dict[Owner, int] = {}
        """Requests at the start of a log, and for subsets: those that read from Postgres, by org."""
        self._shapes_of_principals = RecentShapes(REMEMBERED_MAX)
        self._shapes_of_orgs = RecentShapes(REMEMBERED_MAX)

    def enter(self, principal: Principal) -> AbstractContextManager[None]:
        """Count a request as under way from now to the end of the block, before anything is done for it.

        Raises TooManyRequests.
        """
        owner, org = _owner(principal), (principal.org,)
        if self._requests.get(owner, 0) >= self._settings.requests_per_principal:
            raise TooManyRequests("This user has too many requests under way")
        if self._requests.get(org, 0) >= self._settings.requests_per_org:
            raise TooManyRequests("This organization has too many requests under way")
        return _Counted((self._requests, owner), (self._requests, org))

    def admit(self, account: Account) -> AbstractContextManager[None]:
        """Count what is asked for: its shape for an hour, and as live or as initial to the end of the block.

        Raises TooManyLive, TooManyInitial or TooManyShapes; a refused request counts nowhere.
        """
        if account.live and self._live.get(account.owner, 0) >= self._settings.live_per_principal:
            raise TooManyLive
        if account.initial and self._initial.get(account.org, 0) >= self._settings.initial_per_org:
            raise TooManyInitial
        self._count_shape(account)
        counted = []
        if account.live:
            counted.append((self._live, account.owner))
        if account.initial:
            counted.append((self._initial, account.org))
        return _Counted(*counted)

    def admits_now(self, account: Account) -> bool:
        """Say, counting nothing, whether a request is surely let in: its shape was noted lately."""
        settings, requests, monotonic = self._settings, self._requests, self._monotonic
        return (
            account.noted_until > monotonic()
            and account.at_once
            and requests.get(account.owner, 0) < settings.requests_per_principal
            and requests.get(account.org, 0) < settings.requests_per_org
            and (not account.initial or self._initial.get(account.org, 0) < settings.initial_per_org)
        )

    def count(self, account: Account) -> None:
        """Count a request, as `enter` and `admit` do, that `admits_now` said is let in; `uncount` follows."""
        requests = self._requests
        requests[account.owner] = requests.get(account.owner, 0) + 1
        requests[account.org] = requests.get(account.org, 0) + 1
        if account.initial:
            self._initial[account.org] = self._initial.get(account.org, 0) + 1

    def uncount(self, account: Account) -> None:
        """Count it no more."""
        _take_one(self._requests, account.owner)
        _take_one(self._requests, account.org)
        if account.initial:
            _take_one(self._initial, account.org)

    def _count_shape(self, account: Account) -> None:
        now = self._monotonic()
        noted_at = min(
            self._shapes_of_principals.noted_at(account.shapes_owner, account.shape),
            self._shapes_of_orgs.noted_at(account.org, account.shape),
        )
        account.noted_until = noted_at + RENEWED_SECONDS
        if account.noted_until > now:
            return
        own_max = account.shapes_max
        if own_max is None:
            own_max = self._settings.shapes_per_hour_principal
        for recent, who, shapes_max, whose in (
            (self._shapes_of_principals, account.shapes_owner, own_max, "user"),
            (self._shapes_of_orgs, account.org, self._settings.shapes_per_hour_org, "organization"),
        ):
            wait = recent.seconds_until(who, account.shape, shapes_max, now=now)
            if wait > 0:
                seconds = min(math.ceil(wait), RETRY_SECONDS_MAX)
                raise TooManyShapes(
                    f"This {whose} asked for {shapes_max} distinct shapes within an hour", seconds
                )
        self._shapes_of_principals.note(account.shapes_owner, account.shape, now=now)
        self._shapes_of_orgs.note(account.org, account.shape, now=now)
        account.noted_until = now + RENEWED_SECONDS


def _owner(principal: Principal) -> Owner:
    return principal.issuer, principal.user, principal.org


class _Counted:
    """Adds one for each owner, from now to the end of the block; an owner without any is not kept."""

    __slots__ = ("_counted",)

    def __init__(self, *counted: tuple[dict[Owner, int], Owner]) -> None:
        self._counted = counted
        for counter, owner in counted:
            counter[owner] = counter.get(owner, 0) + 1

    def __enter__(self) -> None:
        """It is counted already."""

    def __exit__(self, *_exc: object) -> None:
        for counter, owner in self._counted:
            _take_one(counter, owner)


def _take_one(counter: dict[Owner, int], owner: Owner) -> None:
    left = counter[owner] - 1
    if left:
        counter[owner] = left
    else:
        del counter[owner]


class RecentShapes:
    """The shapes that each owner asked for within the last hour.

    When more than `shapes_max` would be remembered, the owner who asked longest ago is forgotten: that makes
    limits laxer, and refuses nobody for what others did.
    """

    def __init__(self, shapes_max: int) -> None:
        self._shapes_max = shapes_max
        self._owners: OrderedDict[Owner, dict[bytes, float]] = OrderedDict()
        """By owner, when each shape was asked for last; both in the order of that."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def noted_at(self, owner: Owner, shape: bytes) -> float:
        """Return when the shape was noted last; before all time if it was not, or is forgotten."""
        shapes = self._owners.get(owner)
        return -math.inf if shapes is None else shapes.get(shape, -math.inf)

    def seconds_until(self, owner: Owner, shape: bytes, shapes_max: int, *, now: float) -> float:
        """Return how long until this shape fits among the owner's; 0 if it does now."""
        shapes = self._owners.get(owner)
        if shapes is None:
            return 0.0
        while shapes and now - next(iter(shapes.values())) >= HOUR_SECONDS:
            del shapes[next(iter(shapes))]
            self._count -= 1
        if shape in shapes or len(shapes) < shapes_max:
            return 0.0
        return next(iter(shapes.values())) + HOUR_SECONDS - now

    def note(self, owner: Owner, shape: bytes, *, now: float) -> None:
        """Remember that the owner asks for the shape now."""
        shapes = self._owners.setdefault(owner, {})
        self._count += shapes.pop(shape, None) is None
        shapes[shape] = now
        self._owners.move_to_end(owner)
        while self._is_over(now):
            _, forgotten = self._owners.popitem(last=False)
            self._count -= len(forgotten)

    def _is_over(self, now: float) -> bool:
        """Say whether there is one owner too many, in memory or in time; never the one noted now."""
        if self._count > self._shapes_max:
            return len(self._owners) > 1
        oldest = next(iter(self._owners.values()))
        return not oldest or now - next(reversed(oldest.values())) >= HOUR_SECONDS
