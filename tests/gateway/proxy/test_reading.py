"""Long bodies are read in a process with limits, with the same result as on the loop."""

import asyncio
import json
import threading
import time

import msgspec
import pytest
from tests.gateway.asking import QUESTION, get, post
from tests.gateway.loopback import gateway, trace_of

from freehold.gateway.proxy import reading
from freehold.gateway.proxy.reading import AnswerForm, BodyReader, UpstreamBody
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.route import Route, Target
from freehold.wire import openai
from freehold.wire.errors import ApiError

pytestmark = pytest.mark.process

REMOTE = Endpoint(name="incumbent", engine="remote", base_url="http://x")
MIB = 1024 * 1024
DOORS = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/v1/responses": "input",
    "/v1/messages": "messages",
    "/api/chat": "messages",
    "/api/generate": "prompt",
    "/api/embed": "input",
}


def done(step, how, *parts):
    async def main():
        reader = BodyReader()
        try:
            return await reader.do(step, how, *parts)
        finally:
            reader.close()

    return asyncio.run(main())


def in_both_places(monkeypatch, step, how, *parts):
    """A step's result on the loop, which is the same as in a process."""
    here = done(step, how, *parts)
    monkeypatch.setattr(reading, "INLINE_BYTES_MAX", 0)
    there = done(step, how, *parts)
    assert json.loads(json.dumps(there[0] if step != "read" else None)) == (
        here[0] if step != "read" else None
    )
    assert there[1] == here[1]
    return here


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_a_body_becomes_the_same_wherever_it_is_read(path, monkeypatch):
    asked = {"model": "m", "messages": QUESTION["messages"], "stream": True, "max_tokens": 9}
    if path == "/v1/responses":
        asked = {"model": "m", "input": "hi", "instructions": "short"}
    how = UpstreamBody(
        path, REMOTE, Target(endpoint="incumbent", model="other"), "m", "m", True, True, b"", True
    )
    _, (body,) = in_both_places(monkeypatch, "upstream", how, json.dumps(asked).encode())
    assert json.loads(body)["model"] == "other"


@pytest.mark.parametrize("engine", ["remote", "vllm", "llamacpp", "ollama"])
@pytest.mark.parametrize("served", [(), ("m",)])
@pytest.mark.parametrize("target", [None, "m", "other"])
@pytest.mark.parametrize("extra", [{}, {"stream": True}, {"tools": [], "tool_choice": "auto", "odd": 1}])
def test_what_is_said_to_go_out_as_it_came_would_not_have_been_changed(engine, served, target, extra):
    models = tuple(ServedModel(name=name, upstream_name="there", extra_body={"a": 1}) for name in served)
    where = Endpoint(name="e", engine=engine, base_url="http://x", models=models)
    body = json.dumps({"model": "m", "messages": QUESTION["messages"], **extra}).encode()
    peek = openai.peek(body)
    as_it_came = reading.is_sent_as_it_came(where, target or "m", peek, None)
    to = Target(endpoint="e", model=target)
    how = UpstreamBody("/v1/chat/completions", where, to, "m", "m", True, peek.stream is True, b"", True)
    assert not as_it_came or reading.upstream_body(how, body) == (False, [b""])
    assert as_it_came == (engine == "remote" and not served and target != "other" and not peek.stream)


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (Endpoint(name="e", engine="llamacpp", base_url="http://x"), "/v1/chat/completions"),
        (Endpoint(name="e", engine="remote", api="anthropic", base_url="http://x"), "/v1/chat/completions"),
        (REMOTE, "/v1/messages"),
    ],
)
def test_checks_can_be_left_to_the_endpoint(endpoint, path):
    broken = {"type": "strin"}
    tool = {"type": "function", "function": {"name": "f", "parameters": broken}}
    if path == "/v1/messages":
        tool = {"name": "f", "input_schema": broken}
    body = json.dumps({"model": "m", "messages": QUESTION["messages"], "max_tokens": 9, "tools": [tool]})
    how = UpstreamBody(path, endpoint, Target(endpoint="e"), "m", "m", True, False, b"", False)
    with pytest.raises(ApiError) as caught:
        reading.upstream_body(how, body.encode())
    assert caught.value.status == 400
    left = msgspec.structs.replace(how, checked=False)
    _, (sent,) = reading.upstream_body(left, body.encode())
    assert b"strin" in (sent or body.encode())
    # What may end an engine is refused all the same, and what cannot be translated is the client's error.
    if not endpoint.engine_kind.is_rented:
        for more in ({"grammar": "root ::= x"}, {"n": 10**9}, {"stop": ["x"] * 1000}):
            with pytest.raises(ApiError):
                reading.upstream_body(left, json.dumps({**json.loads(body), **more}).encode())
    for wrong in ({"messages": 5}, {"messages": [5]}, {"tools": "x"}):
        try:
            reading.upstream_body(left, json.dumps({**json.loads(body), **wrong}).encode())
        except ApiError as error:
            assert error.status == 400


