"""The real clients of each API against the gateway, before an upstream that only speaks OpenAI's chat API."""

import json

import anthropic
import ollama
import openai
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, traces_of

from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint

CALL = {
    **ANSWER,
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "t1",
                        "type": "function",
                        "function": {"name": "find", "arguments": '{"order": 7}'},
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
}


def call_stream():
    def chunk(delta, finish=None):
        body = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    first = {"index": 0, "id": "t1", "type": "function", "function": {"name": "find", "arguments": ""}}
    return [
        chunk({"role": "assistant", "content": "Let me look."}),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"order"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 7}"}}]}),
        chunk({}, "tool_calls"),
        b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}\n\n',
        b"data: [DONE]\n\n",
    ]


@pytest.fixture
def claude(shared):
    with anthropic.Anthropic(base_url=shared.base_url, api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
def llama(shared):
    client = ollama.Client(host=shared.base_url)
    yield client
    client._client.close()


@pytest.fixture
def gpt(shared):
    with openai.OpenAI(base_url=f"{shared.base_url}/v1", api_key="x", max_retries=0) as client:
        yield client


ASKED = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "where?"}]}
ASKED_AT = {
    "/v1/messages": ASKED,
    "/v1/responses": {"model": "m", "input": "where?"},
    "/api/chat": {"model": "m", "messages": ASKED["messages"]},
}
ANTHROPIC_TOOL = {"name": "find", "description": "finds", "input_schema": {"type": "object"}}


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


def test_anthropic_stream(claude, upstream):
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way", usage=True))
    with claude.messages.stream(**ASKED) as events:
        assert list(events.text_stream) == ["on", " its", " way"]
        final = events.get_final_message()
    assert final.stop_reason == "end_turn" and final.usage.output_tokens == 3


def test_anthropic_tools(claude, upstream):
    upstream.answer = lambda seen: plain(CALL)
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "where?"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t0", "name": "find", "input": {"order": 1}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t0", "content": "lost"}]},
    ]
    message = claude.messages.create(
        model="m", max_tokens=50, messages=turns, tools=[ANTHROPIC_TOOL], tool_choice={"type": "any"}
    )
    assert message.stop_reason == "tool_use"
    assert (message.content[0].name, message.content[0].input) == ("find", {"order": 7})
    sent = upstream.seen[0].json
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["messages"][1]["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"order":1}'}
    assert sent["messages"][2] == {"role": "tool", "tool_call_id": "t0", "content": "lost"}
    assert sent["tool_choice"] == "required" and sent["tools"][0]["function"]["name"] == "find"
    upstream.answer = lambda seen: stream(call_stream())
    with claude.messages.stream(**ASKED, tools=[ANTHROPIC_TOOL]) as events:
        final = events.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.content[1].input == {"order": 7} and final.stop_reason == "tool_use"


def test_anthropic_images_pass_and_documents_are_refused(claude, upstream):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}
    text = {"type": "text", "text": "what?"}
    claude.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": [image, text]}])
    parts = upstream.seen[0].json["messages"][0]["content"]
    assert parts[0]["image_url"]["url"] == "data:image/png;base64,iVBOR"
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    with pytest.raises(anthropic.BadRequestError, match="document"):
        claude.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": [document]}])


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
        for path, body in (
            ("/v1/responses", {"model": "m", "input": "hi"}),
            ("/api/chat", {**QUESTION, "stream": False}),
        ):
            status, _, back = post(running, body, path=path)
            assert status == 200 and b"hello" in back and upstream.seen[-1].path == "/v1/messages"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": "hello"}),
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": [], "tools": 7}),
        ("/v1/responses", {"model": "m", "input": [7]}),
        ("/api/chat", {"model": "m", "messages": "hello"}),
        ("/api/chat", {"model": "m", "messages": [], "options": {"num_predict": "many"}}),
        ("/api/show", {"model": 5}),
    ],
)
def test_wrong_types_are_the_clients_error(shared, upstream, path, body):
    status, _, answer = post(shared, body, path=path)
    assert status == 400 and json.loads(answer)["error"] and not upstream.seen


@pytest.mark.parametrize("said", [{"choices": 5}, [1], {"choices": [{"message": "x"}]}])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/api/chat"])
def test_answers_of_wrong_types_are_the_upstreams_error(shared, upstream, path, said):
    upstream.answer = lambda seen: plain(said)
    status, _, answer = post(shared, {**ASKED_AT[path], "stream": False}, path=path)
    assert status == 502 and b"cannot be read" in answer


