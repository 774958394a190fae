"""Fixtures of the gate's tests."""

from __future__ import annotations

import pytest

from shapegate_proxy import app
from tests.proxy.flying import WORLDS, World


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    """How a gate runs whose requests go to Electric at once."""
    found = request.param
    assert isinstance(found, World)
    return found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a gate that stops wait for nobody."""
    monkeypatch.setattr(app, "DRAIN_SECONDS", 0.05)
