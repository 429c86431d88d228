"""The helpers of the vendors' own packages, which put an answer together, read calls and run tools, on what is
translated for them: from an upstream of the chat API, and from one of Anthropic's."""

import json

import anthropic
import openai
import pytest
from pydantic import BaseModel
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, traces_of

from freehold.types.endpoint import Capabilities, Endpoint, ServedModel

pytestmark = pytest.mark.process

ASKED = [{"role": "user", "content": "Where is my order?"}]
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


class Anything(BaseModel):
    """Arguments of a tool that needs none."""


def chunk(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps({**body, **more}).encode() + b"\n\n"


def event(kind, **fields):
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


def begun(index):
    call = {"index": index, "id": f"call_{index}", "type": "function"}
    return {"tool_calls": [{**call, "function": {"name": "find", "arguments": ""}}]}


def arguments(index, text):
    return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


def whole(message, finish="stop"):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {**ANSWER, "choices": [choice]}


@pytest.fixture(scope="module")
def served(_upstream, tmp_path_factory):
    """A gateway in front of an upstream of both APIs, by the model's name: ``chat`` and ``claude``."""
    endpoints = tuple(
        Endpoint(
            name=name,
            engine="remote",
            base_url=_upstream.base_url,
            api="anthropic" if name == "claude" else "openai",
            models=(ServedModel(name=name, upstream_name=name),),
            capabilities=Capabilities(responses=False),
        )
        for name in ("chat", "claude")
    )
    folder = tmp_path_factory.mktemp("helpers")
    with gateway(_upstream, folder, endpoints=endpoints, retries=0, breaker_failures=9_999) as running:
        yield running


BLOCKS = [
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "tool_use", "id": "t1", "name": "Anything", "input": {}},
    {"type": "tool_use", "id": "t2", "name": "Anything", "input": {}},
]
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
           "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


def called_without_arguments():
    """How Anthropic's API streams calls of tools that need no arguments: with an empty piece, or with none."""
    yield event("message_start", message=MESSAGE)
    for index, block in enumerate(BLOCKS):
        yield event("content_block_start", index=index, content_block=block)
        if index == 1:
            delta = {"type": "input_json_delta", "partial_json": ""}
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    yield event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 5})
    yield event("message_stop")


def test_a_call_without_arguments_is_json_to_those_who_read_it(gpt, upstream):
    upstream.answer = lambda seen: stream([*called_without_arguments()])
    tools = [openai.pydantic_function_tool(Anything)]
    with gpt.chat.completions.stream(model="claude", messages=ASKED, tools=tools) as streamed:
        calls = streamed.get_final_completion().choices[0].message.tool_calls
    assert [one.function.arguments for one in calls] == ["{}", "{}"]
    assert all(isinstance(one.function.parsed_arguments, Anything) for one in calls)
    with gpt.responses.stream(model="claude", input="x") as streamed:
        items = streamed.get_final_response().output
    assert [one.arguments for one in items] == ["{}", "{}"]


def test_words_behind_calls_stand_where_they_were_told(gpt, claude, upstream):
    told = [
        chunk({"role": "assistant", "content": None}),
        chunk(begun(0)),
        chunk(arguments(0, '{"a": 1}')),
        chunk(begun(1)),
        chunk(arguments(1, '{"a": 2}')),
        chunk({"content": "I look"}),
        chunk({"content": " twice."}),
        chunk({}, "tool_calls"),
        b"data: [DONE]\n\n",
    ]
    upstream.answer = lambda seen: stream(told)
    with gpt.responses.stream(model="chat", input="x") as streamed:
        done = [(one.output_index, one.item.type) for one in streamed if one.type.endswith("item.done")]
        output = streamed.get_final_response().output
    kinds = ["function_call", "function_call", "message"]
    assert [one.type for one in output] == kinds and output[2].content[0].text == "I look twice."
    assert sorted(done) == [*enumerate(kinds)] and [one.arguments for one in output[:2]] == [
        '{"a": 1}', '{"a": 2}',
    ]  # fmt: skip
    with claude.messages.stream(model="chat", max_tokens=9, messages=ASKED) as streamed:
        blocks = streamed.get_final_message().content
    assert [one.type for one in blocks] == ["tool_use", "tool_use", "text"]
    assert [one.input for one in blocks[:2]] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_model_says_when_it_refuses_is_told_by_every_api(gpt, claude, upstream, streamed):
    words = ["I cannot", " help."]
    pieces = [
        chunk({"role": "assistant", "content": None, "refusal": ""}),
        *(chunk({"refusal": one}) for one in words),
    ]
    pieces += [chunk({}, "stop"), chunk({}, None, usage=USAGE), b"data: [DONE]\n\n"]
    refused = whole({"content": None, "refusal": "".join(words)})
    upstream.answer = lambda seen: stream(pieces) if streamed else plain(refused)
    if streamed:
        with claude.messages.stream(model="chat", max_tokens=9, messages=ASKED) as told:
            message = told.get_final_message()
        with gpt.responses.stream(model="chat", input="x") as told:
            deltas = [one.delta for one in told if one.type == "response.refusal.delta"]
            output = told.get_final_response().output
        assert deltas == words
    else:
        message = claude.messages.create(model="chat", max_tokens=9, messages=ASKED)
        output = gpt.responses.create(model="chat", input="x").output
    assert message.content[0].text == "I cannot help." and message.stop_reason == "refusal"
    assert [part.refusal for one in output for part in one.content] == ["I cannot help."]