def test_ollama_chat(llama, upstream, shared):
    answer = llama.chat(
        "m",
        [{"role": "user", "content": "where?"}],
        options={"temperature": 0.5, "num_predict": 7},
        format={"type": "object"},
    )
    assert answer.message.content == "on its way" and answer.done and answer.eval_count == 3
    sent = upstream.seen[0].json
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 7)
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way", usage=True))
    parts = list(llama.chat("m", [{"role": "user", "content": "where?"}], stream=True))
    assert [part.message.content for part in parts] == ["on", " its", " way", ""]
    assert parts[-1].done and parts[-1].prompt_eval_count == 9
    trace = eventually(
        lambda: [trace for trace in traces_of(shared) if trace.request.get("max_tokens") == 7]
    )[0]
    assert trace.response["choices"][0]["message"]["content"] == "on its way"


def test_ollama_tools_generate_embed(llama, upstream):
    upstream.answer = lambda seen: plain(CALL)
    tool = {
        "type": "function",
        "function": {"name": "find", "parameters": {"type": "object", "properties": {}}},
    }
    answer = llama.chat("m", [{"role": "user", "content": "where?"}], tools=[tool])
    assert answer.message.tool_calls[0].function.arguments == {"order": 7}
    upstream.answer = lambda seen: plain(ANSWER)
    assert llama.generate("m", "where?", system="Be brief.").response == "on its way"
    assert [turn["role"] for turn in upstream.seen[-1].json["messages"]] == ["system", "user"]
    rows = [{"object": "embedding", "index": index, "embedding": [index, 0.5]} for index in (1, 0)]
    upstream.answer = lambda seen: plain({"object": "list", "data": rows, "usage": {"prompt_tokens": 4}})
    assert llama.embed("m", ["a", "b"]).embeddings == [[0, 0.5], [1, 0.5]]
    with pytest.raises(ollama.ResponseError, match="raw is not possible"):
        llama.generate("m", "x", raw=True)


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


def test_responses_stream_with_tools(gpt, upstream):
    upstream.answer = lambda seen: stream(call_stream())
    tool = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}
    events = list(gpt.responses.create(model="m", input="where?", tools=[tool], stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Let me look."
    call = events[-1].response.output[1]
    assert (call.type, call.name, call.arguments, call.call_id) == (
        "function_call",
        "find",
        '{"order": 7}',
        "t1",
    )
    with gpt.responses.stream(model="m", input="where?", tools=[tool]) as running:
        assert running.get_final_response().output_text == "Let me look."


def test_what_only_the_maker_has_is_refused(claude, gpt, upstream):
    turns = [{"role": "user", "content": "x"}]
    with pytest.raises(anthropic.BadRequestError, match="mcp_servers run at Anthropic"):
        claude.messages.create(model="m", max_tokens=5, messages=turns, extra_body={"mcp_servers": [{}]})
    with pytest.raises(openai.BadRequestError, match="top_logprobs"):
        gpt.responses.create(model="m", input="x", top_logprobs=2)
    assert not upstream.seen


def test_an_endpoint_with_the_responses_api_gets_the_bytes(upstream, tmp_path):
    endpoint = Endpoint(
        name="openai",
        engine="remote",
        base_url=upstream.base_url,
        models=ANY_SERVED,
        capabilities=Capabilities(responses=True),
    )
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}]
    said = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": output}
    upstream.answer = lambda seen: plain({**said, "usage": {"input_tokens": 4, "output_tokens": 2}})
    with gateway(upstream, tmp_path, endpoints=(endpoint,)) as running:
        body = b'{"model": "m", "input": "hi", "store": true}'
        assert post(running, body, path="/v1/responses")[0] == 200
        assert (upstream.seen[0].path, upstream.seen[0].body) == ("/v1/responses", body)
        trace = eventually(lambda: traces_of(running))[0]
        assert (
            trace.response["choices"][0]["message"]["content"] == "hello"
            and trace.usage.completion_tokens == 2
        )


def test_what_is_not_there_is_said_in_the_clients_own_shape(claude, llama):
    with pytest.raises(anthropic.NotFoundError) as error:
        claude.messages.batches.list()
    assert error.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(ollama.ResponseError, match=r"^nothing is served at /api/pull") as refused:
        llama.pull("m")
    assert refused.value.status_code == 404
