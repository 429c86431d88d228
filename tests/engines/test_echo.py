"""The echo engine: what it answers, over HTTP, in a process and within this one."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from freehold.engines.echo_answers import EchoOptions, EchoRule, instance, read_answers, reply_to
from freehold.engines.echo_server import EchoApp
from freehold.errors import InputError
from freehold.types.endpoint import ServePlan


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
async def test_a_conversation_is_counted_as_it_is_charged(client_for):
    client = await client_for()
    counted = await (await client.post("/tokenize", json=chat("one two three"))).json()
    charged = await (await client.post("/v1/chat/completions", json=chat("one two three"))).json()
    assert counted == {"count": charged["usage"]["prompt_tokens"], "max_model_len": 32}


def test_answer_files_say_which_line_is_wrong(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"input": "a", "answer": "b"}\n\n{"input": "c"}\n')
    with pytest.raises(InputError, match=r"answers\.jsonl:3"):
        read_answers(str(path))
    path.write_text('{"a": "b"}')
    assert read_answers(str(path)) == {"a": "b"}
