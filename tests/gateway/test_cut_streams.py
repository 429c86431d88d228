"""A stream that breaks off anywhere is an error to the real clients of every API: half an answer never looks whole."""

import asyncio
import json
import random

import anthropic
import ollama
import openai
import pytest
from aiohttp import web
from tests.gateway.loopback import gateway, stream_of

from freehold.types.endpoint import Capabilities, Endpoint, ServedModel

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


def ollama_chat(url, model):
    client = ollama.Client(host=url)
    try:
        for part in client.chat(model=model, messages=ASKED, stream=True):
            yield part.message.content or ""
    finally:
        client._client.close()


@pytest.mark.parametrize(
    ("client", "model"),
    [
        *((client, name) for client in (chat, ollama_chat) for name in ("chat", "messages")),
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
        with pytest.raises(
            (openai.OpenAIError, anthropic.APIError, ollama.ResponseError, json.JSONDecodeError)
        ):
            "".join(client(cutting.base_url, model))
        cuts.pop()
