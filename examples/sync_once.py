"""Bring some tables up to date and end: for a job that runs now and then. Needs `python3 dev.py up`.

The second run asks for what changed since the first one. Ends with code 1 and a sentence if it fails.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shapegate_client import ClientError, IssuerCredentials, Session, ShapeDefinition

ISSUER, PROXY = "http://127.0.0.1:4001", "http://127.0.0.1:4000"
HOME = Path("local")
SHAPES = (
    ShapeDefinition(table="controls", columns=("id", "name", "current_quadrant")),
    ShapeDefinition(table="provider_networks"),
)


async def main() -> None:
    async with IssuerCredentials(ISSUER, home=HOME) as credentials:
        await credentials.login("ada@acme.example", "shapegate-demo")
        async with Session.open(PROXY, credentials, home=HOME) as session:
            for shape in SHAPES:
                await session.subscribe(shape)
            await session.up_to_date(timeout=60)
            for each in session.progress:
                print(session.db[each.table].count, each.table, f"({each.received_rows} received)")


try:
    asyncio.run(main())
except ClientError as exc:
    sys.exit(f"sync_once: {exc}")
