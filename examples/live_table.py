"""List a table, then every change of it until Ctrl-C. `python3 dev.py up` serves what it needs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shapegate_client import IssuerCredentials, Session, ShapeDefinition

ISSUER, PROXY = "http://127.0.0.1:4001", "http://127.0.0.1:4000"
HOME = Path("local")


async def main() -> None:
    async with IssuerCredentials(ISSUER, home=HOME) as credentials:
        await credentials.login("ada@acme.example", "shapegate-demo")
        async with Session.open(PROXY, credentials, home=HOME) as session:
            await session.subscribe(ShapeDefinition(table="controls"))
            await session.up_to_date()
            changes = session.watch("controls")
            for row in session.db.table("controls").rows_where(order_by="name"):
                print(row["name"], row["current_quadrant"], sep="\t", flush=True)
            async for batch in changes:
                for key in batch.inserted + batch.updated:
                    print("changed", session.db.table("controls").get(key)["name"], sep="\t", flush=True)
                for key in batch.deleted:
                    print("deleted", *key, sep="\t", flush=True)


asyncio.run(main())
