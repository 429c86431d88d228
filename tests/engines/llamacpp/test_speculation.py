"""Guessing tokens ahead on real weights: the same answer, fewer steps."""

import msgspec
import pytest

from freehold import engines
from freehold.engines import keys
from freehold.hardware.probes import usable_cores as machine_cores
from freehold.settings import load
from freehold.types.endpoint import ServePlan
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