FAILED = {"error": {"message": "Provider returned error", "code": 502}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Provider returned error"}}


@pytest.mark.parametrize("said", [FAILED, {**ANSWER, "choices": []}])
def test_an_error_under_the_status_200_is_an_error_to_every_client(gpt, claude, upstream, said):
    upstream.answer = lambda seen: plain(said)
    words = "Provider returned error" if said is FAILED else "without a choice"
    with pytest.raises(anthropic.InternalServerError, match=words):
        claude.messages.create(model="chat", max_tokens=9, messages=ASKED)
    with pytest.raises(openai.InternalServerError, match=words):
        gpt.responses.create(model="chat", input="x")
    upstream.answer = lambda seen: plain(OVERLOADED)
    with pytest.raises(openai.InternalServerError, match="Provider returned error"):
        gpt.chat.completions.create(model="claude", messages=ASKED)


def test_a_whole_answer_in_the_place_of_a_stream_is_an_error_and_not_an_empty_stream(gpt, claude, upstream):
    upstream.answer = lambda seen: plain(ANSWER)
    with pytest.raises(anthropic.InternalServerError, match="cannot be read"):
        list(claude.messages.create(model="chat", max_tokens=9, messages=ASKED, stream=True))
    with pytest.raises(openai.InternalServerError, match="cannot be read"):
        list(gpt.responses.create(model="chat", input="x", stream=True))
    upstream.answer = lambda seen: stream(stream_of("on"))
    with pytest.raises(anthropic.InternalServerError, match="cannot be read"):
        claude.messages.create(model="chat", max_tokens=9, messages=ASKED)


@pytest.mark.parametrize("streamed", [False, True])
def test_parts_of_thought_and_text_are_told_as_the_text(served, claude, gpt, upstream, streamed):
    """As Mistral's models that reason answer."""
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    pieces = [
        chunk({"role": "assistant", "content": thought}),
        chunk({"content": [{"type": "text", "text": "on"}]}),
    ]
    pieces += [chunk({"content": " its"}), chunk({"content": " way"}), chunk({}, "stop"), b"data: [DONE]\n\n"]
    answered = whole({"content": [*thought, {"type": "text", "text": "on its way"}]})
    upstream.answer = lambda seen: stream(pieces) if streamed else plain(answered)
    if streamed:
        with claude.messages.stream(model="chat", max_tokens=9, messages=ASKED) as told:
            message = told.get_final_message()
        with gpt.responses.stream(model="chat", input="x") as told:
            response = told.get_final_response()
        native = gpt.chat.completions.with_raw_response.create(model="chat", messages=ASKED, stream=True)
        list(native.parse())
        (trace,) = eventually(
            lambda: [one for one in traces_of(served) if one.id == native.headers["x-freehold-trace-id"]]
        )
        assert trace.response["choices"][0]["message"]["content"] == "on its way"
    else:
        message = claude.messages.create(model="chat", max_tokens=9, messages=ASKED)
        response = gpt.responses.create(model="chat", input="x")
    assert [one.text for one in message.content] == [response.output_text] == ["on its way"]


def test_a_tool_is_run_over_several_turns_though_no_thread_is_held_here(claude, upstream):
    """The package has the server hold the conversation, and sends all of it where that does not."""
    asked_for = iter(("first", "second", "third"))

    @anthropic.beta_tool
    def find(order: str) -> str:
        """Find an order."""
        return f"{order} is found"

    def answered(seen):
        order = next(asked_for, None)
        if order is None:
            return plain(ANSWER)
        function = {"name": "find", "arguments": json.dumps({"order": order})}
        made = [{"id": f"call_{order}", "type": "function", "function": function}]
        return plain(whole({"content": None, "tool_calls": made}, "tool_calls"))

    upstream.answer = answered
    runner = claude.beta.messages.tool_runner(model="chat", max_tokens=9, messages=ASKED, tools=[find])
    assert [one.stop_reason for one in runner] == ["tool_use"] * 3 + ["end_turn"]
    messages = upstream.seen[-1].json["messages"]
    assert [one["role"] for one in messages] == ["user", *("assistant", "tool") * 3]
    assert messages[-1]["content"] == "third is found" and "thread" not in upstream.seen[-1].json
