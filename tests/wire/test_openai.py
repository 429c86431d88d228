import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.wire import openai
from freehold.wire.base_url import takes_completion_limit, with_completion_limit
from freehold.wire.errors import ApiError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_splice_changes_only_what_it_is_told(body):
    spliced = json.loads(openai.splice(json.dumps(body).encode(), {"model": "new"}))
    assert spliced == {**body, "model": "new"}


def test_splice_keeps_the_bytes_of_other_values():
    body = b'{"n": 1.10, "big": 12345678901234567890123, "u": "\\u00e9", "model": "old"}'
    spliced = openai.splice(body, {"model": "new", "lora": msgspec.Raw(b"[ 1 ]")})
    assert spliced == b'{"n":1.10,"big":12345678901234567890123,"u":"\\u00e9","model":"new","lora":[ 1 ]}'


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"model":[]}', b'{"a":1}x'],
)
def test_peek_refuses_what_is_no_request(body):
    with pytest.raises(ApiError) as error:
        openai.peek(body)
    assert error.value.status == 400


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data):
    openai.read_stream(data)
    openai.read_stream(b"data: " + data + b"\n\n")
    openai.read_answer(data)


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": [1], "delta": {}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {}}]}}, {"message": {"tool_calls": 5}}]},
        {"choices": [{"logprobs": None}, {"logprobs": {"content": []}}]},
    ],
)
def test_a_stream_of_another_shape_never_ended(chunk):
    data = json.dumps(chunk).encode()
    assert openai.read_stream(b"data: " + data + b"\n\ndata: [DONE]\n\n") == (None, None, None, False)


def test_a_conversations_beginning_is_bounded_and_the_same_however_it_goes_on():
    first = {"role": "user", "content": "hi"}
    system = {"role": "system", "content": 'be, [brief} \\" \u00e4'}

    def start(*messages):
        return openai.conversation_start(json.dumps({"model": "m", "messages": messages}).encode())

    short = start(system, first)
    assert (
        short
        == start(system, first, {"role": "assistant", "content": "x" * 200_000})
        == start(system, first, *({"role": "assistant", "content": "y"} for _ in range(9_000)))
    )
    assert short == json.dumps(system).encode() + b"\n" + json.dumps(first).encode()
    for hostile in (b"1," * 4_000_000 + b"1", b'"' + b"x" * 4_000_000 + b'"', b"[" * 500 + b"]" * 500):
        body = b'{"messages":[' + hostile + b"]}"
        assert len(openai.conversation_start(body)) <= 70_000


OWN = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("base_url", "model", "newer"),
    [
        (OWN, "o3-mini", True),
        (OWN, "openai/gpt-5.1", True),
        (OWN, "gpt-4o", False),
        (OWN, "gpt-oss-120b", False),
        ("https://api.openai.com/v1", "gpt-4o", True),
        ("https://x.openai.azure.com/openai/deployments/mine?api-version=1", "mine", True),
        ("https://api.mistral.ai/v1", "mistral-large", False),
    ],
)
def test_who_is_told_the_newer_name(base_url, model, newer):
    assert takes_completion_limit(base_url, model) is newer


def test_the_limit_stands_under_the_newer_name():
    body = b'{"model":"o3","max_tokens":5,"x":1e3}'
    assert with_completion_limit(body) == b'{"model":"o3","max_completion_tokens":5,"x":1e3}'
    plain = json.dumps({"model": "o3"}).encode()
    assert with_completion_limit(plain) is plain
