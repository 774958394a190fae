"""How a session is doing, summed up."""

from __future__ import annotations

import datetime

import pytest

from shapegate_client.errors import ClientError, LoginRequired, TokenRejected
from shapegate_client.status import (
    Connecting,
    Live,
    NeedsLogin,
    OfflineSince,
    ShapeProgress,
    Status,
    Stopped,
    status_of,
)

EARLY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATE = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
FAULT = TokenRejected()


def shape(
    *,
    complete: bool = True,
    reachable: bool = True,
    at: datetime.datetime | None = LATE,
    error: ClientError | None = None,
) -> ShapeProgress:
    return ShapeProgress(table="t", complete=complete, reachable=reachable, up_to_date_at=at, error=error)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([], Connecting()),
        ([shape()], Live()),
        ([shape(), shape(complete=False)], Connecting()),
        ([shape(), shape(reachable=False)], OfflineSince(LATE)),
        ([shape(reachable=False, at=EARLY), shape(reachable=False)], OfflineSince(EARLY)),
        ([shape(reachable=False, at=None), shape(reachable=False)], OfflineSince(None)),
        ([shape(reachable=False), shape(error=FAULT)], Stopped(FAULT)),
        ([shape(error=FAULT), shape(error=LoginRequired("x"))], NeedsLogin()),
    ],
)
def test_the_worst_shape_speaks_for_all(shapes: list[ShapeProgress], expected: Status) -> None:
    assert status_of(shapes) == expected
