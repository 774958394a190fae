"""The whole system on one machine: Postgres, a development Electric, an issuer, the scenario."""

from __future__ import annotations
