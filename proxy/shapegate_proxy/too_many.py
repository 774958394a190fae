"""Refusals of who asks for too much: each a 429 that says when to come back."""

from __future__ import annotations

import math

from shapegate_proxy.errors import Refused


class TooManyFailures(Refused):
    """An address that showed too many tokens that cannot be genuine."""

    status = 429
    code = "too_many_failures"
    hint = "Send genuine tokens only; behind a balancer the operator has to set TRUSTED_PROXIES."

    def __init__(self, seconds: float) -> None:
        headers = {"retry-after": str(max(1, math.ceil(seconds)))}
        super().__init__("Too many invalid tokens came from this address", headers=headers)


class TooManyRequests(Refused):
    """A user or an organization with too many requests under way."""

    status = 429
    code = "too_many_requests"
    hint = "Wait for answers before asking more; the operator may raise the limit."

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "1"})


class TooManyLive(Refused):
    """A user with too many live requests."""

    status = 429
    code = "too_many_live"
    hint = "Close live shapes that nobody looks at, in other tabs too; the operator may raise the limit."

    def __init__(self) -> None:
        super().__init__("This user follows too many shapes at once", headers={"retry-after": "5"})


class TooManyInitial(Refused):
    """An organization with too many initial requests and subsets under way."""

    status = 429
    code = "too_many_initial"
    hint = "Start shapes and ask for subsets one after another; the operator may raise the limit."

    def __init__(self) -> None:
        super().__init__(
            "This organization starts too many shapes, or asks for too many subsets, at once",
            headers={"retry-after": "2"},
        )


class TooManyShapes(Refused):
    """A user or an organization that asked for too many distinct shapes within an hour."""

    status = 429
    code = "too_many_shapes"
    hint = "Ask for fewer, larger shapes and narrow them by subsets or locally; shapes in use stay served."

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message, headers={"retry-after": str(seconds)})
