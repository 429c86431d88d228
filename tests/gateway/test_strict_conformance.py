"""What `tests/conformance` found in front of a real llama.cpp, quickly: before a fake one that says what that said."""

import json

import openai
import pytest
from tests.gateway.asking import metric, post
from tests.gateway.loopback import ANSWER, gateway, plain, stream, stream_of

from freehold.types.endpoint import Capabilities, Endpoint, ServedModel

pytestmark = pytest.mark.process

TURNS = [{"role": "user", "content": "x"}]
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "required": ["a"]}}}
OTHER = {"type": "function", "function": {"name": "look"}}
FIND = {"type": "function", "function": {"name": "find"}}


@pytest.fixture(scope="module")
def served(_upstream, tmp_path_factory):
    own = Endpoint(
        name="local",
        engine="llamacpp",
        base_url=_upstream.base_url,
        models=(
            ServedModel(name="org/own", upstream_name="own"),
            ServedModel(name="org/b", upstream_name="own"),
        ),
        capabilities=Capabilities(tools=True, json_schema=True),
    )
    folder = tmp_path_factory.mktemp("strict")
    with gateway(_upstream, folder, endpoints=(own,), retries=0, breaker_failures=2) as running:
        yield running


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "messages[0].content[0].type",
            None,
        ),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type", "invalid_value"),
        ({"tools": [OTHER], "tool_choice": FIND}, "tool_choice", "invalid_value"),
        ({"function_call": {"name": "find"}}, "function_call", "unsupported_field"),
    ],
)
def test_what_the_references_do_not_allow_is_named(served, upstream, more, param, code):
    status, _, body = post(served, {"model": "org/own", "messages": TURNS, **more})
    error = json.loads(body)["error"]
    assert status == 400 and error["param"] == param and not upstream.seen
    assert code is None or error["code"] == code


@pytest.mark.parametrize(("name", "value"), [("suffix", "x"), ("best_of", 3)])
def test_what_completions_of_llama_cpp_pass_over_is_refused(served, upstream, name, value):
    status, _, body = post(served, {"model": "org/own", "prompt": "x", name: value}, path="/v1/completions")
    assert status == 400 and json.loads(body)["error"]["param"] == name and not upstream.seen
    same = {"model": "org/own", "prompt": "x", "best_of": 2, "n": 2}
    assert post(served, same, path="/v1/completions")[0] == 200


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text: Field"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "strin"}}}},
            "output_config.format.schema: ",
        ),
        ({"model": None}, "model: Field required"),
    ],
)
def test_anthropics_words_and_the_request_s_id_in_the_error(served, upstream, more, words):
    asked = {"model": "org/own", "max_tokens": 5, "messages": TURNS, **more}
    if more == {"model": None}:
        del asked["model"]
    status, headers, body = post(served, asked, path="/v1/messages")
    told = json.loads(body)
    assert status == 400 and words in told["error"]["message"] and not upstream.seen
    assert told["request_id"] == headers["request-id"]


