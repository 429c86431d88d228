"""What is read of a request before it is asked, and what it may cost beyond its own words."""

import asyncio
import json
import threading
import time

import pytest
from tests.gateway.asking import get, post
from tests.gateway.loopback import gateway, trace_of

from freehold.gateway.proxy import reading
from freehold.gateway.proxy.reading import BodyReader
from freehold.gateway.spending import bounds_of
from freehold.types.route import Route, Target
from freehold.wire.errors import ApiError, unambiguous

MIB = 1024 * 1024
DOORS = {"/v1/chat/completions": "messages", "/v1/responses": "input", "/v1/messages": "messages"}


def done(step, how, *parts):
    async def main():
        reader = BodyReader()
        try:
            return await reader.do(step, how, *parts)
        finally:
            reader.close()

    return asyncio.run(main())


@pytest.mark.process
def test_what_takes_too_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "_MEMORY_BYTES", 400 * MIB)
    with pytest.raises(ApiError) as caught:
        done("read", "/v1/chat/completions", b'{"model":"m","messages":[' + b"{}," * (3 * MIB) + b"{}]}")
    assert (caught.value.status, caught.value.code) == (413, "request_too_complex")


@pytest.fixture(scope="module")
def sticky(_upstream, tmp_path_factory):
    """A gateway whose route keeps conversations on one arm, which has to know how they begin."""
    route = Route(
        name="app",
        model="*",
        incumbent=Target(endpoint="incumbent", model="other"),
        candidate=Target(endpoint="incumbent", model="small"),
        state="canary",
        canary_share=0.5,
        sticky="conversation",
    )
    with gateway(_upstream, tmp_path_factory.mktemp("sticky"), routes=(route,)) as running:
        yield running


@pytest.mark.process
@pytest.mark.parametrize("path", DOORS)
def test_a_hostile_body_stops_nobody_else(sticky, upstream, path):
    key = DOORS[path].encode()
    body = b'{"model":"m","%b":[' % key + b"1," * (4 * MIB) + b"1]}"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(post(sticky, body, path=path, timeout=60)[0]))
    asking.start()
    slowest = 0.0
    while asking.is_alive():
        started = time.monotonic()
        get(sticky, "/health")
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.005)
    # Any second this took would be one for every client; the bound has room for a busy machine.
    assert slowest < 1.0 and answers[0] in (200, 400, 413, 503)


@pytest.mark.process
def test_a_long_honest_request_arrives_whole_and_is_kept(sticky, upstream):
    body = {"model": "m", "messages": [{"role": "user", "content": "ä" * (MIB // 2)}], "user": "u-1"}
    status, headers, _ = post(sticky, body)
    assert status == 200
    (seen,) = upstream.seen
    assert seen.json["messages"] == body["messages"] and seen.json["model"] in ("other", "small")
    trace = trace_of(sticky, headers["x-freehold-trace-id"])
    assert trace.request["messages"] == body["messages"] and trace.user == "u-1"


TEXT = {"role": "user", "content": [{"type": "text", "text": "hi"}]}


def bounds(**asked):
    found = bounds_of(json.dumps(asked).encode())
    # With tools a request is never read by the types of one that is text alone.
    assert found == bounds_of(json.dumps({"tools": [], **asked}).encode())
    return found


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [TEXT, {"role": "assistant", "content": "ok"}]},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "5"}], "tools": [{"type": "function"}]},
        {"system": [{"type": "text", "text": "s"}], "messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]}]}],
         "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        {"input": "hi"}, {"input": ["a", "b"]}, {"input": [[1, 2], [3]]}, {"prompt": "hi"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]},
                   {"type": "function_call_output", "call_id": "c", "output": "y"}]},
        {"messages": [TEXT], "previous_response_id": None, "conversation": ""},
    ],
)  # fmt: skip
def test_text_and_own_tools_are_all_in_the_body(asked):
    found = bounds(**asked)
    assert found.all_in_body and found.charged_tool is None


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image"}]}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
        {"messages": [{"role": "user", "content": "look", "images": ["aGk="]}]},
        {"input": [{"type": "item_reference", "id": "m"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]},
        {"input": "hi", "previous_response_id": "r"}, {"input": "hi", "conversation": "c"},
        {"input": "hi", "prompt": {"id": "p"}}, {"messages": [TEXT], "container": "c"},
        {"messages": [{"role": "user", "content": [{"type": "of tomorrow"}]}]},
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_text_may_fill_the_context(asked):
    assert not bounds(**asked).all_in_body


def test_a_name_that_is_escaped_is_the_same_name():
    assert not bounds_of(b'{"input":"hi","previous_respons\\u0065_id":"r"}').all_in_body
    assert not bounds_of(b'{"messages":[{"content":[{"typ\\u0065":"image"}]}]}').all_in_body
    assert not bounds_of(b"{").all_in_body and not bounds_of(b"[" * 100_000).all_in_body


@pytest.mark.parametrize(
    ("asked", "answers", "tokens"),
    [
        ({"max_tokens": 5}, 1, 5),
        ({"max_tokens": 5, "max_completion_tokens": "7e1", "n": 3}, 3, 70),
        ({"prompt": ["a", "b"], "best_of": 4, "max_tokens": 2}, 8, 2),
        ({"prompt": [1, 2, 3], "max_tokens": 2}, 1, 2),
        ({"n": 0, "max_tokens": None}, 1, None),
    ],
)
def test_every_answer_that_is_paid_for_counts(asked, answers, tokens):
    found = bounds(**asked)
    assert (found.answers, found.answer_tokens) == (answers, tokens)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ("", 100),
        ('"max_tokens": 7', 7),
        ('"max\\u005ftokens": 5000', 5000),
        ('"max_tokens": 5e3', 5000),
        ('"max_tokens": "5000"', 5000),
        ('"max_tokens": 5, "max_completion_tokens": 5000', 5000),
        ('"max_tokens": 5, "n": 4', 20),
        ('"max_tokens": 1e300', 10**9),
        ('"max_tokens": -5', 0),
    ],
)
def test_the_tokens_that_are_asked_for_however_they_are_written(fields, tokens):
    body = f'{{"model": "m"{"," if fields else ""}{fields}}}'.encode()
    found = bounds_of(unambiguous(body))
    each = 100 if found.answer_tokens is None else found.answer_tokens
    assert each * found.answers == tokens


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "code_execution_20250825", "name": "c"}]}, "code_execution_20250825"),
        ({"web_search_options": {"search_context_size": "high"}}, "web_search_options"),
        ({"tools": ["?"]}, "?"),
    ],
)
def test_what_a_maker_runs_has_no_bound(asked, name):
    assert bounds(**asked).charged_tool == name
