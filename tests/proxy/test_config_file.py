"""The configuration file: its issuers and limits, and a problem with its line for anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from yarl import URL

from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.errors import ConfigError
from shapegate_schema.domains import policy_file
from tests.proxy.builders import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shapegate_proxy.config import ProxyConfig
    from shapegate_proxy.configuration import Configuration

ENVIRON = {
    "ELECTRIC_URL": "http://electric:3000",
    "ELECTRIC_SECRET": "s3cret",
    "SHAPEGATE_POLICY": str(policy_file("controls")),
}
FIRST = '[[issuers]]\nissuer = "https://a.example"\naudience = "gate"\n'
JWKS = 'jwks_url = "https://a.example/jwks.json"\n'


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Configuration]:
    """Read a file with this text, in an environment with these changes."""

    def from_text(text: str, **changes: str) -> Configuration:
        path = tmp_path / "gate.toml"
        path.write_text(text, encoding="utf-8")
        return read_configuration(ENVIRON | {"SHAPEGATE_CONFIG": str(path)} | changes)

    return from_text


@pytest.fixture
def config(read: Callable[..., Configuration]) -> Callable[..., ProxyConfig]:
    return lambda text, **changes: read(text, **changes).config


@pytest.fixture
def problems(read: Callable[..., Configuration], tmp_path: Path) -> Callable[..., list[str]]:
    """The problems of a file, with its name taken off."""

    def of_text(text: str, **changes: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, **changes)
        return [
            problem.replace(str(tmp_path / "gate.toml"), "gate.toml") for problem in caught.value.problems
        ]

    return of_text


def test_an_entry_has_the_defaults_of_the_environments_issuer(config: Callable[..., ProxyConfig]) -> None:
    (issuer,) = config(FIRST + JWKS).issuers
    assert (issuer.issuer, issuer.audience, issuer.jwks_url) == (
        "https://a.example",
        "gate",
        URL("https://a.example/jwks.json"),
    )
    assert (issuer.org_claim, issuer.role_claim, issuer.user_claim) == (
        ("organization_id",),
        ("role",),
        ("sub",),
    )
    assert (issuer.leeway_seconds, issuer.lifetime_seconds_max, issuer.revocation) == (10.0, None, False)


def test_every_key_of_an_entry_is_read(config: Callable[..., ProxyConfig]) -> None:
    text = (
        FIRST
        + JWKS
        + """