def test_other_methods_are_told_those_that_are_there(served):
    import http.client

    for method, path, status, allow in (
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("POST", "/v1/models", 405, "GET, HEAD"),
        ("DELETE", "/v1/models/org%2Fown", 405, "GET, HEAD"),
        ("OPTIONS", "/v1/messages", 200, "POST"),
        ("OPTIONS", "/v1/models", 200, "GET, HEAD"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", served.config.port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert (answer.status, answer.headers["allow"]) == (status, allow), (method, path)


@pytest.mark.parametrize(
    ("status", "said", "param", "words"),
    [
        (500, "image input is not supported - hint: you may need the mmproj", "messages", "takes no image"),
        (500, "input (900 tokens) is too large to process. increase the batch", "messages", "too large"),
        (501, "This server does not support embeddings", "model", "does not support embeddings"),
        (400, "Failed to parse messages", None, "Failed to parse"),
    ],
)
def test_an_engines_error_that_is_the_requests_fault_is_told_so_and_is_no_failure(
    served, upstream, status, said, param, words
):
    upstream.answer = lambda seen: plain(
        {"error": {"code": status, "message": said, "type": "x"}}, status=status
    )
    failures = metric(served, "freehold_upstream_failures_total")
    for _ in range(3):
        got, _, body = post(served, {"model": "org/own", "messages": TURNS})
        error = json.loads(body)["error"]
        assert got == 400 and error["param"] == param and words in error["message"]
        assert error["type"] == "invalid_request_error"
    assert metric(served, "freehold_upstream_failures_total") == failures
    upstream.answer = lambda seen: plain(ANSWER)
    assert post(served, {"model": "org/own", "messages": TURNS})[0] == 200


def talks(seen):
    """A small model: words where a call is demanded, JSON where that alone is possible."""
    text = "Well, the tool"
    if "response_format" in seen.json:
        schema = seen.json["response_format"]["json_schema"]["schema"]
        names = [one["properties"]["name"]["const"] for one in schema.get("$defs", {"": schema}).values()]
        text = json.dumps({"name": names[0], "arguments": {"a": 1}})
        assert seen.json["tool_choice"] == "none" and seen.json["tools"]
    if seen.json.get("stream"):
        return stream(stream_of(text, usage=True))
    return plain({**ANSWER, "choices": [{**ANSWER["choices"][0], "message": {"content": text}}]})


@pytest.mark.parametrize("choice", ["required", FIND])
def test_a_call_that_is_demanded_is_made(gpt, claude, upstream, choice):
    upstream.answer = talks
    asked = {"model": "org/own", "messages": TURNS, "tools": [TOOL, OTHER], "tool_choice": choice}
    made = gpt.chat.completions.create(**asked).choices[0]
    assert made.finish_reason == "tool_calls" and made.message.tool_calls[0].function.arguments == '{"a":1}'
    assert len(upstream.seen) == 2
    deltas = [
        call
        for part in gpt.chat.completions.create(**asked, stream=True)
        if part.choices
        for call in part.choices[0].delta.tool_calls or ()
    ]
    assert deltas[0].id and deltas[0].function.name == "find"
    assert "".join(call.function.arguments for call in deltas) == '{"a":1}'
    tool = {"name": "find", "input_schema": TOOL["function"]["parameters"]}
    with claude.messages.stream(
        model="org/own", max_tokens=9, messages=TURNS, tools=[tool], tool_choice={"type": "any"}
    ) as told:
        message = told.get_final_message()
    assert message.stop_reason == "tool_use" and message.content[0].input == {"a": 1}
    flat = {"type": "function", "name": "find", "parameters": TOOL["function"]["parameters"]}
    answer = gpt.responses.create(model="org/own", input="x", tools=[flat], tool_choice="required")
    assert answer.output[0].type == "function_call" and answer.output[0].arguments == '{"a":1}'


@pytest.mark.parametrize("asks_stream", [False, True])
def test_a_call_that_is_never_made_is_an_error(gpt, upstream, asks_stream):
    upstream.answer = lambda seen: stream(stream_of("no")) if asks_stream else plain(ANSWER)
    with pytest.raises(openai.APIStatusError, match="no tool was called") as error:
        gpt.chat.completions.create(
            model="org/own", messages=TURNS, tools=[TOOL], tool_choice="required", stream=asks_stream
        )
    assert error.value.status_code == 502


def test_of_allowed_tools_the_others_are_not_offered(gpt, upstream):
    upstream.answer = talks
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [FIND]}}
    made = gpt.chat.completions.create(
        model="org/own", messages=TURNS, tools=[OTHER, TOOL], tool_choice=allowed
    )
    assert upstream.seen[0].json["tools"] == [TOOL]
    assert made.choices[0].message.tool_calls[0].function.name == "find"
    schema = upstream.seen[1].json["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["name"] == {"const": "find"}


def test_what_a_client_has_begun_is_told_once(claude, upstream):
    begun = [*TURNS, {"role": "assistant", "content": "on its"}]
    made = claude.messages.create(model="org/own", max_tokens=9, messages=begun)
    assert made.content[0].text == " way"
    upstream.answer = lambda seen: stream(stream_of("on", " its way"))
    with claude.messages.stream(model="org/own", max_tokens=9, messages=begun) as told:
        assert "".join(told.text_stream) == " way"


def test_an_item_that_was_cut_is_incomplete(gpt, upstream):
    cut = {**ANSWER, "choices": [{**ANSWER["choices"][0], "finish_reason": "length"}]}
    upstream.answer = lambda seen: plain(cut)
    made = gpt.responses.create(model="org/own", input="x", user="anna", prompt_cache_key="k")
    assert (made.status, made.output[0].status) == ("incomplete", "incomplete")
    assert (made.user, made.prompt_cache_key) == ("anna", "k")


def test_completions_tell_usage_in_a_chunk_of_its_own(served, upstream):
    last = {
        "id": "c",
        "choices": [{"index": 0, "text": "", "finish_reason": "stop"}],
        "usage": {"total_tokens": 3},
    }
    upstream.answer = lambda seen: stream(
        [b"data: " + json.dumps(last).encode() + b"\n\n", b"data: [DONE]\n\n"]
    )
    asked = {"model": "org/own", "prompt": "x", "stream": True, "stream_options": {"include_usage": True}}
    _, _, body = post(served, asked, path="/v1/completions")
    parts = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]
    assert "usage" not in parts[0] and parts[1]["choices"] == [] and parts[1]["usage"] == {"total_tokens": 3}
    del asked["stream_options"]
    for headers in ({}, {"x-freehold-capture": "off"}):
        _, _, body = post(served, asked, path="/v1/completions", headers=headers)
        assert body.count(b'"choices"') == 1 and b'"usage"' not in body, headers
