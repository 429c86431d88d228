"""Hostile and failing upstreams: half an answer never looks whole, and what goes wrong is told or passed over."""

import asyncio
import json
import random
from datetime import UTC, datetime

import anthropic
import openai
import pytest
from aiohttp import web
from msgspec.structs import replace
from tests.gateway.asking import QUESTION, client, metric, post
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, plain, stream, stream_of

from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

WORDS = ["on", " its", " way"]
ASKED = [{"role": "user", "content": "Where is my order?"}]


def event(kind, **fields):
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
           "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
RESPONSE = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [], "status": "in_progress",
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip
STREAMS = {
    "chat": b"".join(stream_of(*WORDS, usage=True)),
    "messages": b"".join(
        [
            event("message_start", message=MESSAGE),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *(
                event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
                for word in WORDS
            ),
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3}),
            event("message_stop"),
        ]
    ),
    "responses": b"".join(
        [
            event("response.created", response=RESPONSE, sequence_number=0),
            *(
                event("response.output_text.delta", item_id="i", output_index=0, content_index=0, delta=word,
                      logprobs=[], sequence_number=number)
                for number, word in enumerate(WORDS, 1)
            ),
            event("response.completed", response={**RESPONSE, "status": "completed"}, sequence_number=4),
        ]
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def cutting(_upstream, tmp_path_factory):
    """A gateway in front of an upstream that speaks each API, by the model's name."""
    endpoints = tuple(
        Endpoint(
            name=name,
            engine="remote",
            base_url=_upstream.base_url,
            api="anthropic" if name == "messages" else "openai",
            models=(ServedModel(name=name, upstream_name=name),),
            capabilities=Capabilities(responses=name == "responses"),
        )
        for name in STREAMS
    )
    folder = tmp_path_factory.mktemp("cut")
    with gateway(_upstream, folder, endpoints=endpoints, retries=0, breaker_failures=9_999) as running:
        yield running


def chat(url, model, **more):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        for part in client.chat.completions.create(model=model, messages=ASKED, stream=True, **more):
            for choice in part.choices:
                yield choice.delta.content or ""


def chat_with_usage(url, model):
    return chat(url, model, stream_options={"include_usage": True})


def messages(url, model):
    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        for one in client.messages.create(model=model, max_tokens=9, messages=ASKED, stream=True):
            if one.type == "content_block_delta":
                yield one.delta.text


def responses(url, model):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        for one in client.responses.create(model=model, input="Where is my order?", stream=True):
            if one.type == "error":
                raise openai.OpenAIError(one.message)
            if one.type == "response.output_text.delta":
                yield one.delta


@pytest.mark.parametrize(
    ("client", "model"),
    [
        *((chat, name) for name in ("chat", "messages")),
        (chat_with_usage, "chat"),
        *((messages, name) for name in ("chat", "messages")),
        *((responses, name) for name in STREAMS),
    ],
)
def test_half_an_answer_is_an_error_to_the_client(cutting, upstream, client, model):
    whole = STREAMS[model]
    draw = random.Random(f"{client.__name__} {model}")
    ends = [at + 2 for at in range(len(whole)) if whole[at : at + 2] == b"\n\n"]
    # After an event, in its middle, and before the empty line that ends it.
    cuts = [
        draw.choice(ends[:-1]),
        draw.choice(ends[:-1]) - 1,
        *(draw.randrange(1, len(whole)) for _ in range(3)),
    ]

    def cut(seen):
        async def respond(request):
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            await response.write(whole[: cuts[-1]])
            await asyncio.sleep(0.05)
            request.transport.abort()
            raise ConnectionResetError

        return respond

    upstream.answer = cut
    while cuts:
        # Half an event is no JSON to the clients whose streams go through as they are.
        with pytest.raises((openai.OpenAIError, anthropic.APIError, json.JSONDecodeError)):
            "".join(client(cutting.base_url, model))
        cuts.pop()


def test_an_endpoint_that_goes_leaves_its_routes_to_the_others(upstream, tmp_path):
    other = FakeUpstream()
    try:
        own = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url)
        away = Endpoint(name="away", engine="remote", base_url=other.base_url)
        route = Route(
            name="r",
            model="m",
            incumbent=Target(endpoint="incumbent"),
            candidate=Target(endpoint="away"),
            state="promoted",
        )
        with gateway(upstream, tmp_path, endpoints=(own, away)) as running:
            with open_store(running.config.store_url) as store:
                store.save_route(route, who="test", at=datetime.now(UTC), why="test")
            eventually(lambda: post(running, QUESTION)[0] == 200 and other.seen)
            running.update(replace(running.config, endpoints=(own,)))
            eventually(lambda: post(running, QUESTION)[0] == 200 and upstream.seen)
            assert metric(running, "freehold_fallbacks_total") >= 0
            running.update(replace(running.config, endpoints=(away,)))
            eventually(lambda: post(running, QUESTION)[0] == 404)
            with pytest.raises(openai.NotFoundError, match="does not exist here"):
                client(running).chat.completions.create(**QUESTION)
    finally:
        other.close()


