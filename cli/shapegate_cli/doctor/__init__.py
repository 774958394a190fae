"""`shapegate doctor`: whether database, Electric, gate and policy fit together, and sync agrees with RLS."""

from __future__ import annotations
