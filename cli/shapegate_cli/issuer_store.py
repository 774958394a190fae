"""What the commands on the issuer's tables share: the connection, and their failures."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shapegate_cli.database import database_url
from shapegate_cli.problems import Failed, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from shapegate_harness.issuer.store import Store

DATABASE_SECONDS: Final = 15.0


@asynccontextmanager
async def issuer_store() -> AsyncIterator[Store]:
    """Open the issuer's tables in the database of DATABASE_URL."""
    from shapegate_harness.issuer.store import Store

    url = database_url("the URL of the role shapegate_issuer, or a superuser's")
    async with Store.open(url, seconds=DATABASE_SECONDS) as store:
        yield store


@contextmanager
def explained_store() -> Iterator[None]:
    """Turn the failures of the issuer's tables into a sentence and an exit code."""
    from shapegate_harness.issuer import IssuerError
    from shapegate_harness.issuer.errors import InternalFault, Unavailable

    try:
        yield
    except Unavailable as exc:
        raise Unreachable("the database does not answer: check the URL, or try again") from exc
    except InternalFault as exc:
        raise Failed("the database refused: check the URL, and that the migrations have run") from exc
    except IssuerError as exc:
        raise Failed(str(exc)) from exc


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)
