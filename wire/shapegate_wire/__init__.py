"""The shape protocol's vocabulary; pure, standard library only."""

from __future__ import annotations
