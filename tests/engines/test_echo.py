"""The echo engine: what it answers, over HTTP, in a process and within this one."""

import base64
import json
import struct

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from freehold import engines
from freehold.engines import keys
from freehold.engines.echo_answers import (
    EchoOptions,
    EchoRule,
    embedding,
    instance,
    read_answers,
    reply_to,
    tokens,
)
from freehold.engines.echo_server import EchoApp
from freehold.errors import InputError, PortInUseError, UsageError
from freehold.types.endpoint import AdapterMount, ServePlan


def ask(text, options=None, answers=None, **body):
    request = {"model": "m", "messages": [{"role": "user", "content": text}], **body}
    return reply_to(request, options or EchoOptions(), answers or {})


def test_answers_come_from_the_table_then_rules_then_default_then_the_message():
    options = EchoOptions(
        rules=(EchoRule(contains="refund", answer="r"), EchoRule(regex=r"^\d+$", answer="n")), default="d"
    )
    answers = {"": {"hello": "table"}, "m": {"hello": "mine"}}
    assert ask("hello", options, answers).text == "mine"
    assert ask("hello", options, {"": {"hello": "table"}}).text == "table"
    assert ask("a refund please", options).text == "r"
    assert ask("42", options).text == "n"
    assert ask("else", options).text == "d"
    assert ask("else").text == "else"


def test_tokens_join_to_the_text():
    for text in ("Hello, world!  Two  spaces\n", "", "ümlaut — dash", "{}"):
        assert "".join(tokens(text)) == text


def test_stop_and_length():
    assert ask("one STOP two", stop=["STOP"]).text == "one "
    cut = ask("one two three", max_tokens=2)
    assert (cut.text, cut.finish_reason) == ("one two", "length")


def test_schemas_are_met():
    schema = {
        "type": "object",
        "properties": {"intent": {"enum": ["track", "cancel"]}, "n": {"type": "integer"}},
        "required": ["intent", "n"],
    }
    assert instance(schema) == {"intent": "track", "n": 0}
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert ask("free text", response_format=wanted).text == '{"intent":"track","n":0}'
    kept = '{"intent": "cancel", "n": 3}'
    assert ask(kept, response_format=wanted).text == kept


def test_embeddings_are_unit_vectors_of_the_text():
    assert embedding("a") == embedding("a") != embedding("b")
    assert sum(value * value for value in embedding("a")) == pytest.approx(1)


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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_failures_come_at_the_rate_and_status_asked_for(client_for):
    client = await client_for(failure_rate=1.0, failure_status=503)
    reply = await client.post("/v1/chat/completions", json=chat("x"))
    assert reply.status == 503 and (await reply.json())["error"]["type"] == "server_error"


@pytest.mark.anyio
async def test_embeddings_come_as_numbers_or_packed(client_for):
    client = await client_for()
    body = {"model": "m", "input": ["a", "b"]}
    plain = await (await client.post("/v1/embeddings", json=body)).json()
    packed = await (await client.post("/v1/embeddings", json={**body, "encoding_format": "base64"})).json()
    vector = plain["data"][1]["embedding"]
    raw = base64.b64decode(packed["data"][1]["embedding"])
    assert struct.unpack(f"<{len(vector)}f", raw) == pytest.approx(vector)


@pytest.mark.anyio
async def test_a_conversation_is_counted_as_it_is_charged(client_for):
    client = await client_for()
    counted = await (await client.post("/tokenize", json=chat("one two three"))).json()
    charged = await (await client.post("/v1/chat/completions", json=chat("one two three"))).json()
    assert counted == {"count": charged["usage"]["prompt_tokens"], "max_model_len": 32}


def plan(**options):
    return ServePlan(engine="echo", model="m", context_tokens=64, options=options)


@pytest.mark.anyio
async def test_in_process_it_answers_until_it_is_stopped(tmp_path, anyio_backend):
    mount = AdapterMount(name="m:shop", path="x", adapter_id="a1")
    served = ServePlan(
        engine="echo", model="m", context_tokens=64, adapters=(mount,), options={"in_process": True}
    )
    session = engines.start(served, log_dir=tmp_path, name="near")
    async with session as endpoint, aiohttp.ClientSession() as http:
        async with http.get(f"{endpoint.base_url}/v1/models", headers=keys.headers(endpoint)) as reply:
            assert [one["id"] for one in (await reply.json())["data"]] == ["m", "m:shop"]
        assert endpoint.served("m:shop").adapter_id == "a1"
        running = session.running
        assert running.health().state == "ready"
    assert running.health().state == "stopped"


@pytest.mark.anyio
async def test_plans_that_cannot_hold_are_refused(unused_port, tmp_path, anyio_backend):
    with pytest.raises(UsageError, match=r"failure_rate is 1\.5"):
        engines.check(plan(failure_rate=1.5))
    taken = ServePlan(engine="echo", model="m", port=unused_port, options={"in_process": True})
    async with engines.start(taken, log_dir=tmp_path, name="near"):
        with pytest.raises(PortInUseError):
            engines.check(taken)


def test_answer_files_say_which_line_is_wrong(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"input": "a", "answer": "b"}\n\n{"input": "c"}\n')
    with pytest.raises(InputError, match=r"answers\.jsonl:3"):
        read_answers(str(path))
    path.write_text('{"a": "b"}')
    assert read_answers(str(path)) == {"a": "b"}
