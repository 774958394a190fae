"""Somebody who talks to an issuer over HTTP, and what they get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.harness.issuer.builders import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from multidict import CIMultiDictProxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    raw: bytes

    @property
    def body(self) -> dict[str, object]:
        """The answer as the JSON object that it must be."""
        assert self.headers["Content-Type"].partition(";")[0] == "application/json"
        value: object = json.loads(self.raw)
        assert isinstance(value, dict)
        return value

    def text(self, name: str) -> str:
        """A text member of the answer."""
        value = self.body[name]
        assert isinstance(value, str)
        return value

    def part(self, name: str) -> dict[str, object]:
        """An object member of the answer."""
        value = self.body[name]
        assert isinstance(value, dict)
        return value

    def slugs(self) -> list[str]:
        """The organizations listed."""
        value = self.body["organizations"]
        assert isinstance(value, list)
        return [str(item["slug"]) for item in value]


class Caller:
    """The endpoints as calls."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request as it is given."""
        async with self._http.request(
            method, self._url + path, data=data, headers=headers, allow_redirects=False
        ) as response:
            return Reply(status=response.status, headers=response.headers, raw=await response.read())

    async def post(self, endpoint: str, body: object = None, *, token: str | None = None) -> Reply:
        """Post JSON to one of the /api/auth endpoints."""
        data = None if body is None else json.dumps(body).encode()
        return await self.send("POST", f"/api/auth/{endpoint}", data=data, headers=_bearer(token))

    async def login(self, email: str = "ada@acme.example", password: str = PASSWORD) -> Reply:
        """Log in; by default as Ada, who belongs to both organizations."""
        return await self.post("login", {"email": email, "password": password})

    async def refresh(self, refresh_token: str) -> Reply:
        """Exchange a refresh token."""
        return await self.post("refresh", {"refresh_token": refresh_token})

    async def switch(self, token: str, organization_id: str) -> Reply:
        """Ask for another organization."""
        return await self.post("switch", {"organization_id": organization_id}, token=token)

    async def password(self, token: str, current: str, new: str) -> Reply:
        """Change the password."""
        body = {"current_password": current, "new_password": new}
        return await self.post("password", body, token=token)

    async def me(self, token: str | None) -> Reply:
        """Ask whose token it is."""
        return await self.send("GET", "/api/auth/me", headers=_bearer(token))

    async def logout(self, token: str, body: object = None) -> Reply:
        """End the session."""
        return await self.post("logout", body, token=token)


def _bearer(token: str | None) -> Mapping[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}
