import json

import pytest
from tests.evals.chat.conftest import run

from freehold.evals.chat.chat_stream import ChatText, Garbled


def test_tool_calls_are_put_together_from_pieces(serve, samples):
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    results, _ = run(serve, lambda body, attempt: calls, samples(1))
    assert json.loads(results[0].output) == calls


def chunk(delta, **more):
    return b"data: " + json.dumps({"choices": [{"delta": delta, **more}]}).encode() + b"\n\n"


def test_a_stream_cut_at_any_byte_is_the_same_answer():
    stream = chunk({"content": "grü"}) + b": a comment\n\n" + chunk({"content": "ße"}, finish_reason="stop")
    stream += b'data: {"choices": [], "usage": {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}}\n\n'
    stream += b"data: [DONE]\n\n"
    for size in (1, 2, 7, len(stream)):
        text = ChatText()
        for start in range(0, len(stream), size):
            text.feed(stream[start : start + size])
        assert (text.output, text.finish_reason, text.done) == ("grüße", "stop", True)
        assert (text.usage.prompt_tokens, text.usage.cached_prompt_tokens) == (7, 4)


def test_the_first_token_is_noticed_and_an_empty_delta_is_not_one():
    text = ChatText()
    text.feed(chunk({"role": "assistant", "content": ""}))
    assert (text.started, text.output) == (False, None)
    text.feed(chunk({"content": "x"}))
    assert text.started


def test_a_whole_body_is_read_like_a_stream():
    text = ChatText()
    text.feed_body(
        b'{"choices": [{"message": {"content": [{"text": "a"}, {"text": "b"}]}, "finish_reason": "stop"}]}'
    )
    assert (text.output, text.done) == ("ab", True)
    refused = ChatText()
    refused.feed_body(b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}')
    assert refused.output == "no"


def test_an_error_in_the_stream_and_garbage_are_told_apart():
    text = ChatText()
    text.feed(b'data: {"error": {"message": "overloaded"}}\n\n')
    assert text.error == "overloaded"
    with pytest.raises(Garbled):
        ChatText().feed(b"data: {nonsense\n\n")
