"""Starting, crashing, restarting, stopping: engines that are child processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import msgspec
import openai
import pytest
from tests.engines.encoder.tiny import tiny_encoder

from freehold import engines
from freehold.engines import supervisor
from freehold.errors import EngineError, PortInUseError, UsageError
from freehold.types.endpoint import ServePlan

pytestmark = [pytest.mark.process, pytest.mark.anyio]

CHILDREN = [
    pytest.param("echo", id="echo"),
    pytest.param("encoder", id="encoder"),
    pytest.param("llamacpp", id="llamacpp", marks=pytest.mark.weights),
]


@pytest.fixture(params=CHILDREN)
def plan(request):
    if request.param == "echo":
        return ServePlan(engine="echo", model="base", context_tokens=256)
    if request.param == "encoder":
        folder = tiny_encoder(request.getfixturevalue("tmp_path") / "encoder")
        return ServePlan(
            engine="encoder", model="base", weights_path=str(folder), context_tokens=256, threads=1
        )
    weights = request.getfixturevalue("smollm2")
    return ServePlan(
        engine="llamacpp", model="base", weights_path=weights.path, context_tokens=256, parallel=2
    )


def client_of(endpoint):
    return openai.AsyncOpenAI(
        base_url=f"{endpoint.base_url}/v1",
        api_key=os.environ.get(endpoint.api_key_env or "", "none"),
        max_retries=0,
    )


async def ask(client):
    return await client.chat.completions.create(
        model="base", messages=[{"role": "user", "content": "Say hello"}], max_tokens=4
    )


def alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_engine_comes_back_at_the_same_address_under_load(plan, tmp_path):
    session = engines.start(plan, log_dir=tmp_path, name="victim")
    async with session as endpoint, client_of(endpoint) as client:
        answered, failed, done = [], [], asyncio.Event()

        async def load():
            while not done.is_set():
                try:
                    answered.append((await ask(client)).choices[0].message.content)
                except (openai.APIConnectionError, openai.InternalServerError):
                    failed.append(time.monotonic())
                    await asyncio.sleep(0.02)

        workers = [asyncio.create_task(load()) for _ in range(3)]
        while len(answered) < 3:
            await asyncio.sleep(0.01)
        victim = session.running.health().process_id
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(30):
            while session.running.health().restarts == 0 or session.running.health().state != "ready":
                await asyncio.sleep(0.02)
            before = len(answered)
            while len(answered) < before + 3:
                await asyncio.sleep(0.01)
        done.set()
        await asyncio.gather(*workers)
        health = session.running.health()
        assert (health.state, health.restarts) == ("ready", 1)
        assert "SIGKILL" in health.last_crash or "memory" in health.last_crash
        assert health.process_id != victim
        assert session.running.endpoint == endpoint
    assert not alive(health.process_id)
    assert (tmp_path / "victim.log").stat().st_size > 0


async def test_a_hung_engine_is_ended_and_replaced(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "HEALTH_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(supervisor, "HEALTH_SECONDS", 1.0)
    monkeypatch.setattr(supervisor, "HEALTH_MISSES", 2)
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.2)
    session = engines.start(plan, log_dir=tmp_path, name="hung")
    async with session as endpoint, client_of(endpoint) as client:
        os.kill(session.running.health().process_id, signal.SIGSTOP)
        async with asyncio.timeout(30):
            while session.running.health().restarts == 0 or session.running.health().state != "ready":
                await asyncio.sleep(0.05)
        assert session.running.health().last_crash == "it stopped answering and was ended"
        assert (await ask(client)).choices


async def test_a_port_in_use_is_told_before_anything_starts(plan, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port}"):
            await engines.start(
                msgspec.structs.replace(plan, port=port), log_dir=tmp_path, name="late"
            ).start()


async def test_it_listens_where_it_is_told_and_stopping_twice_is_fine(plan, tmp_path, unused_port):
    asked = msgspec.structs.replace(plan, port=unused_port)
    session = engines.start(asked, log_dir=tmp_path, name="fixed")
    endpoint = await session.start()
    assert endpoint.base_url == f"http://127.0.0.1:{unused_port}"
    process_id = session.running.health().process_id
    await session.stop()
    await session.stop()
    assert session.running.health().state == "stopped"
    assert not alive(process_id)


async def test_it_never_listens_beyond_loopback(plan):
    with pytest.raises(UsageError, match="past the gateway"):
        engines.check(msgspec.structs.replace(plan, host="0.0.0.0"))


async def test_an_unknown_option_names_the_nearest(plan):
    wrong = {"echo": "delay", "encoder": "batsh", "llamacpp": "micro_batsh"}[plan.engine]
    with pytest.raises(UsageError, match=wrong) as caught:
        engines.check(msgspec.structs.replace(plan, options={wrong: 1}))
    assert "did you mean" in caught.value.hint


async def test_a_log_that_cannot_be_written_is_one_line(plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="log cannot be written"):
        await engines.start(plan, log_dir=tmp_path / "file", name="x").start()


async def test_the_engine_ends_when_its_parent_is_killed(plan, tmp_path):
    code = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        import msgspec
        from freehold import engines
        from freehold.types.endpoint import ServePlan

        async def main():
            plan = msgspec.json.decode(sys.argv[1], type=ServePlan)
            session = engines.start(plan, log_dir=Path(sys.argv[2]), name="orphan")
            await session.start()
            print(session.running.health().process_id, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
        """
    )
    arguments = [sys.executable, "-c", code, msgspec.json.encode(plan).decode(), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        child = int(await asyncio.to_thread(parent.stdout.readline))
        assert alive(child)
        parent.kill()
    async with asyncio.timeout(10):
        while alive(child):
            await asyncio.sleep(0.05)


async def test_a_child_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no luck today')")
    with pytest.raises(EngineError, match="did not start") as caught:
        await engines.start(
            ServePlan(engine="echo", model="base"), log_dir=tmp_path / "logs", name="unlucky"
        ).start()
    assert "unlucky.log" in caught.value.hint
