"""What `shapegate up` writes is read back, and nothing of it is told when it is something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_cli.doctor.stack_file import NoStack, NotAStack, configured_stack, read_addresses
from shapegate_harness.stack import Addresses, StackLogin
from shapegate_schema.domains import domain_names

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = StackLogin(
    email="ada@acme.example", password="p", organization="Acme", organization_id="a", role="owner"
)


def addresses(domain: str) -> Addresses:
    return Addresses(
        proxy_url="http://127.0.0.1:4000",
        issuer_url="http://127.0.0.1:4001",
        electric_url="http://127.0.0.1:4002",
        electric_secret="hunter2",
        database_url="postgresql://127.0.0.1/shapegate",
        app_database_url="postgresql://app_rw@127.0.0.1/shapegate",
        logins=(LOGIN,),
        domain=domain,
        pid=1,
    )


@pytest.mark.parametrize("domain", domain_names())
def test_a_written_stack_is_read_back_and_configured_as_its_gate(tmp_path: Path, domain: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(addresses(domain).to_json())
    assert read_addresses(path) == addresses(domain)
    configured = configured_stack(addresses(domain))
    assert configured.policy is not None
    (issuer,) = configured.issuers
    assert str(issuer.jwks_url) == "http://127.0.0.1:4001/.well-known/jwks.json"
    assert set(issuer.claims) == ({"tenant", "client", "vendor"} if domain == "nexus" else set())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"logins": 1}', '{"logins": [{"hunter2": 1}]}', '{"logins": [], "hunter2": 1}'],
)
def test_another_file_is_refused_without_a_word_of_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(text)
    with pytest.raises(NotAStack, match="holds no stack") as raised:
        read_addresses(path)
    assert "hunter2" not in str(raised.value)


def test_where_no_stack_runs_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoStack, match="start a stack"):
        read_addresses(tmp_path / "stack.json")
