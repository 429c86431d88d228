"""llama.cpp writes tools and calls as training does, with a template that was given them."""

import json

import aiohttp
import pytest
from tests.training.chats import TOOLS, TURNS, sample

from freehold import engines
from freehold.engines import keys
from freehold.training import base as bases
from freehold.training.formatting import choose_calls, plain_message
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = [pytest.mark.anyio, pytest.mark.weights]


async def test_prompts_are_the_ones_trained_with(smollm2, tmp_path):
    tokenizer = bases.load_tokenizer(smollm2)
    own = tokenizer.chat_template
    assert choose_calls(tokenizer, [sample(turn) for turn in TURNS]) == "tagged"
    mount = AdapterMount(name="m:a", path="not attached here", chat_template=tokenizer.chat_template)
    plan = ServePlan(
        engine="llamacpp", model="base", weights_path=smollm2.path, context_tokens=512, parallel=1,
        options={"binary": "library", "chat_template": own},
    )  # fmt: skip
    options = plan.with_adapters((mount,)).options
    tagged = ServePlan(engine="llamacpp", model="base", weights_path=smollm2.path, context_tokens=512, parallel=1,
                       options=options)  # fmt: skip
    async with engines.start(plan, log_dir=tmp_path, name="own") as endpoint:
        assert not endpoint.capabilities.tools
    async with (
        engines.start(tagged, log_dir=tmp_path, name="tagged") as endpoint,
        aiohttp.ClientSession() as http,
    ):
        assert endpoint.capabilities.tools
        for turn, (messages, _) in TURNS.items():
            for tools in (TOOLS, None):
                chat = [
                    {key: value for key, value in vars_of(message).items() if value is not None}
                    for message in messages
                ]
                url = f"{endpoint.base_url}/apply-template"
                body = {"messages": chat} | ({"tools": tools} if tools else {})
                async with http.post(url, json=body, headers=keys.headers(endpoint)) as reply:
                    prompt = (await reply.json())["prompt"]
                wanted = tokenizer.apply_chat_template(
                    [plain_message(message) for message in messages],
                    tools=tools, tokenize=False, add_generation_prompt=True,
                )  # fmt: skip
                assert prompt == wanted, (turn, json.dumps(body))


def vars_of(message):
    return {name: getattr(message, name) for name in ("role", "content", "tool_calls", "tool_call_id")}
