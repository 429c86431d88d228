"""vLLM's child asks for the key at every path, also at those that vLLM's own check leaves out."""

import asyncio
import os
import signal

import openai
import psutil
import pytest

from freehold import engines
from freehold.engines.vllm.child import GUARD, KeyGuard
from freehold.types.endpoint import AdapterMount, ServePlan

KEY = b"Bearer the-key"


def asked(monkeypatch, path, *headers, kind="http"):
    """The messages a request gets, and whether vLLM saw it."""
    monkeypatch.setenv("VLLM_API_KEY", "the-key")
    seen, sent = [], []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "path": path, "headers": [*headers]}
    asyncio.run(KeyGuard(app)(scope, None, send))
    return sent, bool(seen)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/invocations", "/tokenize", "/metrics", "/sleep", "/health/", "/"]
)
@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer x")], [(b"authorization", KEY)] * 2])
def test_without_the_key_nothing_is_answered(monkeypatch, path, headers):
    sent, seen = asked(monkeypatch, path, *headers)
    assert not seen and sent[0]["status"] == 401 and b"invalid_api_key" in sent[1]["body"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/metrics"])
def test_with_the_key_vllm_answers(monkeypatch, path):
    assert asked(monkeypatch, path, (b"authorization", KEY)) == ([], True)


def test_health_is_open_and_websockets_are_not(monkeypatch):
    assert asked(monkeypatch, "/health") == ([], True)
    sent, seen = asked(monkeypatch, "/v1/realtime", kind="websocket")
    assert not seen and sent == [{"type": "websocket.close", "code": 1008}]


def test_its_name_is_one_that_can_be_imported_once_the_child_runs():
    module, _, name = GUARD.rpartition(".")
    assert module.isidentifier() and name == KeyGuard.__name__


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


@pytest.mark.anyio
@pytest.mark.weights
@pytest.mark.process
@pytest.mark.timeout(900)
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
