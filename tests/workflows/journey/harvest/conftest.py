import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY, Api


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    server = Api()
    server.logprobs = True
    yield server
    server.shutdown()
    server.server_close()
