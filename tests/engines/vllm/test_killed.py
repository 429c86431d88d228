"""An adapter on real weights, and no process left of a vLLM that was killed."""

import asyncio
import os
import signal

import openai
import psutil
import pytest

from freehold import engines
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = [pytest.mark.anyio, pytest.mark.weights, pytest.mark.process, pytest.mark.timeout(900)]


async def ask(endpoint, name):
    async with openai.AsyncOpenAI(
        base_url=f"{endpoint.base_url}/v1", api_key=os.environ[endpoint.api_key_env], max_retries=0
    ) as client:
        messages = [{"role": "user", "content": "Where is my order?"}]
        answer = await client.chat.completions.create(
            model=name, messages=messages, max_tokens=6, temperature=0
        )
        return answer.choices[0].message.content


def vllm_processes():
    return {process.pid for process in psutil.Process().children(recursive=True)}


async def test_an_adapter_answers_and_nothing_is_left_of_a_killed_engine(
    smollm2_safetensors, loud_peft_adapter, tmp_path
):
    plan = ServePlan(
        engine="vllm",
        model="base",
        weights_path=smollm2_safetensors.path,
        context_tokens=256,
        parallel=2,
        adapters=(AdapterMount(name="base:late", path=str(loud_peft_adapter), adapter_id="a1"),),
    )
    session = engines.start(plan, log_dir=tmp_path, name="vllm")
    async with session as endpoint:
        running = session.running
        assert endpoint.served("base:late").adapter_id == "a1"
        assert await ask(endpoint, "base:late") != await ask(endpoint, "base")

        before = vllm_processes()
        os.kill(running.health().process_id, signal.SIGKILL)
        async with asyncio.timeout(60):  # nothing of the killed one is left to hold its memory
            while running.health().restarts == 0 or before & vllm_processes():
                await asyncio.sleep(0.1)
