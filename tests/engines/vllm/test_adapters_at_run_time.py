"""What only vLLM's engine does: adapters put on and taken off while it runs, and no process left when it is killed."""

import asyncio
import os
import signal

import openai
import psutil
import pytest

from freehold import engines
from freehold.engines.engine import TakesAdapters
from freehold.errors import EngineError, UsageError
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


async def test_adapters_come_and_go_while_it_runs_and_after_a_crash(
    smollm2_safetensors, loud_peft_adapter, tmp_path
):
    plan = ServePlan(
        engine="vllm",
        model="base",
        weights_path=smollm2_safetensors.path,
        context_tokens=256,
        parallel=2,
        options={"runtime_adapters": True, "max_adapters": 1},
    )
    session = engines.start(plan, log_dir=tmp_path, name="vllm")
    mount = AdapterMount(name="base:late", path=str(loud_peft_adapter), adapter_id="a1")
    async with session as endpoint:
        running = session.running
        assert isinstance(running, TakesAdapters) and running.has_room
        base = await ask(endpoint, "base")
        with pytest.raises(openai.NotFoundError):
            await ask(endpoint, "base:late")
        endpoint = await running.add_adapter(mount)
        assert endpoint.served("base:late").adapter_id == "a1"
        assert not running.has_room
        late = await ask(endpoint, "base:late")
        assert late != base == await ask(endpoint, "base")
        with pytest.raises(UsageError, match="is served already"):
            await running.add_adapter(mount)
        with pytest.raises(EngineError, match="room for 1 adapters, and they are all taken"):
            await running.add_adapter(AdapterMount(name="base:more", path=str(loud_peft_adapter)))

        before = vllm_processes()
        os.kill(running.health().process_id, signal.SIGKILL)
        async with asyncio.timeout(600):
            while running.health().restarts == 0 or running.health().state != "ready":
                await asyncio.sleep(0.1)
        assert not before & vllm_processes(), "nothing of the killed one is left to hold its memory"
        assert await ask(running.endpoint, "base:late") == late, "what was put on is on after a restart"

        endpoint = await running.remove_adapter("base:late")
        assert endpoint.served("base:late") is None
        with pytest.raises(openai.NotFoundError):
            await ask(endpoint, "base:late")
        with pytest.raises(UsageError, match="no adapter base:late"):
            await running.remove_adapter("base:late")
        with pytest.raises(EngineError, match="started without sleep"):
            await running.sleep()
