import pytest
from tests.workflows.journey.prompting.shop import GOOD, Shop, block


@pytest.fixture
def shop():
    server = Shop(block("Be kind to people who write to us."), block(GOOD))
    yield server
    server.shutdown()
    server.server_close()
