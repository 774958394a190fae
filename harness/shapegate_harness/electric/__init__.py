"""The development Electric: real logical replication, real filters, loopback only."""

from __future__ import annotations

from shapegate_harness.electric.errors import ElectricError, Failed, Misconfigured
from shapegate_harness.electric.server import DevElectric
from shapegate_harness.electric.settings import ElectricSettings

__all__ = ["DevElectric", "ElectricError", "ElectricSettings", "Failed", "Misconfigured"]
