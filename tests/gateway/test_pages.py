"""What a gateway answers itself: health, models, attributions, metrics."""

import json
import urllib.error
import urllib.request

import anthropic
import ollama
import openai
import pytest
from tests.gateway.asking import QUESTION, client, get, post
from tests.gateway.loopback import gateway

from freehold.types.endpoint import Endpoint, ServedModel


def test_what_licences_ask_to_be_shown_is_a_page(upstream, tmp_path):
    with gateway(upstream, tmp_path, attributions={"a/b": "a/b\nBuilt with A\n", "c/d": "c/d\n"}) as running:
        assert get(running, "/attribution").decode() == "a/b\nBuilt with A\n\nc/d\n"


def test_models_health_ready_metrics(shared, upstream):
    assert json.loads(get(shared, "/health")) == {"status": "ok"}
    assert json.loads(get(shared, "/ready"))["status"] == "ready"
    assert client(shared).models.list().object == "list"
    post(shared, QUESTION)
    text = get(shared, "/metrics").decode()
    assert 'freehold_requests_total{arm="incumbent",endpoint="incumbent",route="",status="200"}' in text
    assert "freehold_in_flight 0.0" in text


@pytest.fixture
def llama(shared):
    client = ollama.Client(host=shared.base_url)
    yield client
    client._client.close()


def test_ollama_lists_and_shows(llama, shared):
    assert llama.list().models == []
    assert "completion" in llama.show("m").capabilities


def test_one_model_is_told_of_as_each_client_reads_it(upstream, tmp_path):
    served = (ServedModel(name="Some/Model-1", upstream_name="x"),)
    endpoint = Endpoint(name="one", engine="remote", base_url=upstream.base_url, models=served)
    with gateway(upstream, tmp_path, endpoints=(endpoint,)) as running:
        with openai.OpenAI(base_url=f"{running.base_url}/v1", api_key="x", max_retries=0) as client:
            assert client.models.retrieve("Some/Model-1").id == "Some/Model-1"
            with pytest.raises(openai.NotFoundError, match="'Some/Other' does not exist here"):
                client.models.retrieve("Some/Other")
        with anthropic.Anthropic(base_url=running.base_url, api_key="x", max_retries=0) as client:
            assert client.models.retrieve("Some/Model-1").type == "model"
            with pytest.raises(anthropic.NotFoundError) as error:
                client.models.retrieve("Some/Other")
        assert error.value.body["error"]["type"] == "not_found_error"


def test_who_opens_the_address_is_told_where_to_ask(shared):
    for method in ("GET", "HEAD"):  # Ollama's command line asks with HEAD
        request = urllib.request.Request(f"{shared.base_url}/", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
            assert (b"/v1" in answer.read()) == (method == "GET")
