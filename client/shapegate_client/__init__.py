"""Replay shapes into local SQLite; sessions, offline, org switch.

async with IssuerCredentials("http://127.0.0.1:4001", home=home) as credentials:
    await credentials.login(email, password)
    async with Session.open("http://127.0.0.1:4000", credentials, home=home) as session:
        await session.subscribe(ShapeDefinition(table="controls"))
        await session.up_to_date()
        print(session.db["controls"].count)
"""

from __future__ import annotations

from shapegate_client.config import ClientSettings, LiveMode
from shapegate_client.errors import ClientError
from shapegate_client.issuer import IssuerCredentials
from shapegate_client.journal import Step
from shapegate_client.offline import log_out, open_rows
from shapegate_client.principal import AccessToken, Credentials, Organization, Principal
from shapegate_client.session import Session
from shapegate_client.status import (
    Connecting,
    Live,
    NeedsLogin,
    OfflineSince,
    ShapeProgress,
    Status,
    Stopped,
    Switching,
)
from shapegate_client.subset import FetchedSubset
from shapegate_client.system_keyring import system_keyring
from shapegate_client.watch import CommittedBatch
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition

__all__ = [
    "AccessToken",
    "ClientError",
    "ClientSettings",
    "CommittedBatch",
    "Connecting",
    "Credentials",
    "FetchedSubset",
    "IssuerCredentials",
    "Live",
    "LiveMode",
    "LogMode",
    "NeedsLogin",
    "OfflineSince",
    "Organization",
    "Principal",
    "Replica",
    "Session",
    "ShapeDefinition",
    "ShapeProgress",
    "Status",
    "Step",
    "Stopped",
    "Switching",
    "log_out",
    "open_rows",
    "system_keyring",
]
