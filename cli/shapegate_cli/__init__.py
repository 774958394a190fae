"""The shapegate command."""

from __future__ import annotations
