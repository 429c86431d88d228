"""Which translation lies between a client's API and an endpoint's."""

import json

import pytest
from tests.gateway.loopback import ANSWER, stream_of

from freehold.gateway.proxy.translation import API_ROUTES, translation_for
from freehold.types.endpoint import Capabilities, Endpoint
from freehold.wire.errors import ApiError

CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "on its way"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 3},
}
MESSAGES = [{"role": "user", "content": "where?"}]
BODIES = {
    "/v1/messages": {"model": "m", "max_tokens": 5, "messages": MESSAGES},
    "/v1/responses": {"model": "m", "input": "where?"},
    "/api/chat": {"model": "m", "messages": MESSAGES},
    "/api/generate": {"model": "m", "prompt": "where?"},
}


def endpoint(engine="llamacpp", api="openai", **can):
    return Endpoint(name="e", engine=engine, api=api, base_url="http://x", capabilities=Capabilities(**can))


def between(path, **where):
    return translation_for(API_ROUTES[path], endpoint(**where))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/chat/completions", {}),
        ("/v1/completions", {}),
        ("/v1/embeddings", {}),
        ("/v1/responses", {"responses": True}),
        ("/v1/messages", {"engine": "remote", "api": "anthropic"}),
        ("/v1/messages/count_tokens", {"engine": "remote", "api": "anthropic"}),
        ("/v1/messages/count_tokens", {"engine": "llamacpp"}),
    ],
)
def test_nothing_is_translated_where_both_speak_the_same(path, where):
    assert between(path, **where) is None


@pytest.mark.parametrize(
    ("path", "where", "upstream"),
    [
        ("/v1/messages", {}, "/v1/chat/completions"),
        ("/v1/responses", {}, "/v1/chat/completions"),
        ("/api/chat", {}, "/v1/chat/completions"),
        ("/api/embed", {}, "/v1/embeddings"),
        ("/v1/chat/completions", {"engine": "remote", "api": "anthropic"}, "/v1/messages"),
        ("/v1/responses", {"engine": "remote", "api": "anthropic"}, "/v1/messages"),
        ("/api/generate", {"engine": "remote", "api": "anthropic"}, "/v1/messages"),
        ("/v1/messages/count_tokens", {"engine": "vllm"}, "/tokenize"),
        ("/v1/messages/count_tokens", {"engine": "ollama"}, "/api/chat"),
    ],
)
def test_where_a_translated_request_goes(path, where, upstream):
    assert between(path, **where).path == upstream


@pytest.mark.parametrize(
    ("path", "where", "why"),
    [
        ("/v1/embeddings", {"engine": "remote", "api": "anthropic"}, "has no embeddings"),
        ("/v1/completions", {"engine": "remote", "api": "anthropic"}, "has no completions"),
        ("/v1/messages/count_tokens", {"engine": "remote"}, "cannot count tokens"),
        ("/v1/chat/completions", {"engine": "ollama", "api": "ollama"}, "cannot be translated"),
    ],
)
def test_what_cannot_be_translated_is_refused(path, where, why):
    with pytest.raises(ApiError, match=why) as refused:
        between(path, **where)
    assert refused.value.status == 400


@pytest.mark.parametrize("path", list(BODIES))
@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_requests_and_answers_go_there_and_back(path, api):
    route = API_ROUTES[path]
    body = json.dumps(BODIES[path]).encode()
    body = body if route.read is None else route.read(body)
    translation = between(path, engine="remote", api=api)
    if translation is not None:
        sent = json.loads(translation.request(body))
        assert "where?" in json.dumps(sent["messages"])
        answer = ANSWER if api == "openai" else CLAUDE
        assert b"on its way" in translation.answer(json.dumps(answer).encode(), body)


def test_a_stream_goes_through_two_translations():
    translation = between("/api/chat", engine="remote", api="anthropic")
    body = json.dumps({**BODIES["/api/chat"], "stream": True}).encode()
    streamed = translation.stream(body)
    events = [
        {"type": "message_start", "message": {**CLAUDE, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "on its way"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    data = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)
    out = streamed.feed(data) + streamed.rest()
    lines = [json.loads(line) for line in out.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "on its way" and lines[-1]["done"]
    broken = translation.stream(body)
    broken.feed(data[:-60])
    assert json.loads(broken.broken(b'{"error":"x"}').splitlines()[-1])["error"]


def test_wrong_types_are_the_clients_error_or_the_upstreams():
    translation = between("/v1/messages")
    with pytest.raises(ApiError, match="not of the type") as error:
        translation.request(b'{"model": "m", "max_tokens": 5, "messages": [], "tools": 7}')
    assert error.value.status == 400
    with pytest.raises(ApiError, match="cannot be read") as error:
        translation.answer(b'{"choices": 5}', b"{}")
    assert (error.value.status, error.value.code) == (502, "upstream_unreadable")


def test_embeddings_have_no_stream():
    with pytest.raises(ApiError, match="a stream came"):
        between("/api/embed").stream(b"{}")


def test_an_answer_the_client_has_begun_is_continued_where_the_engine_can():
    begun = {**BODIES["/v1/messages"], "messages": [*MESSAGES, {"role": "assistant", "content": "It is"}]}
    body = json.dumps(begun).encode()
    assert "continue_final_message" not in json.loads(between("/v1/messages").request(body))
    sent = json.loads(between("/v1/messages", engine="vllm").request(body))
    assert sent["continue_final_message"] is True and sent["add_generation_prompt"] is False
    with pytest.raises(ApiError):
        between("/v1/messages", engine="remote").request(body)


def test_every_path_has_errors_in_its_own_api():
    for path, route in API_ROUTES.items():
        error = json.loads(route.error(ApiError(400, "no"), "r1").body)
        expected = {"openai": dict, "anthropic": dict, "ollama": str}[route.api]
        assert route.path == path and isinstance(error["error"], expected)
        assert (error.get("type") == "error") == (route.api == "anthropic")


def test_streams_of_the_chat_api_become_each_clients():
    data = b"".join(stream_of("on", " its", " way", usage=True))
    for path, end in (("/v1/messages", b"message_stop"), ("/v1/responses", b"response.completed")):
        streamed = between(path).stream(json.dumps({**BODIES[path], "stream": True}).encode())
        out = streamed.feed(data) + streamed.rest()
        assert b" its" in out and end in out
