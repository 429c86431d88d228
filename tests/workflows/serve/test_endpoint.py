"""An endpoint from its address, against a server that answers as it is told."""

import pytest
from tests.gateway.loopback import FakeUpstream, plain

from freehold.errors import UpstreamError, UsageError
from freehold.gateway.serve import free_port
from freehold.workflows.serve.load import find_endpoint

MODELS = b'{"data": [{"id": "one"}, {"id": "two"}]}'


@pytest.fixture
def server():
    """``(answer, requests, url)``: status and body of every answer, path and key of what was asked."""
    answer, requests, upstream = [200, MODELS], [], FakeUpstream()

    def told(seen):
        requests.append((seen.path, seen.headers.get("authorization")))
        return plain(answer[1], status=answer[0])

    upstream.answer = told
    yield answer, requests, upstream.base_url
    upstream.close()


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_address_may_be_written_in_any_usual_way(server, path):
    _, requests, url = server
    endpoint = find_endpoint(url + path)
    assert (endpoint.base_url, endpoint.engine, endpoint.api_key_env) == (url, "remote", None)
    assert [(model.name, model.upstream_name) for model in endpoint.models] == [
        ("one", "one"),
        ("two", "two"),
    ]
    assert requests == [("/v1/models", None)]


def test_the_key_comes_from_the_environment(server, monkeypatch):
    _, requests, url = server
    monkeypatch.delenv("THEIR_KEY", raising=False)
    with pytest.raises(UsageError, match="the environment has no THEIR_KEY"):
        find_endpoint(url, api_key_env="THEIR_KEY")
    assert requests == []
    monkeypatch.setenv("THEIR_KEY", "sk")
    assert find_endpoint(url, api_key_env="THEIR_KEY", name="theirs").name == "theirs"
    assert requests == [("/v1/models", "Bearer sk")]


@pytest.mark.parametrize(
    ("status", "body", "message", "hint"),
    [
        (401, b"{}", "answered 401", "--api-key-env NAME"),
        (404, b"{}", "answered 404", "OpenAI-compatible"),
        (200, b"<html>", "lists no models", "OpenAI-compatible"),
        (200, b'{"models": []}', "lists no models", "OpenAI-compatible"),
        (200, b'{"data": []}', "lists no models", "is a model loaded there"),
    ],
)
def test_what_is_wrong_there_is_told(server, status, body, message, hint):
    answer, _, url = server
    answer[:] = [status, body]
    with pytest.raises(UpstreamError, match=message) as caught:
        find_endpoint(url)
    assert hint in caught.value.hint


def test_an_address_where_nothing_answers():
    with pytest.raises(UpstreamError, match="nothing answers at"):
        find_endpoint(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UsageError, match="localhost:1"):
        find_endpoint("localhost:1")
