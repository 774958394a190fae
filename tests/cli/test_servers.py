"""`shapegate config`: what the gate would run with, each value with its origin, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from shapegate_cli.servers import config
from shapegate_schema.domains import policy_file

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "ELECTRIC_URL": "http://electric:3000",
    "ELECTRIC_SECRET": "s3cret",
    "DATABASE_URL": "postgresql://proxy:p4ss@db/app",
    "SHARED_TOKEN_SECRET": "a-shared-secret-of-more-than-32-bytes",
    "JWT_ISSUER": "https://auth.example",
    "JWT_AUDIENCE": "shapegate",
    "SHAPEGATE_POLICY": str(policy_file("controls")),
}


def test_it_prints_values_and_origins_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("another-secret-of-more-than-32-bytes")
    file = tmp_path / "gate.toml"
    file.write_text('[[issuers]]\nissuer = "urn:b"\naudience = "b"\nsecret_file = "secret"\n')
    named = {"SHAPEGATE_CONFIG": str(file)}
    result = CliRunner(env=ENVIRON | named).invoke(config)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "ELECTRIC_SECRET = ***  (environment ELECTRIC_SECRET)" in lines
    assert "PORT = 4000  (default)" in lines
    assert f"issuers[1].issuer = urn:b  ({file}:2)" in lines
    assert f"issuers[1].secret_file = secret  ({file}:4)" in lines
    assert any(line.startswith("tables = public.") for line in lines)
    assert not any(word in result.output for word in ("s3cret", "p4ss", "secret-of-more"))


def test_P_24_it_names_every_problem_and_fails(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("version = 1\n")
    changes = {
        "ELECTRIC_SECRET": "",
        "SHARED_TOKEN_SECRET": "short",
        "SHAPEGATE_POLICY": str(tmp_path / "policy.toml"),
    }
    result = CliRunner(env=ENVIRON | changes).invoke(config)
    assert result.exit_code == 1
    for said in ("ELECTRIC_SECRET is missing", "SHARED_TOKEN_SECRET is too short", "names no table"):
        assert said in result.output
