"""Issuers with their keys: what opens, and what keeps the gate from starting."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yarl import URL

from shapegate_proxy.config import IssuerConfig, Secret
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.issuers import open_issuers
from tests.proxy.builders import SECRET

PEM = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def entry(**changes: Any) -> IssuerConfig:
    return IssuerConfig(issuer="urn:a", audience="a", **changes)


async def test_every_kind_of_key_opens(unused_tcp_port: int) -> None:
    configs = [
        entry(secret=Secret(SECRET)),
        entry(public_key=PEM, algorithms=frozenset({"EdDSA"})),
        entry(jwks_url=URL(f"http://127.0.0.1:{unused_tcp_port}/"), algorithms=frozenset({"RS256"})),
    ]
    async with open_issuers(configs, sessions=True) as issuers:
        assert [issuer.keys.available() for issuer in issuers] == [True, True, False]
        assert all(issuer.sessions for issuer in issuers)


async def test_sessions_are_looked_up_where_the_entry_and_a_database_say_so() -> None:
    configs = [entry(secret=Secret(SECRET)), entry(public_key=PEM, revocation=False)]
    async with open_issuers(configs, sessions=True) as issuers:
        assert [issuer.sessions for issuer in issuers] == [True, False]
    async with open_issuers(configs, sessions=False) as issuers:
        assert [issuer.sessions for issuer in issuers] == [False, False]


@pytest.mark.parametrize(
    ("configs", "said"),
    [
        ([], "no issuer is configured"),
        ([entry(secret=Secret("short"))], "too short"),
        ([entry(secret=Secret(PEM))], "expected a random text"),
        ([entry(public_key="text")], "no PEM public key"),
        ([entry(public_key=PEM), entry(public_key=PEM)], "two entries accept EdDSA tokens of 'urn:a'"),
    ],
)
async def test_J_01_J_02_the_gate_does_not_start(configs: list[IssuerConfig], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        async with open_issuers(configs, sessions=False):
            raise AssertionError("it must not open")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"secret": Secret(SECRET), "public_key": PEM},
        {"secret": Secret(SECRET), "algorithms": frozenset({"HS256", "RS256"})},
        {"public_key": PEM, "algorithms": frozenset({"HS256"})},
        {"public_key": PEM, "algorithms": frozenset({"none"})},
    ],
)
def test_J_01_an_entry_never_mixes_kinds_of_key(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected algorithms|one of them"):
        entry(**changes)
