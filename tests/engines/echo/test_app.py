"""Echo's HTTP side: the shapes OpenAI documents, plain and streamed."""

import base64
import json
import struct

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from freehold.engines.echo import EchoOptions, EchoRule
from freehold.engines.echo_server import EchoApp
from freehold.types.endpoint import ServePlan

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client_for(anyio_backend):
    clients = []

    async def make(**options):
        plan = ServePlan(engine="echo", model="m", context_tokens=32, parallel=1)
        app: web.Application = EchoApp(plan, EchoOptions(**options)).application()
        clients.append(TestClient(TestServer(app)))
        await clients[-1].start_server()
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def chat(text, **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def events(reply):
    lines = (await reply.text()).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


async def test_a_stream_adds_up_to_the_plain_answer(client_for):
    client = await client_for(rules=(EchoRule(contains="order", answer="On its way, today."),))
    plain = await (await client.post("/v1/chat/completions", json=chat("my order"))).json()
    streamed = await events(
        await client.post(
            "/v1/chat/completions",
            json=chat("my order", stream=True, stream_options={"include_usage": True}),
        )
    )
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in streamed if one["choices"])
    assert text == plain["choices"][0]["message"]["content"] == "On its way, today."
    assert streamed[-1]["usage"] == plain["usage"]
    assert plain["usage"]["total_tokens"] == sum(
        plain["usage"][part] for part in ("prompt_tokens", "completion_tokens")
    )


async def test_a_tool_is_called_where_the_request_demands_one(client_for):
    client = await client_for()
    tool = {
        "name": "find",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    }
    body = chat("x", tools=[{"type": "function", "function": tool}], tool_choice="required")
    found = await (await client.post("/v1/chat/completions", json=body)).json()
    (call,) = found["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "find", "arguments": '{"n":0}'}
    assert found["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request_error"),
        (b"[]", 400, "invalid_request_error"),
        ({"model": "other", "messages": []}, 404, "model_not_found"),
        ({"model": "m", "messages": []}, 400, "invalid_request_error"),
        (chat("word " * 40), 400, "context_length_exceeded"),
        (chat("x", logprobs=True), 400, "unsupported_parameter"),
    ],
)
async def test_mistakes_are_errors_as_openai_writes_them(client_for, body, status, code):
    client = await client_for()
    data = body if isinstance(body, bytes) else json.dumps(body)
    reply = await client.post("/v1/chat/completions", data=data)
    assert reply.status == status
    assert (await reply.json())["error"]["code"] == code


async def test_failures_come_at_the_rate_and_status_asked_for(client_for):
    client = await client_for(failure_rate=1.0, failure_status=503)
    reply = await client.post("/v1/chat/completions", json=chat("x"))
    assert reply.status == 503 and (await reply.json())["error"]["type"] == "server_error"


async def test_embeddings_come_as_numbers_or_packed(client_for):
    client = await client_for()
    body = {"model": "m", "input": ["a", "b"]}
    plain = await (await client.post("/v1/embeddings", json=body)).json()
    packed = await (await client.post("/v1/embeddings", json={**body, "encoding_format": "base64"})).json()
    vector = plain["data"][1]["embedding"]
    raw = base64.b64decode(packed["data"][1]["embedding"])
    assert struct.unpack(f"<{len(vector)}f", raw) == pytest.approx(vector)


async def test_a_conversation_is_counted_as_it_is_charged(client_for):
    client = await client_for()
    counted = await (await client.post("/tokenize", json=chat("one two three"))).json()
    charged = await (await client.post("/v1/chat/completions", json=chat("one two three"))).json()
    assert counted == {"count": charged["usage"]["prompt_tokens"], "max_model_len": 32}
