"""Which database a command works on: DATABASE_URL, or the file that DATABASE_URL_FILE names."""

from __future__ import annotations

import os

import click


def database_url(expected: str) -> str:
    """Read the URL; `expected` says whose it has to be. Raises UsageError."""
    from shapegate_proxy.environment import Environment
    from shapegate_proxy.findings import Findings

    findings = Findings()
    url = Environment(os.environ, findings).secret("DATABASE_URL")
    if findings.problems:
        raise click.UsageError("\n".join(findings.problems))
    if url is None:
        raise click.UsageError(
            f"DATABASE_URL is missing: expected {expected}, or in DATABASE_URL_FILE a file that holds it"
        )
    return url.reveal()
