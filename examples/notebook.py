"""Read the local rows offline, cell by cell, after one of the other examples has synced them.

sqlite-utils is there with the client. `datasette` is not needed, but understands the metadata.json that the
last cell writes beside the rows.
"""

from __future__ import annotations

# %% Open what is here; no server is asked
import asyncio
import json
from pathlib import Path

from shapegate_client import IssuerCredentials, open_rows

HOME = Path("local")
credentials = IssuerCredentials("http://127.0.0.1:4001", home=HOME)
principal, db = asyncio.run(open_rows(credentials, home=HOME))
print(principal.email, "in", principal.organization.name)

# %% What there is: a table for each shape; those that begin with _shapegate_ are the client's own
tables = [name for name in db.table_names() if not name.startswith("_shapegate_")]
for name in tables:
    print(name, db[name].count, [column.name for column in db[name].columns])

# %% Any SQL that SQLite knows
for row in db.query("SELECT current_quadrant, count(*) AS controls FROM controls GROUP BY 1 ORDER BY 1"):
    print(row)

# %% A metadata.json for datasette, beside the rows
path = Path(db.execute("PRAGMA database_list").fetchone()[2])
own = [name for name in db.table_names() if name.startswith("_shapegate_")]
described = {name: {"description": f"Synced rows of {principal.organization.name}"} for name in tables}
hidden = {name: {"hidden": True} for name in own}
metadata = {"title": principal.organization.name, "databases": {path.stem: {"tables": described | hidden}}}
path.with_name("metadata.json").write_text(json.dumps(metadata, indent=2))
print(f"datasette {path} --metadata {path.with_name('metadata.json')}")
db.close()
