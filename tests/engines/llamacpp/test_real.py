"""llama.cpp on real weights: tokens guessed ahead change no answer, and tools are written as in training."""

import json

import aiohttp
import msgspec
import pytest
from tests.training.chats import TOOLS, TURNS, sample

from freehold import engines
from freehold.engines import keys
from freehold.hardware.probes.cpu import cores as machine_cores
from freehold.settings import load
from freehold.training import base as bases
from freehold.training.formatting import choose_calls, plain_message
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.weights.pull import ensure_weights

pytestmark = [pytest.mark.anyio, pytest.mark.weights]


TEXT = "Order 4711: two blue lamps and one red chair, to be sent to 12 Hill Street, Bern."


@pytest.fixture(scope="module")
def plan():
    weights = ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())
    return ServePlan(
        engine="llamacpp",
        model="base",
        weights_path=weights.path,
        context_tokens=512,
        parallel=1,
        threads=machine_cores().value,
        options={"binary": "library"},
    )


async def answer(plan, log_dir, **options):
    import aiohttp

    asked = msgspec.structs.replace(plan, options={**plan.options, **options})
    body = {
        "model": "base",
        "messages": [{"role": "user", "content": f"Repeat this text twice, word for word: {TEXT}"}],
        "max_tokens": 60,
        "temperature": 0,
    }
    async with (
        engines.start(asked, log_dir=log_dir, name="spec") as endpoint,
        aiohttp.ClientSession(headers=keys.headers(endpoint)) as http,
        http.post(f"{endpoint.base_url}/v1/chat/completions", json=body) as reply,
    ):
        found = await reply.json()
    return found["choices"][0]["message"]["content"], found["timings"]


async def test_an_answer_that_copies_is_guessed_from_its_prompt(plan, tmp_path):
    plain, slow = await answer(plan, tmp_path)
    guessed, fast = await answer(plan, tmp_path, speculative="ngram-simple")
    assert guessed == plain
    assert not slow.get("draft_n")
    assert fast["draft_n_accepted"] > 0, "the answer repeats the prompt"


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
