"""Which part of the gateway a request reaches, and in whose words it is refused."""

import json

import anthropic
import ollama
import pytest
from tests.gateway.asking import post

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/nothing", 404), ("/../../etc/passwd", 404), ("/health", 405)]
)
def test_other_paths_are_errors_without_a_trace_of_the_inside(shared, path, status):
    got, headers, body = post(shared, b"{}", path=path)
    assert got == status and b"Traceback" not in body and "error" in json.loads(body)
    assert "access-control-allow-origin" not in headers


@pytest.fixture
def claude(shared):
    with anthropic.Anthropic(base_url=shared.base_url, api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
def llama(shared):
    client = ollama.Client(host=shared.base_url)
    yield client
    client._client.close()


def test_what_is_not_there_is_said_in_the_clients_own_shape(claude, llama):
    with pytest.raises(anthropic.NotFoundError) as error:
        claude.messages.batches.list()
    assert error.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(ollama.ResponseError, match=r"^nothing is served at /api/pull") as refused:
        llama.pull("m")
    assert refused.value.status_code == 404
