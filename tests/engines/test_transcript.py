"""What is learned of an answer from each engine's own way to tell it."""

import pytest
from aiohttp import web
from tests.engines.conftest import serving

from freehold.engines.transcript import transcript
from freehold.errors import UpstreamError
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel

pytestmark = pytest.mark.anyio

MESSAGES = [{"role": "user", "content": "Hi"}]
ENTRIES = [{"id": 7, "token": "ok", "logprob": -0.5}, {"id": 8, "token": "!", "logprob": -0.25}]


def answer(**changes):
    choice = {"message": {"content": "ok!"}, "finish_reason": "stop", **changes.pop("choice", {})}
    return {"choices": [choice], "usage": {"prompt_tokens": 3}, **changes}


async def ask(engine, replies, **capabilities):
    """The transcript, and what was asked by path."""
    asked = {}

    async def reply(request):
        asked[request.path] = await request.json()
        found = replies.get(request.path)
        return web.json_response(found) if found is not None else web.Response(status=500, text="broken")

    async with serving(reply) as url:
        endpoint = Endpoint(
            name="e",
            engine=engine,
            base_url=url,
            models=(ServedModel(name="m", upstream_name="there", extra_body={"lora": 1}),),
            capabilities=Capabilities(**capabilities),
            context_tokens=512,
        )
        return await transcript(endpoint, "m", MESSAGES, max_tokens=5), asked


async def test_llama_cpp_tells_ids_by_its_template_and_tokenizer():
    replies = {
        "/v1/chat/completions": answer(choice={"logprobs": {"content": ENTRIES}}),
        "/apply-template": {"prompt": "<user>Hi"},
        "/tokenize": {"tokens": [1, 2, 3]},
    }
    found, asked = await ask("llamacpp", replies, logprobs=True)
    assert (found.prompt_ids, found.answer_ids, found.logprobs) == ((1, 2, 3), (7, 8), (-0.5, -0.25))
    assert (found.text, found.finish_reason, found.prompt_tokens) == ("ok!", "stop", 3)
    body = asked["/v1/chat/completions"]
    assert (body["model"], body["lora"], body["temperature"], body["logprobs"]) == ("there", 1, 0, True)
    assert asked["/tokenize"] == {"content": "<user>Hi", "add_special": True, "parse_special": True}


async def test_vllm_tells_ids_in_its_answer():
    entries = [{"token": "ok", "logprob": -0.5}]
    told = answer(choice={"logprobs": {"content": entries}, "token_ids": [7]}, prompt_token_ids=[1, 2, 3])
    found, asked = await ask("vllm", {"/v1/chat/completions": told}, logprobs=True)
    assert (found.prompt_ids, found.answer_ids, found.logprobs) == ((1, 2, 3), (7,), (-0.5,))
    assert asked["/v1/chat/completions"]["return_token_ids"] is True


async def test_an_engine_that_promises_nothing_tells_text_alone():
    found, asked = await ask("remote", {"/v1/chat/completions": answer()})
    assert (found.prompt_ids, found.answer_ids, found.logprobs, found.text) == (None, None, None, "ok!")
    assert "logprobs" not in asked["/v1/chat/completions"]


async def test_an_error_names_the_address_and_what_was_said():
    with pytest.raises(UpstreamError, match=r"/v1/chat/completions answered 500: broken"):
        await ask("remote", {})
