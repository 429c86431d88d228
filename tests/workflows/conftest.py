"""A rented API on loopback, for tests of what asks it."""

import pytest
from tests.workflows.watch.watching import Incumbent


@pytest.fixture
def incumbent():
    server = Incumbent()
    yield server
    server.close()
