"""What a member of one org, and a stranger, try at the gate; none may yield a byte of another org."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from yarl import URL

from shapegate_harness.scenario.checks import expect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from shapegate_harness.scenario.script import Script
    from shapegate_harness.stack import Addresses

ATTACKER: Final = "ben@acme.example"
"""A member of Acme and of nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheat:
    """One attempt, and the statuses that refuse it or answer it without foreign rows."""

    name: str
    query: str
    statuses: frozenset[int]
    path: str = "/v1/shape"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


async def try_cheats(
    http: aiohttp.ClientSession,
    addresses: Addresses,
    script: Script,
    *,
    acme: str,
    globex: str,
    handle: str,
) -> int:
    """Try every cheat; return how many there were. Raises Differs at the first that worked.

    `handle` is one of Globex's shape of the script's table.
    """
    token = await _token(http, addresses, acme)
    cheats = _cheats(token, script, globex=globex, handle=handle)
    for cheat in cheats:
        url = URL(f"{addresses.proxy_url}{cheat.path}?{cheat.query}", encoded=True)
        async with http.request(cheat.method, url, headers=cheat.headers, allow_redirects=False) as answer:
            body = await answer.text()
            allowed = ", ".join(str(status) for status in sorted(cheat.statuses))
            expect(
                answer.status in cheat.statuses, f"{cheat.name}: answered {answer.status}: expected {allowed}"
            )
            seen = (body + str(answer.headers)).lower()
            foreign = [text for text in (globex, *script.foreign) if text in seen]
            expect(not foreign, f"{cheat.name}: the answer holds {foreign}, of Globex")
    return len(cheats)


async def _token(http: aiohttp.ClientSession, addresses: Addresses, acme: str) -> str:
    password = next(login.password for login in addresses.logins if login.email == ATTACKER)
    url = f"{addresses.issuer_url}/api/auth/login"
    async with http.post(url, json={"email": ATTACKER, "password": password}) as answer:
        expect(
            answer.status == 200, f"the login of {ATTACKER} was answered with {answer.status}: expected 200"
        )
        granted = await answer.json()
    expect(granted["organization"]["id"] == acme, f"{ATTACKER} landed in another org: expected Acme")
    return str(granted["access_token"])


def _cheats(token: str, script: Script, *, globex: str, handle: str) -> tuple[Cheat, ...]:
    ours = {"authorization": f"Bearer {token}"}
    head, body, signature = token.split(".")
    tampered = f"{head}.{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}.{signature}"
    start = f"table={script.table}&offset=-1"
    theirs = quote(script.theirs.format(globex=globex), safe="")
    for_owners = f"table={script.for_owners or 'memberships'}&offset=-1"
    plain: tuple[tuple[str, str, int], ...] = (
        ("a table for owners", for_owners, 403),
        ("a table that is not synced", "table=memberships&offset=-1", 403),
        ("the passwords", "table=shapegate_auth.credentials&offset=-1", 403),
        ("a table of the catalogue", "table=pg_catalog.pg_authid&offset=-1", 403),
        ("a table that does not exist", "table=no_such_table&offset=-1", 403),
        ("a column that is not synced", f"{start}&columns=id,xmin", 403),
        ("where=true", f"{start}&where=true", 200),
        ("a filter on the other org", f"{start}&where={theirs}", 200),
        ("a filter on everything", f"{start}&where=true%20OR%20{script.org_column}%20IS%20NULL", 200),
        ("a filter on a hidden column", f"{start}&where=xmin%20IS%20NOT%20NULL", 400),
        ("a subquery", f"{start}&where=id%20IN%20(SELECT%20id%20FROM%20{script.table})", 400),
        ("a filter that breaks out", f"{start}&where=true)%20OR%20(true", 400),
        ("an empty filter", f"{start}&where=", 400),
        ("parameters of one's own", f"{start}&params%5B1%5D={globex}", 400),
        ("the table named twice", f"{start}&table=organizations", 400),
        ("a filter twice, once encoded", f"{start}&where=true&%77here=true", 400),
        ("a subset that breaks out", f"{start}&subset__where=true)%20OR%20(true", 400),
        ("Electric's secret", f"{start}&secret=x", 400),
    )
    return (
        *(Cheat(name=n, query=q, statuses=frozenset({status}), headers=ours) for n, q, status in plain),
        Cheat(
            name="a handle of Globex",
            query=f"table={script.table}&offset=0_inf&handle={handle}",
            statuses=frozenset({409}),
            headers=ours,
        ),
        Cheat(
            name="a live request with a handle of Globex",
            query=f"table={script.table}&offset=0_inf&live=true&handle={handle}",
            statuses=frozenset({409}),
            headers=ours,
        ),
        Cheat(
            name="the URL of Globex",
            query=start,
            path=f"/api/electric/orgs/{globex}/sync",
            statuses=frozenset({403}),
            headers=ours,
        ),
        Cheat(name="DELETE", method="DELETE", query=start, statuses=frozenset({405}), headers=ours),
        Cheat(
            name="a tampered token",
            query=start,
            statuses=frozenset({401}),
            headers={"authorization": f"Bearer {tampered}"},
        ),
        Cheat(name="no token", query=start, statuses=frozenset({401})),
        Cheat(name="a token in the query", query=f"{start}&token={token}", statuses=frozenset({401})),
    )
