"""The real clients of each API against the gateway, before an upstream that only speaks OpenAI's chat API."""

import json

import anthropic
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, traces_of

from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process


ASKED = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "where?"}]}
ASKED_AT = {"/v1/messages": ASKED, "/v1/responses": {"model": "m", "input": "where?"}}


def test_anthropic_message(claude, upstream, shared):
    message = claude.messages.create(
        **ASKED, system="Be brief.", stop_sequences=["END"], metadata={"user_id": "u1"}
    )
    assert message.content[0].text == "on its way" and message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens, message.model) == (9, 3, "m")
    sent = upstream.seen[0].json
    assert upstream.seen[0].path == "/v1/chat/completions"
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "where?"},
    ]
    assert (sent["stop"], sent["max_tokens"], sent["user"]) == (["END"], 50, "u1")
    trace = eventually(
        lambda: [trace for trace in traces_of(shared) if trace.request.get("stop") == ["END"]]
    )[0]
    assert trace.kind == "chat" and trace.response == ANSWER and trace.request["messages"] == sent["messages"]


def test_anthropic_errors_have_its_shape(claude, shared, upstream):
    upstream.answer = lambda seen: plain({"error": {"message": "too long"}}, status=400)
    with pytest.raises(anthropic.BadRequestError, match="too long") as error:
        claude.messages.create(**ASKED)
    assert error.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.APIStatusError, match="cannot count tokens"):
        claude.messages.count_tokens(model="m", messages=ASKED["messages"])


def test_an_anthropic_endpoint_gets_the_bytes_as_they_are(upstream, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_TEST_ANTHROPIC_KEY", "sk-ant-secret")
    endpoint = Endpoint(
        name="claude",
        engine="remote",
        api="anthropic",
        base_url=upstream.base_url,
        models=ANY_SERVED,
        api_key_env="FREEHOLD_TEST_ANTHROPIC_KEY",
    )
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 1},
    }
    upstream.answer = lambda seen: plain(said)
    with gateway(upstream, tmp_path, endpoints=(endpoint,)) as running:
        body = b'{"model": "m", "max_tokens": 5, "messages": [{"role":"user","content":"hi"}]}'
        status, _, back = post(
            running,
            body,
            path="/v1/messages",
            headers={"anthropic-version": "2023-06-01", "x-api-key": "mine"},
        )
        assert status == 200 and json.loads(back) == said and upstream.seen[0].body == body
        assert upstream.seen[0].headers["x-api-key"] == "sk-ant-secret"
        assert upstream.seen[0].headers["anthropic-version"] == "2023-06-01"
        trace = eventually(lambda: traces_of(running))[0]
        assert trace.response["choices"][0]["message"]["content"] == "hello"
        assert (trace.finish_reason, trace.usage.cached_prompt_tokens) == ("stop", 1)
        assert "sk-ant-secret" not in str(trace)
        status, _, back = post(running, {**QUESTION, "model": "claude"})
        assert status == 200 and json.loads(back)["choices"][0]["message"]["content"] == "hello"
        sent = upstream.seen[-1]
        assert sent.path == "/v1/messages" and sent.headers["anthropic-version"] == "2023-06-01"
        assert sent.json["messages"][0]["content"] == [
            {"type": "text", "text": QUESTION["messages"][0]["content"]}
        ]
        assert post(running, {"model": "m", "input": "x"}, path="/v1/embeddings")[0] == 400
        status, _, back = post(running, {"model": "m", "input": "hi"}, path="/v1/responses")
        assert status == 200 and b"hello" in back and upstream.seen[-1].path == "/v1/messages"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": "hello"}),
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": [], "tools": 7}),
        ("/v1/responses", {"model": "m", "input": [7]}),
    ],
)
def test_wrong_types_are_the_clients_error(shared, upstream, path, body):
    status, _, answer = post(shared, body, path=path)
    assert status == 400 and json.loads(answer)["error"] and not upstream.seen


@pytest.mark.parametrize("said", [{"choices": 5}, [1], {"choices": [{"message": "x"}]}])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_answers_of_wrong_types_are_the_upstreams_error(shared, upstream, path, said):
    upstream.answer = lambda seen: plain(said)
    status, _, answer = post(shared, {**ASKED_AT[path], "stream": False}, path=path)
    assert status == 502 and b"cannot be read" in answer


def test_responses_create(gpt, upstream):
    answer = gpt.responses.create(
        model="m",
        instructions="Be brief.",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "where?"}]}],
        max_output_tokens=9,
        text={"format": {"type": "json_schema", "name": "f", "schema": {"type": "object"}}},
    )
    assert (
        answer.output_text == "on its way"
        and answer.status == "completed"
        and answer.usage.total_tokens == 12
    )
    sent = upstream.seen[0].json
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "where?"},
    ]
    assert sent["response_format"]["json_schema"]["name"] == "f" and sent["max_tokens"] == 9


def test_what_is_not_there_is_said_in_the_clients_own_shape(claude, shared):
    with pytest.raises(anthropic.NotFoundError) as error:
        claude.messages.batches.list()
    assert error.value.body["error"]["type"] == "not_found_error"
    status, _, body = post(shared, {"model": "m"}, path="/api/pull")
    assert status == 404 and b"nothing is served at /api/pull" in body
