"""The gate's configuration as far as it can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from yarl import URL

from shapegate_cli.doctor.configured import LEEWAY_SECONDS, Configured, read_configured
from shapegate_schema.domains import policy_file
from tests.proxy.builders import SECRET

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "ELECTRIC_URL": "http://electric:3000",
    "ELECTRIC_SECRET": "a-secret-of-electric's",
    "SHARED_TOKEN_SECRET": SECRET,
    "JWT_ISSUER": "urn:x",
    "JWT_AUDIENCE": "shapegate",
    "SHAPEGATE_POLICY": str(policy_file("controls")),
    "DATABASE_URL": "postgresql://proxy@db/shapegate",
}


def test_a_good_environment_is_read_whole() -> None:
    read = read_configured(GOOD)
    assert read.problems == ()
    assert read.policy is not None
    assert (read.electric_url, read.gate_url) == (URL("http://electric:3000"), URL("http://127.0.0.1:4000"))
    assert [issuer.issuer for issuer in read.issuers] == ["urn:x"]


@pytest.mark.parametrize(
    ("host", "asked_at"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7")],  # noqa: S104  # never bound
)
def test_a_gate_that_listens_everywhere_is_asked_on_this_machine(host: str, asked_at: str) -> None:
    assert read_configured(GOOD | {"HOST": host}).gate_url == URL.build(
        scheme="http", host=asked_at, port=4000
    )


def test_with_problems_what_does_not_depend_on_them_is_read() -> None:
    read = read_configured(GOOD | {"SHARED_TOKEN_SECRET": "short"})
    assert read.problems == ("SHARED_TOKEN_SECRET is too short: expected at least 32 bytes",)
    assert read.policy is not None
    assert read.electric_secret is not None
    assert read.database_url is not None
    assert (read.issuers, read.gate_url) == ((), None)


@pytest.mark.parametrize("text", ["version = 2", "not toml", "\ud800"])
def test_a_policy_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read = read_configured(GOOD | {"SHAPEGATE_POLICY": str(path)})
    assert read.policy is None
    assert read.problems


def test_without_an_issuer_the_usual_leeway_counts() -> None:
    assert Configured().leeway_seconds == LEEWAY_SECONDS
