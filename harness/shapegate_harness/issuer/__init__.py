"""A token issuer for development: logs users in and signs the tokens that the proxy verifies."""

from __future__ import annotations

from shapegate_harness.issuer.errors import (
    IssuerError,
    KeyFileError,
    Refused,
    StartError,
    UnknownOrganization,
    UnknownSession,
    UnknownUser,
)
from shapegate_harness.issuer.server import TokenIssuer
from shapegate_harness.issuer.settings import IssuerSettings

__all__ = [
    "IssuerError",
    "IssuerSettings",
    "KeyFileError",
    "Refused",
    "StartError",
    "TokenIssuer",
    "UnknownOrganization",
    "UnknownSession",
    "UnknownUser",
]
