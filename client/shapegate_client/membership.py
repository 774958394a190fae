"""Heeds what the issuer says of a user's memberships while a session runs (REQUIREMENTS T-09)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from shapegate_client.errors import ClientError, MembershipEnded
from shapegate_client.removal import remove_unlisted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shapegate_client.replica import Replica, Tools
    from shapegate_client.watch import Board


async def heed_memberships(
    tools: Tools,
    board: Board,
    replica: Callable[[], Replica],
    *,
    expel: Callable[[], Awaitable[None]],
) -> None:
    """Remove rows of orgs that the issuer lists no more, and `expel` from the one in use; for ever.

    The proof is the issuer's alone: being offline is none, nor is a refusal of the proxy.
    """
    listed = replica().principal.organizations
    while True:
        beats = board.pulse.beats
        if membership_ended(replica()) is not None:
            await expel()
        with contextlib.suppress(ClientError):  # what is wrong with login or disk, others are told
            principal = await tools.credentials.principal()
            if principal.organizations != listed:
                in_use = replica().principal.organization
                remove_unlisted(tools.home, replace(principal, organization=in_use))
                listed = principal.organizations
        await board.pulse.after(beats)


def membership_ended(replica: Replica) -> MembershipEnded | None:
    """Return what the issuer said of the org in use, if it said that the user is no member any more."""
    errors = (shape.error for shape in replica.progress)
    return next((error for error in errors if isinstance(error, MembershipEnded)), None)
