"""Pieces of calls as upstreams tell them, put together for every API and for the trace."""

import json

import pytest

from freehold.wire import anthropic, ollama, openai, responses
from freehold.wire.errors import ApiError

REQUEST = b'{"model":"m","stream":true,"messages":[],"input":"x"}'
CALLS = [("a", "find", '{"x":1}'), ("b", "send", '{"y":2}')]


def stream(*pieces, finish="tool_calls"):
    deltas = [{"tool_calls": [piece]} if "function" in piece else piece for piece in pieces]
    rows = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    rows.append({"index": 0, "delta": {}, "finish_reason": finish})
    told = [{"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [row]} for row in rows]
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told) + b"data: [DONE]\n\n"


def piece(name=None, arguments=None, **more):
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {key: value for key, value in function.items() if value is not None}}


def told(made, answer):
    return made.feed(answer) + made.rest()


def calls_in(answer):
    calls = answer.body["choices"][0]["message"]["tool_calls"]
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(*CALLS[0][1:], id="a", index=0), piece(*CALLS[1][1:], id="b", index=0)],
        [piece(*CALLS[0][1:], id="a"), piece(*CALLS[1][1:], id="b")],
        [piece("find", '{"x"', id="a", index=None), piece(arguments=":1}", index=None),
         piece("send", '{"y":2}', id="b", index=None)],
        [piece("find", "", id="a", index=0), piece("", '{"x":1}', id="", index=0),
         piece("send", "", id="b", index=1), piece("", '{"y":2}', id="", index=1)],
        [piece("find", '{"x"', id="a", index=0), piece("find", ":1}", id="a", index=0),
         piece("send", '{"y":2}', id="b", index=1)],
        [piece(*CALLS[0][1:], id="a", index=0), piece(*CALLS[1][1:], id="b", index=1),
         piece(arguments="", index=0)],
    ],
    ids=["one index", "no index", "null", "empty again", "told again", "nothing more"],
)  # fmt: skip
def test_each_call_is_one_whatever_tells_it_apart(pieces):
    answer = stream(*pieces)
    assert calls_in(openai.read_stream(answer)) == CALLS
    assert (
        calls_in(anthropic.read_stream(told(anthropic.AnthropicStreamFromOpenai(REQUEST), answer))) == CALLS
    )
    assert (
        calls_in(responses.read_stream(told(responses.ResponsesStreamFromOpenai(REQUEST), answer))) == CALLS
    )
    lines = told(ollama.OllamaStreamFromOpenai(REQUEST), answer).splitlines()
    said = json.loads(lines[0])["message"]["tool_calls"]
    assert [one["function"] for one in said] == [
        {"name": name, "arguments": json.loads(arguments)} for _, name, arguments in CALLS
    ]


@pytest.mark.parametrize("between", [piece(*CALLS[1][1:], id="b", index=1), {"content": "so"}])
def test_calls_that_mix_are_an_error_where_blocks_follow_each_other(between):
    answer = stream(piece("find", '{"x"', id="a", index=0), between, piece(arguments=":1}", index=0))
    with pytest.raises(ApiError, match="pieces that mix"):
        told(anthropic.AnthropicStreamFromOpenai(REQUEST), answer)


@pytest.mark.parametrize(("finish", "said"), [("stop", "tool_use"), ("length", "max_tokens")])
def test_an_answer_with_a_call_ends_with_it_unless_it_was_cut(finish, said):
    answer = stream(piece(*CALLS[0][1:], id="a", index=0), finish=finish)
    events = told(anthropic.AnthropicStreamFromOpenai(REQUEST), answer)
    assert b'"stop_reason":"%b"' % said.encode() in events
    whole = json.dumps(openai.read_stream(answer).body).encode()
    assert json.loads(anthropic.answer_from_openai(whole, REQUEST))["stop_reason"] == said