algorithms = ["ES256"]
org_claim = "app_metadata.org_id"
role_claim = ["https://a.example/role"]
user_claim = ["app", "user.id"]
claims = { client = "app.client", vendor = ["https://a.example/", "vendor"] }
subject_prefix = "user?id="
leeway_seconds = 30
lifetime_seconds_max = 3600
revocation = true
"""
    )
    (issuer,) = config(text, DATABASE_URL="postgresql://db/app").issuers
    assert issuer.algorithms == {"ES256"}
    assert issuer.org_claim == ("app_metadata", "org_id")
    assert issuer.role_claim == ("https://a.example/role",)
    assert issuer.user_claim == ("app", "user.id")
    assert issuer.claims == {"client": ("app", "client"), "vendor": ("https://a.example/", "vendor")}
    assert (issuer.subject_prefix, issuer.leeway_seconds) == ("user?id=", 30.0)
    assert (issuer.lifetime_seconds_max, issuer.revocation) == (3600.0, True)


def test_several_issuers_stand_beside_that_of_the_environment(config: Callable[..., ProxyConfig]) -> None:
    text = (
        FIRST + JWKS + '[[issuers]]\nissuer = "https://b.example"\naudience = "b"\nsecret_env = "B_SECRET"\n'
    )
    named = {"JWT_ISSUER": "https://a.example", "JWT_AUDIENCE": "gate", "SHARED_TOKEN_SECRET": SECRET}
    issuers = config(text, B_SECRET=SECRET, **named).issuers
    assert [issuer.issuer for issuer in issuers] == [
        "https://a.example",
        "https://a.example",
        "https://b.example",
    ]
    assert [sorted(issuer.algorithms) for issuer in issuers] == [
        ["HS256"],
        ["ES256", "EdDSA", "RS256"],
        ["HS256"],
    ]


def test_keys_and_secrets_come_from_files_beside_it(
    config: Callable[..., ProxyConfig], tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    by_key, by_secret = config(
        f'{FIRST}public_key_file = "key.pem"\n{FIRST}secret_file = "{tmp_path / "secret"}"\n'
    ).issuers
    assert by_key.public_key == pem.decode()
    assert by_key.algorithms == {"ES256"}
    assert by_secret.secret is not None
    assert by_secret.secret.reveal() == SECRET


def test_revocation_follows_the_database_unless_an_entry_says_otherwise(
    config: Callable[..., ProxyConfig],
) -> None:
    text = f"{FIRST}{JWKS}{FIRST.replace('a.ex', 'b.ex')}{JWKS}revocation = false\n"
    issuers = config(text, DATABASE_URL="postgresql://db/app").issuers
    assert [issuer.revocation for issuer in issuers] == [True, False]


def test_limits_are_read(config: Callable[..., ProxyConfig]) -> None:
    limits = config(FIRST + JWKS + "[limits]\nlive_per_principal = 7\n").limits
    assert (limits.live_per_principal, limits.requests_per_principal) == (7, 100)


def test_each_setting_says_on_which_line_it_stands(
    read: Callable[..., Configuration], tmp_path: Path
) -> None:
    settings = read(FIRST + JWKS + "[limits]\nconnections = 7\n").settings
    found = {setting.name: (setting.value, setting.origin) for setting in settings}
    file = tmp_path / "gate.toml"
    assert found["issuers[1].audience"] == ("gate", f"{file}:3")
    assert found["issuers[1].org_claim"] == ("organization_id", "default")
    assert found["limits.connections"] == ("7", f"{file}:6")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "gate.toml:2: [[issuers]]: issuer is proven by 0 of"),
        (f'{JWKS}secret_env = "S"', "is proven by 2 of"),
        ('secret = "plain"', "gate.toml:4: [[issuers]]: secret does not belong in this file"),
        (f"{JWKS}isuer = 1", "gate.toml:5: [[issuers]]: isuer is unknown"),
        ('jwks_url = "http://a.example/jwks"', "expected an https URL"),
        ('jwks_url = "https://u:p@a.example/"', "holds a user name"),
        ("jwks_url = 7", "jwks_url is 7: expected a text"),
        ('secret_env = "the-secret-itself"', "secret_env is no name of an environment variable"),
        ('secret_env = "NOT_SET"', "the environment has no NOT_SET"),
        ('secret_env = "SHORT"', "gate.toml:4: [[issuers]]: secret_env: SHORT is too short"),
        ('secret_file = "missing"', "missing' cannot be read: FileNotFoundError"),
        ('public_key_file = "missing"', "missing' cannot be read: FileNotFoundError"),
        ('public_key_file = "private.pem"', "private.pem' is no PEM public key"),
        (f"{JWKS}algorithms = []", "algorithms is []"),
        (f'{JWKS}algorithms = ["HS256"]', "expected a list out of ES256, EdDSA, RS256"),
        (f'{JWKS}algorithms = ["none"]', "algorithms is ['none']"),
        (f"{JWKS}algorithms = [[]]", "algorithms is [[]]"),
        (f"{JWKS}org_claim = []", "expected a path like"),
        (f'{JWKS}org_claim = "https://a.example/org"', "expected a path like"),
        (f'{JWKS}role_claim = ["a", 7]', "role_claim is ['a', 7]: expected a path like"),
        (f'{JWKS}user_claim = "a..b"', "expected a path like"),
        (f'{JWKS}user_claim = "a.b.c.d.e.f.g.h.i"', "expected a path like"),
        (f'{JWKS}claims = {{ "a.b" = "a" }}', "claims names 'a.b'"),
        (f"{JWKS}claims = {{ client = 7 }}", "has client = 7: expected a path like"),
        (f'{JWKS}claims = ["client"]', "claims is no table"),
        (f"{JWKS}leeway_seconds = 31", "leeway_seconds is 31: expected a number from 0 to 30"),
        (f"{JWKS}leeway_seconds = true", "leeway_seconds is True"),
        (f"{JWKS}leeway_seconds = nan", "leeway_seconds is nan"),
        (f"{JWKS}lifetime_seconds_max = -1", "lifetime_seconds_max is -1"),
        (f"{JWKS}lifetime_seconds_max = 0", "lifetime_seconds_max is 0"),
        (f'{JWKS}revocation = "yes"', "revocation is 'yes'"),
        (f"{JWKS}revocation = true", "DATABASE_URL is missing"),
        (f'{JWKS}subject_prefix = ""', "subject_prefix is ''"),
    ],
)
def test_a_problem_with_an_entry_is_named_with_its_line(
    problems: Callable[..., list[str]], tmp_path: Path, line: str, said: str
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "private.pem").write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    found = problems(f"{FIRST}{line}\n", SHORT="short")
    assert any(said in problem for problem in found), found
    assert all(problem.startswith("gate.toml:") for problem in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[issuers]]\n" + JWKS, "gate.toml:1: [[issuers]]: issuer is missing"),
        (FIRST + JWKS + FIRST + JWKS, "two entries accept ES256 tokens of 'https://a.example'"),
        (FIRST + JWKS + "[gate]\nport = 1\n", "gate.toml:5: unknown key 'gate'"),
        ("issuers = 7\n", "gate.toml:1: issuers is no list of tables"),
        ("issuers = [7]\n", "gate.toml:1: issuers is no list of tables"),
        (FIRST + JWKS + "[limits]\nconections = 7\n", "[limits]: unknown key 'conections'"),
        ("limits = 7\n" + FIRST + JWKS, "gate.toml:1: limits is no table"),
        ("issuers = [\n", "gate.toml: is not TOML"),
    ],
)
def test_a_problem_with_the_file_is_named(problems: Callable[..., list[str]], text: str, said: str) -> None:
    assert any(said in problem for problem in problems(text))


def test_all_problems_of_a_file_are_named_at_once(problems: Callable[..., list[str]]) -> None:
    text = FIRST + JWKS + "leeway_seconds = 31\nrevocation = 1\n" + FIRST + "[limits]\nconnections = 0\n"
    assert len(problems(text)) == 4


def test_a_claim_that_the_policy_names_has_to_be_given_by_an_issuer(
    read: Callable[..., Configuration], problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'version = 1\n[tables.cases]\nscope = "client_id = {claims.client}"\n'
        '[tables.cases.columns]\nclient_id = "uuid"\n'
    )
    named = {"SHAPEGATE_POLICY": str(policy)}
    assert read(FIRST + JWKS + 'claims = { client = "client" }\n', **named).config.issuers
    assert "the policy names {claims.client} and no issuer gives it" in problems(FIRST + JWKS, **named)[0]
