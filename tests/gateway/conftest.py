"""A fake upstream on loopback for all of the gateway's tests, and clients that are closed."""

import pytest
from tests.gateway.asking import _close_clients, claude, gpt, served  # noqa: F401
from tests.gateway.loopback import FakeUpstream, _upstream, shared, upstream  # noqa: F401
from tests.gateway.vendor import vendor  # noqa: F401
from tests.store.conftest import postgres


@pytest.fixture
def database():
    with postgres() as url:
        yield url


@pytest.fixture(scope="module")
def candidate():
    """A second upstream, for the candidates of a module's routes."""
    fake = FakeUpstream()
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def _reset_candidate(request):
    """Each test that asks the candidate finds it, and the incumbent, as they began."""
    if "candidate" in request.fixturenames:
        request.getfixturevalue("candidate").reset()
        request.getfixturevalue("upstream")
