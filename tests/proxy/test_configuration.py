"""The configuration: what it needs, and that all its problems are named at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yarl import URL

from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.errors import ConfigError
from shapegate_schema.domains import policy_file
from tests.proxy.builders import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_proxy.config import ProxyConfig

PEM = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

GOOD = {
    "ELECTRIC_URL": "http://electric:3000",
    "ELECTRIC_SECRET": "s3cret",
    "JWKS_URL": "https://auth.example/jwks.json",
    "JWT_ISSUER": "https://auth.example",
    "JWT_AUDIENCE": "shapegate",
    "SHAPEGATE_POLICY": str(policy_file("controls")),
}


def config(**changes: str) -> ProxyConfig:
    return read_configuration(GOOD | changes).config


def origins(**changes: str) -> dict[str, tuple[str, str]]:
    """Every setting with its value and its origin."""
    settings = read_configuration(GOOD | changes).settings
    return {setting.name: (setting.value, setting.origin) for setting in settings}


def problems(**changes: str | None) -> tuple[str, ...]:
    environ = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        read_configuration(environ)
    return caught.value.problems


def test_a_good_environment_is_read() -> None:
    read = config(PORT="8080", FRONTEND_URL="https://a.example, https://b.example/")
    assert (read.host, read.port, read.policy_path) == ("127.0.0.1", 8080, policy_file("controls"))
    assert read.origins == {"https://a.example", "https://b.example"}
    assert read.electric_secret is not None
    assert read.electric_secret.reveal() == "s3cret"
    assert (read.metrics, read.trusted_proxies) == (None, ())


def test_metrics_and_balancers_are_read() -> None:
    read = config(METRICS_PORT="9000", TRUSTED_PROXIES="10.0.0.0/8, fd00::/8,")
    assert read.metrics == ("127.0.0.1", 9000)
    assert [str(network) for network in read.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert config(METRICS_PORT="9000", METRICS_HOST="0.0.0.0").metrics == ("0.0.0.0", 9000)  # noqa: S104  # as told


def test_processes_are_read() -> None:
    assert (config().workers, config().uvloop) == (1, True)
    read = config(SHAPEGATE_WORKERS="4", SHAPEGATE_UVLOOP="false")
    assert (read.workers, read.uvloop) == (4, False)


def test_auth_url_leads_to_the_well_known_path() -> None:
    (issuer,) = config(JWKS_URL="", AUTH_URL="http://127.0.0.1:4100").issuers
    assert issuer.jwks_url == URL("http://127.0.0.1:4100/.well-known/jwks.json")
    assert issuer.algorithms == {"RS256", "ES256", "EdDSA"}


def test_J_01_a_shared_secret_stands_instead_of_keys() -> None:
    (issuer,) = config(JWKS_URL="", SHARED_TOKEN_SECRET=SECRET).issuers
    assert issuer.secret is not None
    assert issuer.jwks_url is None
    assert issuer.algorithms == {"HS256"}


def test_P_24_without_a_secret_the_operator_has_to_say_so() -> None:
    assert "ELECTRIC_SECRET is missing" in problems(ELECTRIC_SECRET=None)[0]
    assert config(ELECTRIC_SECRET="", ELECTRIC_INSECURE="true").electric_secret is None
    assert "both set" in problems(ELECTRIC_INSECURE="true")[0]
    assert "ELECTRIC_INSECURE is 'yes'" in problems(ELECTRIC_INSECURE="yes")[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ELECTRIC_URL": None}, "ELECTRIC_URL is missing"),
        ({"ELECTRIC_URL": "electric:3000"}, "ELECTRIC_URL is no http"),
        ({"ELECTRIC_URL": "http://[::"}, "ELECTRIC_URL is no http"),
        ({"ELECTRIC_URL": "http://electric:3000/v1/shape"}, "ELECTRIC_URL ends with /v1/shape"),
        ({"JWKS_URL": None}, "exactly one of them"),
        ({"SHARED_TOKEN_SECRET": SECRET}, "exactly one of them"),
        ({"JWKS_URL": "http://auth.example/jwks"}, "expected an https URL"),
        ({"JWKS_URL": None, "SHARED_TOKEN_SECRET": "short"}, "SHARED_TOKEN_SECRET is too short"),
        ({"JWKS_URL": None, "SHARED_TOKEN_SECRET": PEM}, "SHARED_TOKEN_SECRET holds a PEM"),
        ({"JWKS_URL": "https://user:word@auth.example/jwks"}, "JWKS_URL holds a user name"),
        ({"ELECTRIC_URL": "http://:word@electric"}, "ELECTRIC_URL holds a user name"),
        ({"JWT_ISSUER": None}, "JWT_ISSUER is missing"),
        ({"JWT_AUDIENCE": " "}, "JWT_AUDIENCE is missing"),
        ({"SHAPEGATE_POLICY": None}, "SHAPEGATE_POLICY is missing"),
        (
            {"SHAPEGATE_POLICY": "/no/such/policy.toml"},
            "SHAPEGATE_POLICY: '/no/such/policy.toml' cannot be read",
        ),
        ({"SHAPEGATE_POLICY": "/dev/null"}, "names no table"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL is no postgresql:// URL"),
        ({"FRONTEND_URL": "*"}, "FRONTEND_URL has '*'"),
        ({"FRONTEND_URL": "https://a.example/path"}, "FRONTEND_URL has"),
        ({"FRONTEND_URL": "null"}, "FRONTEND_URL has 'null'"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"METRICS_PORT": "-1"}, "METRICS_PORT is '-1'"),
        ({"METRICS_HOST": "0.0.0.0"}, "METRICS_PORT is missing"),  # noqa: S104  # as told
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES has '10.0.0.1/8'"),
        ({"TRUSTED_PROXIES": "balancer"}, "TRUSTED_PROXIES has 'balancer'"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "TRUSTED_PROXIES has '0.0.0.0/0'"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,::/0"}, "TRUSTED_PROXIES has '::/0'"),
        ({"SHAPEGATE_CONFIG": "/no/such/file"}, "SHAPEGATE_CONFIG: '/no/such/file' cannot be read"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'"),
        ({"SHAPEGATE_WORKERS": "0"}, "SHAPEGATE_WORKERS is '0': expected a number from 1 to 64"),
        ({"SHAPEGATE_UVLOOP": "off"}, "SHAPEGATE_UVLOOP is 'off': expected one of true, false"),
        ({"ELECTRIC_SECRET_FILE": "/x"}, "both set"),
        ({"ELECTRIC_SECRET": None, "ELECTRIC_SECRET_FILE": "/no/such/file"}, "cannot be read"),
    ],
)
def test_a_problem_is_named(changes: dict[str, str | None], said: str) -> None:
    assert any(said in problem for problem in problems(**changes))


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    changes = {"ELECTRIC_SECRET": "", "ELECTRIC_SECRET_FILE": str(file)}
    read = config(**changes)
    assert read.electric_secret is not None
    assert read.electric_secret.reveal() == "from-a-file"
    assert origins(**changes)["ELECTRIC_SECRET"] == ("***", f"file {file}, named by ELECTRIC_SECRET_FILE")
    file.write_text("\n")
    assert "is empty" in problems(ELECTRIC_SECRET=None, ELECTRIC_SECRET_FILE=str(file))[0]


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_configuration({})
    assert len(caught.value.problems) == 6


def test_problems_of_environment_file_and_policy_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("version = 1")
    (tmp_path / "gate.toml").write_text("[limits]\nconnections = 0")
    named = {
        "SHAPEGATE_POLICY": str(tmp_path / "policy.toml"),
        "SHAPEGATE_CONFIG": str(tmp_path / "gate.toml"),
    }
    found = "\n".join(problems(PORT="x", **named))
    assert found.count("\n") == 2
    assert all(part in found for part in ("PORT", "gate.toml:1: [limits]: connections", "names no table"))


def test_each_setting_says_where_it_comes_from() -> None:
    found = origins(PORT="8080")
    assert found["PORT"] == ("8080", "environment PORT")
    assert found["HOST"] == ("127.0.0.1", "default")
    assert found["ELECTRIC_SECRET"] == ("***", "environment ELECTRIC_SECRET")
    assert found["limits.connections"] == ("10000", "default")


def test_I_10_no_secret_is_printed() -> None:
    secrets = {"ELECTRIC_SECRET": "s3cret", "DATABASE_URL": "postgresql://u:p4ss@host/db"}
    read = read_configuration(GOOD | secrets)
    assert not any(word in f"{read!r}" for word in ("s3cret", "p4ss"))
    assert "tiny" not in str(problems(JWKS_URL=None, SHARED_TOKEN_SECRET="tiny"))
    assert "w0rd" not in str(problems(JWKS_URL="https://user:w0rd@auth.example/jwks"))
    assert "p4ss" not in str(problems(DATABASE_URL="mysql://u:p4ss@host/db"))
