"""Records of refused attempts to reach another organization."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shapegate_proxy.audit import RECORDS_PER_MINUTE, AuditLog
from shapegate_proxy.logs import LogEvent
from tests.proxy.builders import ACME, GLOBEX, ISSUER, Ticks, principal

if TYPE_CHECKING:
    import pytest


def records(caplog: pytest.LogCaptureFixture) -> list[LogEvent]:
    return [
        record.msg
        for record in caplog.records
        if record.name == "shapegate.audit" and isinstance(record.msg, LogEvent)
    ]


def attempt(audit: AuditLog, user: str = "ada") -> None:
    audit.cross_org_refused(principal(user=user), asked_org=GLOBEX, request_id="r-1", method="GET")


def test_D_08_an_attempt_leaves_who_asked_and_for_what(caplog: pytest.LogCaptureFixture) -> None:
    attempt(AuditLog(monotonic=Ticks()))
    (record,) = records(caplog)
    assert record.name == "cross_org_refused"
    assert record.fields == {
        "request_id": "r-1",
        "issuer": ISSUER,
        "user": "ada",
        "org": ACME,
        "session": None,
        "asked_org": GLOBEX,
        "method": "GET",
        "unwritten_before": 0,
    }
    assert caplog.records[0].levelno == logging.WARNING


def test_D_08_one_principal_cannot_flood_the_log_and_what_was_left_out_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticks = Ticks()
    audit = AuditLog(monotonic=ticks)
    for _ in range(RECORDS_PER_MINUTE + 7):
        attempt(audit)
    attempt(audit, "ben")
    assert len(records(caplog)) == RECORDS_PER_MINUTE + 1
    ticks.now += 60
    attempt(audit)
    assert records(caplog)[-1].fields["unwritten_before"] == 7


def test_a_user_who_is_named_by_an_e_mail_address_is_told_by_its_hash(
    caplog: pytest.LogCaptureFixture,
) -> None:
    audit = AuditLog(monotonic=Ticks())
    for _ in range(2):
        attempt(audit, "ada@acme.example")
    first, second = (record.fields["user"] for record in records(caplog))
    assert first == second
    assert "@" not in str(first)
