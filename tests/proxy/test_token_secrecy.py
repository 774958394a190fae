"""A token is nowhere but in its request: no refusal shows it, in an answer, the log or an exception."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from shapegate_proxy.config import IssuerConfig, Secret
from shapegate_proxy.errors import Refused
from shapegate_proxy.incoming import Incoming
from shapegate_proxy.keys import FixedKey, bind_secret
from shapegate_proxy.plain_head import HeadReader
from shapegate_proxy.proven import ProvenTokens
from shapegate_proxy.tokens import TrustedIssuer, Verifier, bearer_token
from tests.proxy.builders import AUDIENCE, ISSUER, NOW, SECRET, Clock, claims, gate_before, serve, token
from tests.proxy.test_tokens import HEADER, signed

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

MARKER = "hushhush-marker"
SECONDS = int(NOW.timestamp())


def marked(**changes: Any) -> str:
    return token(note=MARKER, headers={"kid": MARKER}, **changes)


GOOD = marked()
HEAD, BODY, SIGNATURE = GOOD.split(".")

TWICE = '{"iss": "hushhush-marker", "iss": "hushhush-marker"}'

AUTHORIZATIONS = {
    "basic": f"Basic {GOOD}",
    "two segments": f"Bearer {HEAD}.{BODY}",
    "encrypted": f"Bearer {GOOD}.{BODY}.{SIGNATURE}",
    "with a blank": f"Bearer {GOOD} {MARKER}",
    "too long": f"Bearer {GOOD}{'A' * 9_000}",
    "forged": f"Bearer {HEAD}.{BODY}.{'A' * 43}",
    "unsigned": f"Bearer {signed({'alg': 'none'}, claims(note=MARKER))}",
    "no base64": f"Bearer {HEAD}A.{BODY}.{SIGNATURE}",
    "header key": f"Bearer {signed(HEADER | {'jku': f'https://{MARKER}/'}, claims(note=MARKER))}",
    "no json": f"Bearer {signed(HEADER, MARKER)}",
    "repeated name": f"Bearer {signed(HEADER, TWICE)}",
    "no utf-8": f"Bearer {HEAD}.{'_' * 24}.{SIGNATURE}",
    "type": f"Bearer {signed(HEADER | {'typ': MARKER}, claims(note=MARKER))}",
    "issuer": f"Bearer {marked(iss=MARKER)}",
    "audience": f"Bearer {marked(aud=MARKER)}",
    "audience list": f"Bearer {marked(aud=[MARKER, 7])}",
    "expired": f"Bearer {marked(exp=SECONDS - 60)}",
    "not yet valid": f"Bearer {marked(nbf=SECONDS + 60)}",
    "end as text": f"Bearer {signed(HEADER, claims(exp=MARKER))}",
    "no user": f"Bearer {marked(sub=f'{MARKER} {chr(10)}')}",
    "no organization": f"Bearer {marked(organization_id=MARKER)}",
    "keys away": f"Bearer {signed({'alg': 'ES256', 'kid': MARKER}, claims(iss='urn:away', note=MARKER))}",
}


def secrets_of(authorization: str) -> tuple[str, ...]:
    """Every part of a token that must not appear anywhere, and what it holds."""
    parts = authorization.replace(" ", ".").split(".")
    return (MARKER, *(part for part in parts if len(part) > 8))


def verifier(proven: ProvenTokens | None = None) -> Verifier:
    config = IssuerConfig(issuer=ISSUER, audience=AUDIENCE, secret=Secret(SECRET))
    issuer = TrustedIssuer(config=config, keys=FixedKey(bind_secret(Secret(SECRET))), sessions=True)
    return Verifier([issuer], clock=Clock(), proven=proven)


@pytest.mark.parametrize("authorization", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
async def test_J_16_no_exception_shows_a_token(authorization: str) -> None:
    with pytest.raises(Refused) as caught:
        await verifier().verify(bearer_token([authorization]))
    chain: BaseException | None = caught.value
    shown = "".join(traceback.format_exception(caught.value))
    while chain is not None:
        shown += repr(chain) + repr(chain.__dict__)
        chain = chain.__cause__ or chain.__context__
    lines = [line for line in shown.splitlines() if not line.startswith("    ")]  # but the source's own
    assert not any(secret in "\n".join(lines) for secret in secrets_of(authorization))


@pytest.mark.parametrize("authorization", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
async def test_J_16_no_answer_and_no_log_shows_a_token(
    authorization: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        raise AssertionError("nothing may reach Electric")

    issuers = (
        IssuerConfig(issuer=ISSUER, audience=AUDIENCE, secret=Secret(SECRET)),
        IssuerConfig(
            issuer="urn:away",
            audience=AUDIENCE,
            jwks_url=URL(f"http://127.0.0.1:{unused_tcp_port}/"),
        ),
    )
    caplog.set_level(logging.DEBUG)
    async with (
        serve(never) as (electric, seen),
        gate_before(electric, tmp_path, seen, issuers=issuers) as running,
        aiohttp.ClientSession() as http,
    ):
        query = {"table": "items", "offset": "-1"}
        headers = {"authorization": authorization}
        async with http.get(running.url / "v1/shape", params=query, headers=headers) as answer:
            shown = f"{answer.status} {answer.headers} {await answer.text()}"
        assert seen == []
        shown += repr(running.recorder.events) + caplog.text
    assert not any(secret in shown for secret in secrets_of(authorization))


async def test_J_16_what_is_remembered_of_a_token_is_not_the_token() -> None:
    proven = ProvenTokens()
    good = token(note=MARKER)
    await verifier(proven).verify(good)
    remembered = repr(proven.__dict__)
    assert len(proven) == 1
    assert not any(secret in remembered for secret in secrets_of(good))


def test_J_16_a_request_as_it_came_in_does_not_print_its_token() -> None:
    head = f"GET /v1/shape HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {GOOD}\r\n\r\n"
    plain = HeadReader().read(head.encode())
    assert plain is not None

    async def read_body() -> bytes | None:
        return None

    incoming = Incoming(
        method="GET",
        target=plain.target,
        org=None,
        values=plain.values,
        query=lambda: (),
        read_body=read_body,
        peer=lambda: None,
    )
    assert not any(secret in f"{plain!r} {incoming!r}" for secret in secrets_of(f"Bearer {GOOD}"))