def test_a_redirect_to_another_host_reaches_it_with_nothing(upstream, tmp_path):
    stranger = FakeUpstream()
    visits = []

    def visited(seen):
        visits.append((seen.method, seen.place, seen.headers))
        return plain(ANSWER)

    stranger.answer = visited
    sent = {"authorization": "Bearer sk-theirs", "x-api-key": "sk-theirs", "openai-organization": "org"}
    asked = {**QUESTION, "max_tokens": 5}
    own = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
    changes = {"endpoints": (own,), "others_to": "incumbent", "retries": 0, "breaker_failures": 999}
    try:
        with gateway(upstream, tmp_path, **changes) as running:
            for status in (301, 302, 303, 307, 308):
                upstream.answer = lambda seen, status=status: plain(
                    b"", status=status, headers={"location": f"{stranger.base_url}{seen.path}"}
                )
                for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/files"):
                    for stream in (False, True):
                        about = {"model": "m", "input": "x"} if path == "/v1/responses" else asked
                        got, headers, body = post(
                            running, {**about, "stream": stream}, path=path, headers=sent
                        )
                        assert got == 502 and "location" not in headers, (path, body)
            assert upstream.seen and not visits
    finally:
        stranger.close()


def test_an_error_under_the_status_200_is_passed_over_where_another_endpoint_can_answer(upstream, tmp_path):
    error = json.dumps({"error": {"message": "Provider returned error", "code": 502}}).encode()
    spare = FakeUpstream()
    spare.answer = lambda seen: stream(stream_of("on")) if seen.json.get("stream") else plain(ANSWER)
    upstream.answer = lambda seen: (
        stream([b"data: " + error + b"\n\n"]) if seen.json.get("stream") else plain(error)
    )
    endpoints = tuple(
        Endpoint(name=name, engine="remote", base_url=url, models=ANY_SERVED)
        for name, url in (("incumbent", upstream.base_url), ("spare", spare.base_url))
    )
    route = Route(
        name="r", model="m", incumbent=Target(endpoint="incumbent"), fallback=(Target(endpoint="spare"),)
    )
    changes = {"endpoints": endpoints, "routes": (route,), "retries": 0, "breaker_failures": 99}
    try:
        with gateway(upstream, tmp_path, **changes) as running:
            for path in ("/v1/chat/completions", "/v1/messages"):
                for streamed in (False, True):
                    asked = {**QUESTION, "max_tokens": 5, "stream": streamed}
                    status, headers, body = post(running, asked, path=path)
                    assert status == 200 and b"on" in body and b"error" not in body
                    assert headers["x-freehold-arm"] == "fallback"
            assert metric(running, 'freehold_fallbacks_total{route="r",why="failure"}') == 4
    finally:
        spare.close()
