"""Replay shapes into local SQLite; sessions, offline, org switch."""

from __future__ import annotations
