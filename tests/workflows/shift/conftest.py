"""A store of its own for each test about shifting traffic."""

import pytest
from tests.gateway.loopback import FakeUpstream, _upstream, plain, upstream  # noqa: F401

from freehold.processes import claim_port


@pytest.fixture
def port():
    return claim_port()


@pytest.fixture
def hook(monkeypatch):
    """A webhook that keeps what it is sent; returns it and the status it answers with, which may be changed."""
    bodies, answer, server = [], {"status": 204}, FakeUpstream()

    def told(seen):
        bodies.append(seen.json)
        return plain(b"", status=answer["status"])

    server.answer = told
    monkeypatch.setenv("ALARM_URL", f"{server.base_url}/secret")
    yield bodies, answer
    server.close()


@pytest.fixture
def candidate():
    fake = FakeUpstream()
    yield fake
    fake.close()