@pytest.mark.parametrize("value", ["1e999", "[" * 3000 + "]" * 3000])
@pytest.mark.parametrize("place", ['"tool_choice":{"type":%s}', '"tool_choice":{"type":"tool","name":%s}'])
def test_a_value_that_cannot_be_read_is_the_requests_fault(place, value):
    tools = (
        '"max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{}}]'
    )
    endpoint = Endpoint(name="e", engine="llamacpp", base_url="http://x")
    how = UpstreamBody("/v1/messages", endpoint, Target(endpoint="e"), "m", "m", True, False, b"", False)
    with pytest.raises(ApiError) as caught:
        reading.upstream_body(how, f'{{"model":"m",{tools},{place % value}}}'.encode())
    assert caught.value.status == 400


def test_an_answer_becomes_the_same_wherever_it_is_read(monkeypatch):
    answer = {"id": "1", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    form = AnswerForm("/v1/messages", REMOTE)
    _, (data,) = in_both_places(monkeypatch, "answer", form, json.dumps(answer).encode(), b'{"model":"m"}')
    assert json.loads(data)["content"] == [{"type": "text", "text": "hi"}]


def test_a_long_body_tells_what_routing_needs_and_what_an_answer_repeats():
    body = {**QUESTION, "user": "u", "stream": True, "tools": [{"type": "function"}], "pad": "x" * 300_000}
    data = json.dumps(body).encode()
    seen, (changed, asked, start) = done("read", "/v1/chat/completions", data)
    assert seen[:5] == ["m", True, "u", None, b""] and seen[5:7] == [True, False] and changed == b""
    assert json.loads(asked) == {"model": "m", "user": "u", "stream": True, "tools": body["tools"]}
    assert start == openai.conversation_start(data)


def test_an_error_of_a_long_body_is_that_of_a_short_one():
    for body in (b"[" * 400_000, b"x" * 400_000, b'{"model": 1, "x": "' + b"y" * 400_000 + b'"}'):
        with pytest.raises(ApiError) as caught:
            done("read", "/v1/chat/completions", body)
        assert caught.value.status == 400


def test_what_takes_too_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "_MEMORY_BYTES", 400 * MIB)
    with pytest.raises(ApiError) as caught:
        done("read", "/api/chat", b'{"model":"m","messages":[' + b"{}," * (3 * MIB) + b"{}]}")
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


def test_a_long_honest_request_arrives_whole_and_is_kept(sticky, upstream):
    body = {"model": "m", "messages": [{"role": "user", "content": "ä" * (MIB // 2)}], "user": "u-1"}
    status, headers, _ = post(sticky, body)
    assert status == 200
    (seen,) = upstream.seen
    assert seen.json["messages"] == body["messages"] and seen.json["model"] in ("other", "small")
    trace = trace_of(sticky, headers["x-freehold-trace-id"])
    assert trace.request["messages"] == body["messages"] and trace.user == "u-1"
