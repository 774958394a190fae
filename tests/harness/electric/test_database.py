from __future__ import annotations

import asyncpg
import pytest

from shapegate_harness.electric.database import translated
from shapegate_harness.electric.errors import Misconfigured, Unreachable


@pytest.mark.parametrize(
    "lost",
    [
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
)
def test_a_lost_connection_is_unreachable_however_asyncpg_says_it(lost: Exception) -> None:
    with pytest.raises(Unreachable, match=type(lost).__name__), translated():
        raise lost


def test_a_refused_connection_is_misconfigured_and_all_else_passes() -> None:
    with pytest.raises(Misconfigured), translated():
        raise asyncpg.InvalidPasswordError("password authentication failed")
    with pytest.raises(asyncpg.UndefinedTableError), translated():
        raise asyncpg.UndefinedTableError("relation does not exist")
