"""The file that `shapegate up` writes while it runs, as a deployment to look at."""

from __future__ import annotations

import json
from pathlib import Path

from yarl import URL

from shapegate_cli.doctor.configured import Configured
from shapegate_harness.issuer import IssuerSettings
from shapegate_harness.stack import Addresses, StackLogin, issuer_of_gate
from shapegate_proxy.config import Secret
from shapegate_proxy.policy_file import parse_policy
from shapegate_schema.domains import policy_file


class NoStack(Exception):
    """There is no such file: no stack runs."""


class NotAStack(Exception):
    """The file cannot be read, or holds something else; the text quotes nothing of it."""


def read_addresses(path: Path) -> Addresses:
    """Read what `Addresses.to_json` printed. Raises NoStack or NotAStack."""
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(loaded, dict):
            logins = tuple(StackLogin(**login) for login in loaded["logins"])
            return Addresses(**{**loaded, "logins": logins})
    except FileNotFoundError as exc:
        raise NoStack(f"{path} is not there: start a stack with `shapegate up`") from exc
    except (OSError, ValueError, TypeError, KeyError):
        pass  # the error may quote the file, and with it a secret
    raise NotAStack(f"{path} holds no stack: expected what `shapegate up --json` writes")


def configured_stack(addresses: Addresses) -> Configured:
    """Say how the stack's gate is configured."""
    policy_path = policy_file(addresses.domain)
    settings = IssuerSettings(key_file=Path())  # only its names are of interest
    return Configured(
        electric_url=URL(addresses.electric_url),
        electric_secret=Secret(addresses.electric_secret),
        issuers=(issuer_of_gate(settings, addresses.issuer_url, policy_path),),
        policy=parse_policy(policy_path.read_text(encoding="utf-8")),
        gate_url=URL(addresses.proxy_url),
        database_url=Secret(addresses.database_url),
    )
