"""The configuration: what it needs, and that all its problems are named at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from yarl import URL

from shapegate_proxy.config import ProxyConfig
from shapegate_proxy.errors import ConfigError
from tests.proxy.builders import SECRET

GOOD = {
    "ELECTRIC_URL": "http://electric:3000",
    "ELECTRIC_SECRET": "s3cret",
    "JWKS_URL": "https://auth.example/jwks.json",
    "JWT_ISSUER": "https://auth.example",
    "JWT_AUDIENCE": "shapegate",
    "SHAPEGATE_POLICY": "policy.toml",
}


def problems(**changes: str | None) -> tuple[str, ...]:
    environ = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_env(environ)
    return caught.value.problems


def test_a_good_environment_is_read() -> None:
    config = ProxyConfig.from_env(
        GOOD | {"PORT": "8080", "FRONTEND_URL": "https://a.example, https://b.example/"}
    )
    assert (config.host, config.port, config.policy_path) == ("127.0.0.1", 8080, Path("policy.toml"))
    assert config.origins == {"https://a.example", "https://b.example"}
    assert config.electric_secret is not None
    assert config.electric_secret.reveal() == "s3cret"


def test_auth_url_leads_to_the_well_known_path() -> None:
    config = ProxyConfig.from_env(GOOD | {"JWKS_URL": "", "AUTH_URL": "http://127.0.0.1:4100"})
    assert config.issuer.jwks_url == URL("http://127.0.0.1:4100/.well-known/jwks.json")


def test_a_shared_secret_stands_instead_of_keys() -> None:
    config = ProxyConfig.from_env(GOOD | {"JWKS_URL": "", "SHARED_TOKEN_SECRET": SECRET})
    assert config.issuer.secret is not None
    assert config.issuer.jwks_url is None


def test_P_24_without_a_secret_the_operator_has_to_say_so() -> None:
    assert "ELECTRIC_SECRET is missing" in problems(ELECTRIC_SECRET=None)[0]
    environ = GOOD | {"ELECTRIC_SECRET": "", "ELECTRIC_INSECURE": "true"}
    assert ProxyConfig.from_env(environ).electric_secret is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ELECTRIC_URL": None}, "ELECTRIC_URL is missing"),
        ({"ELECTRIC_URL": "electric:3000"}, "ELECTRIC_URL is no http"),
        ({"ELECTRIC_URL": "http://[::"}, "ELECTRIC_URL is no http"),
        ({"JWKS_URL": None}, "exactly one of them"),
        ({"SHARED_TOKEN_SECRET": SECRET}, "exactly one of them"),
        ({"JWKS_URL": "http://auth.example/jwks"}, "expected an https URL"),
        ({"JWKS_URL": None, "SHARED_TOKEN_SECRET": "short"}, "SHARED_TOKEN_SECRET is too short"),
        ({"JWKS_URL": None, "SHARED_TOKEN_SECRET": "-----BEGIN PUBLIC KEY-----" * 2}, "holds a PEM key"),
        ({"JWT_ISSUER": None}, "JWT_ISSUER is missing"),
        ({"JWT_AUDIENCE": " "}, "JWT_AUDIENCE is missing"),
        ({"SHAPEGATE_POLICY": None}, "SHAPEGATE_POLICY is missing"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL is no postgresql:// URL"),
        ({"FRONTEND_URL": "*"}, "FRONTEND_URL has '*'"),
        ({"FRONTEND_URL": "https://a.example/path"}, "FRONTEND_URL has"),
        ({"FRONTEND_URL": "null"}, "FRONTEND_URL has 'null'"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'"),
        ({"ELECTRIC_SECRET_FILE": "/x"}, "both set"),
        ({"ELECTRIC_SECRET": None, "ELECTRIC_SECRET_FILE": "/no/such/file"}, "cannot be read"),
    ],
)
def test_a_problem_is_named(changes: dict[str, str | None], said: str) -> None:
    assert any(said in problem for problem in problems(**changes))


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    config = ProxyConfig.from_env(GOOD | {"ELECTRIC_SECRET": "", "ELECTRIC_SECRET_FILE": str(file)})
    assert config.electric_secret is not None
    assert config.electric_secret.reveal() == "from-a-file"
    file.write_text("\n")
    assert "is empty" in problems(ELECTRIC_SECRET=None, ELECTRIC_SECRET_FILE=str(file))[0]


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_env({})
    assert len(caught.value.problems) == 6


def test_I_10_no_secret_is_printed() -> None:
    assert "s3cret" not in repr(ProxyConfig.from_env(GOOD))
    assert "tiny" not in str(problems(JWKS_URL=None, SHARED_TOKEN_SECRET="tiny"))
