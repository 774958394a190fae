"""Authenticate, confine to an org, relay."""

from __future__ import annotations
