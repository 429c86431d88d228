"""Azure's and Gemini's own paths, asked by the gateway as their clients ask them."""

import json

import openai
import pytest
from tests.gateway.asking import post
from tests.gateway.loopback import ANSWER, gateway, plain, trace_of
from tests.gateway.responses_api import ResponsesApi

from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

VERSION = "2024-10-21"
QUESTION = [{"role": "user", "content": "Where is my parcel?"}]


def incumbent(base_url, **more):
    return Endpoint(name="incumbent", engine="remote", base_url=base_url, forward_client_key=True, **more)


def azure(base_url):
    return openai.AzureOpenAI(
        azure_endpoint=base_url, api_key="sk-client", api_version=VERSION, max_retries=0
    )


def test_azures_client_asks_its_deployment_and_the_rest_by_the_gateway(vendor, upstream, tmp_path):
    one = incumbent(f"{vendor.base_url}/openai/deployments/other?api-version=old", dialect="azure")
    with (
        gateway(vendor, tmp_path, endpoints=(one,), others_to="incumbent") as running,
        azure(running.base_url) as client,
    ):
        answer = client.chat.completions.with_raw_response.create(model="mine", messages=QUESTION)
        assert vendor.seen[-1][:2] == (
            "POST",
            f"/openai/deployments/mine/chat/completions?api-version={VERSION}",
        )
        assert vendor.seen[-1][2]["api-key"] == "sk-client"
        assert trace_of(running, answer.headers["x-freehold-trace-id"]).model == "mine"
        client.embeddings.create(model="e/1", input="x", encoding_format="float")
        assert vendor.seen[-1][1] == f"/openai/deployments/e%2F1/embeddings?api-version={VERSION}"
        client.images.generate(model="pictures", prompt="x")
        assert vendor.seen[-1][1] == f"/openai/deployments/pictures/images/generations?api-version={VERSION}"
        client.files.list()
        assert vendor.seen[-1][1] == f"/openai/files?api-version={VERSION}"
        post(running, {"model": "m", "messages": QUESTION})
        assert vendor.seen[-1][1] == "/openai/deployments/other/chat/completions?api-version=old"


def test_azures_client_has_the_responses_api_by_the_gateway(upstream, tmp_path):
    upstream.answer = host = ResponsesApi(lambda seen: plain(ANSWER))
    base_url = f"{upstream.base_url}/openai/deployments/other?api-version=old"
    one = incumbent(
        base_url, dialect="azure", models=ANY_SERVED, capabilities=Capabilities(responses_unknown=True)
    )
    with (
        gateway(upstream, tmp_path, endpoints=(one,), others_to="incumbent") as running,
        azure(running.base_url) as client,
    ):
        first = client.responses.with_raw_response.create(model="mine", input="x")
        trace = trace_of(running, first.headers["x-freehold-trace-id"])
        assert (trace.model, trace.request["messages"][0]["content"]) == ("mine", "x")
        client.responses.create(model="mine", input="y", previous_response_id=first.parse().id)
        client.responses.retrieve(first.parse().id)
        post(running, {"model": "m", "input": "z"}, path="/v1/responses")
    asked = [(method, path) for method, path, body, _ in host.asked if body != b"{}"]
    path = f"/openai/responses?api-version={VERSION}"
    assert asked == [
        ("POST", path),
        ("POST", path),
        ("GET", f"/openai/responses/{first.parse().id}?api-version={VERSION}"),
        ("POST", "/openai/responses?api-version=old"),
    ]
    assert {headers["api-key"] for *_, headers in host.asked[:3]} == {"sk-client"}


def test_a_deployment_moves_to_a_candidate_and_back(vendor, upstream, tmp_path):
    upstream.answer = lambda seen: plain(ANSWER)
    endpoints = (
        incumbent(vendor.base_url, dialect="azure"),
        Endpoint(name="candidate", engine="remote", base_url=upstream.base_url),
    )
    route = Route(
        name="r",
        model="mine",
        incumbent=Target(endpoint="incumbent", model="dated"),
        candidate=Target(endpoint="candidate", model="small"),
        state="promoted",
    )
    with (
        gateway(upstream, tmp_path, endpoints=endpoints, routes=(route,)) as running,
        azure(running.base_url) as client,
    ):
        assert client.chat.completions.create(model="mine", messages=QUESTION).choices[0].message.content
        assert upstream.seen[0].path == "/v1/chat/completions" and upstream.seen[0].json["model"] == "small"
        assert not any("client" in value for value in upstream.seen[0].headers.values())
        upstream.answer = lambda seen: plain(b"{}", status=500)
        client.chat.completions.create(model="mine", messages=QUESTION)
        assert vendor.seen[-1][1] == f"/openai/deployments/dated/chat/completions?api-version={VERSION}"


def test_azure_is_sent_its_own_key_in_its_own_header(vendor, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_TEST_AZURE", "sk-owner")
    one = incumbent(vendor.base_url, dialect="azure", api_key_env="FREEHOLD_TEST_AZURE")
    with (
        gateway(vendor, tmp_path, endpoints=(one,), others_to="incumbent") as running,
        azure(running.base_url) as client,
    ):
        client.chat.completions.create(model="mine", messages=QUESTION)
        client.files.list()
    assert [seen[2]["api-key"] for seen in vendor.seen[-2:]] == ["sk-owner", "sk-owner"]


def test_geminis_own_paths_and_its_openai_ones(vendor, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_TEST_GEMINI", "AIza-owner")
    endpoint = incumbent(
        f"{vendor.base_url}/v1beta/openai/", dialect="gemini", api_key_env="FREEHOLD_TEST_GEMINI"
    )
    with gateway(vendor, tmp_path, endpoints=(endpoint,), others_to="incumbent") as running:
        for path, reached in (
            ("/v1beta/models/g:generateContent?key=AIza-client", "/v1beta/models/g:generateContent"),
            ("/upload/v1beta/files?uploadType=media", "/upload/v1beta/files?uploadType=media"),
        ):
            assert (
                post(running, b'{"contents": []}', path=path, headers={"x-goog-api-key": "AIza-client"})[0]
                == 200
            )
            assert vendor.seen[-1][1] == reached
            assert (
                vendor.seen[-1][2]["x-goog-api-key"] == "AIza-owner"
                and "authorization" not in vendor.seen[-1][2]
            )
        for path in ("/v1/chat/completions", "/v1beta/openai/chat/completions", "/chat/completions"):
            body = {"model": "gemini-x", "messages": QUESTION}
            status, headers, _ = post(running, body, path=path)
            assert status == 200 and headers["x-freehold-trace-id"]
            assert vendor.seen[-1][1] == "/v1beta/openai/chat/completions"
            assert vendor.seen[-1][2]["authorization"] == "Bearer AIza-owner"
        assert json.loads(post(running, b"{}", path="/v1/files")[2])["path"] == "/v1beta/openai/files"
