import pytest
from tests.gateway.loopback import FakeUpstream


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
