"""Pools of engines that are drained quickly."""

import pytest

from freehold.engines.pool import drain


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(drain, "FOLLOW_SECONDS", 0.05)
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.05)
