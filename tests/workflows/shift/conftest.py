"""A store of its own for each test about shifting traffic."""

import pytest
from tests.gateway.loopback import _upstream, upstream  # noqa: F401

from freehold.gateway.serve import free_port
from freehold.store import default_url, open_store


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


@pytest.fixture
def port():
    return free_port()
