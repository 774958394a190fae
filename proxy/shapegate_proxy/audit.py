"""Records of refused attempts to reach another organization, in the log `shapegate.audit`.

An attempt is an organization in the URL that is not the token's. A filter that compares with another
organization's id is none by itself: the scope stands in front of it and nothing of theirs can match. Whose a
handle is only Electric knows, which answers with 409 to any that does not belong to the confined shape.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from shapegate_proxy.buckets import Buckets
from shapegate_proxy.logs import LogEvent
from shapegate_proxy.observe import loggable_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapegate_proxy.principal import Principal

RECORDS_PER_MINUTE: Final = 30
"""For one principal; what lies above is counted in the next record, so that nobody floods the log."""
PRINCIPALS_MAX: Final = 10_000
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class AuditLog:
    """Writes one record per attempt."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._log = logging.getLogger("shapegate.audit")
        self._buckets: Buckets[tuple[str, str, str]] = Buckets(
            per_minute=RECORDS_PER_MINUTE, keys_max=PRINCIPALS_MAX, monotonic=monotonic
        )
        self._unwritten: dict[tuple[str, str, str], int] = {}

    def cross_org_refused(
        self, principal: Principal, *, asked_org: str, request_id: str, method: str
    ) -> None:
        """Record that a principal asked for something of an org that is not theirs, and was refused.

        What is no id of an org is not written: it may be anything, a token too.
        """
        who = (principal.issuer, principal.user, principal.org)
        if not self._buckets.charge(who):
            if len(self._unwritten) < PRINCIPALS_MAX or who in self._unwritten:
                self._unwritten[who] = self._unwritten.get(who, 0) + 1
            return
        details = {
            "request_id": request_id,
            "issuer": principal.issuer,
            "user": loggable_user(principal.user),
            "org": principal.org,
            "session": principal.session,
            "asked_org": asked_org.lower() if _UUID.fullmatch(asked_org) else "malformed",
            "method": method,
            "unwritten_before": self._unwritten.pop(who, 0),
        }
        self._log.warning(LogEvent(name="cross_org_refused", fields=details))
