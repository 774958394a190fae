"""`shapegate token`: an access token of the embedded stack that runs, for curl and the like."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import click

from shapegate_cli.problems import Failed, NotAllowed, Unreachable, explained

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_SECONDS: Final = 20.0


@click.command()
@click.option("--email", help="Who; by default the first login of the stack.")
@click.option("--org", help="Which org, by slug, name or id; by default the one where the login lands.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="The file that `shapegate up --json` wrote."
)
def token(email: str | None, org: str | None, json_path: Path | None) -> None:
    """Print an access token of the stack that `shapegate up` runs. Development only."""
    from shapegate_cli.up import running_file
    from shapegate_harness.home import HomeUnknown

    with explained({HomeUnknown: Failed}):
        stack = _read(json_path or running_file())
    password = _password(stack, email)
    with explained({aiohttp.ClientError: Unreachable, TimeoutError: Unreachable}):
        click.echo(asyncio.run(_token(str(stack["issuer_url"]), *password, org)))


def _read(path: Path) -> Mapping[str, object]:
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise Unreachable("no stack runs: start it with `shapegate up`") from exc
    except (OSError, ValueError) as exc:
        raise Failed(f"{path} cannot be read: expected what `shapegate up --json` writes") from exc
    if not isinstance(loaded, dict) or not {"issuer_url", "logins"} <= loaded.keys():
        raise Failed(f"{path} holds no stack: expected what `shapegate up --json` writes")
    return loaded


def _password(stack: Mapping[str, object], email: str | None) -> tuple[str, str]:
    """Find a login of the stack's own. Raises NotAllowed."""
    logins = stack["logins"]
    assert isinstance(logins, list), "`up` writes a list"
    known = {str(login["email"]): str(login["password"]) for login in logins}
    chosen = email or next(iter(known), "")
    if chosen not in known:
        raise NotAllowed(f"{chosen!r} is no login of the stack: expected one of {', '.join(known) or 'none'}")
    return chosen, known[chosen]


async def _token(issuer_url: str, email: str, password: str, org: str | None) -> str:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(issuer_url, timeout=timeout) as http:
        granted = await _post(http, "login", {"email": email, "password": password})
        if org is None:
            return str(granted["access_token"])
        organizations = granted["organizations"]
        assert isinstance(organizations, list), "the issuer answers a list"
        found = [each for each in organizations if org in (each["slug"], each["name"], each["id"])]
        if not found:
            slugs = ", ".join(each["slug"] for each in organizations)
            raise NotAllowed(f"{email} is no member of {org!r}: expected one of {slugs}")
        bearer = {"authorization": f"Bearer {granted['access_token']}"}
        switched = await _post(http, "switch", {"organization_id": found[0]["id"]}, bearer)
        return str(switched["access_token"])


async def _post(
    http: aiohttp.ClientSession,
    endpoint: str,
    body: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> Mapping[str, object]:
    async with http.post(f"/api/auth/{endpoint}", json=body, headers=headers) as answer:
        loaded: object = await answer.json(content_type=None)
        assert isinstance(loaded, dict), "the issuer answers objects"
        if answer.status != 200:
            raise NotAllowed(f"the issuer refused ({answer.status}): {loaded.get('message')}")
        return loaded
