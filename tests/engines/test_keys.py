"""The key of this run: drawn once, sent by freehold's own clients, known to nobody else."""

import os
import subprocess
import sys

import aiohttp
import msgspec
import psutil
import pytest

from freehold import engines
from freehold.engines import keys
from freehold.engines.transcript import transcript
from freehold.environment import inherited
from freehold.errors import UsageError
from freehold.types.endpoint import Endpoint, ServePlan

ASK = [{"role": "user", "content": "hi"}]
PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/tokenize",
    "/metrics",
    "/v1/models",
    "/x",
)


@pytest.mark.process
def test_a_run_draws_its_own_key_once_and_takes_over_none():
    code = (
        "import os; from freehold.engines import keys; name = keys.RUN_KEY_ENV;"
        "assert keys.bearer(None) == {}; one = keys.value_of(name);"
        "assert one == keys.value_of(name) == os.environ[name] and len(one) > 40; print(one)"
    )
    environment = {**os.environ, keys.RUN_KEY_ENV: "the-parents"}
    drawn = {
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(drawn) == 2 and b"the-parents\n" not in drawn


def test_no_engine_inherits_it():
    keys.value_of(keys.RUN_KEY_ENV)
    assert keys.RUN_KEY_ENV not in inherited(os.environ)


@pytest.mark.parametrize(
    ("value", "why"), [(None, "is not set"), ("a b", "no header"), ("ключ", "no header")]
)
def test_a_key_of_the_users_must_be_there_and_fit_into_a_header(monkeypatch, value, why):
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(UsageError, match=why):
        keys.value_of("MY_KEY")


def test_an_endpoint_says_by_name_which_key_it_needs(monkeypatch):
    monkeypatch.setenv("MY_KEY", "abc")
    endpoint = Endpoint(name="e", engine="echo", base_url="http://127.0.0.1:9", api_key_env="MY_KEY")
    assert keys.headers(endpoint) == {"Authorization": "Bearer abc"}
    assert keys.headers(msgspec.structs.replace(endpoint, api_key_env=None)) == {}
    assert b"abc" not in msgspec.json.encode(endpoint)


async def statuses(url, headers):
    async with aiohttp.ClientSession(headers=headers) as http:
        found = {}
        for path in PATHS:
            method = "GET" if path in ("/metrics", "/v1/models") else "POST"
            body = {"model": "m", "messages": ASK, "prompt": "hi", "input": "hi"}
            async with http.request(method, f"{url}{path}", json=body) as reply:
                found[path] = reply.status
        async with http.get(f"{url}/health") as reply:
            assert reply.status == 200, "whether it is alive is no secret"
        return found


@pytest.mark.process
@pytest.mark.anyio
@pytest.mark.parametrize("in_process", [True, False])
async def test_an_engine_answers_nobody_without_the_key(tmp_path, in_process):
    plan = ServePlan(engine="echo", model="m", options={"in_process": in_process})
    session = engines.start(plan, log_dir=tmp_path, name="e")
    async with session as endpoint:
        assert endpoint.api_key_env == keys.RUN_KEY_ENV
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"x-api-key": os.environ[keys.RUN_KEY_ENV]}):
            assert set((await statuses(endpoint.base_url, headers)).values()) == {401}
        found = await statuses(endpoint.base_url, keys.headers(endpoint))
        assert found.pop("/x") == 404 and set(found.values()) == {200}
        assert (await transcript(endpoint, "m", ASK, max_tokens=4)).text == "hi"
        if not in_process:
            process = psutil.Process(session.running.health().process_id)
            told = " ".join((*process.cmdline(), *process.environ().values()))
            assert os.environ[keys.RUN_KEY_ENV] not in told
            assert os.environ[keys.RUN_KEY_ENV] not in (tmp_path / "e.log").read_text()


@pytest.mark.anyio
async def test_one_that_is_to_be_open_is(tmp_path):
    plan = ServePlan(engine="echo", model="m", options={"in_process": True})
    async with engines.start(plan, log_dir=tmp_path, name="e", key_env=None) as endpoint:
        assert endpoint.api_key_env is None
        assert (await statuses(endpoint.base_url, {}))["/v1/chat/completions"] == 200


@pytest.mark.anyio
@pytest.mark.weights
async def test_llama_cpp_answers_nobody_without_the_key(tmp_path, smollm2):
    plan = ServePlan(engine="llamacpp", model="m", weights_path=smollm2.path, context_tokens=128, parallel=1)
    session = engines.start(plan, log_dir=tmp_path, name="e")
    async with session as endpoint:
        found = await statuses(endpoint.base_url, {})
        assert found.pop("/v1/models") in (200, 401), "some builds tell their model's name"
        assert set(found.values()) == {401}
        async with aiohttp.ClientSession() as http:
            for path in ("/props", "/lora-adapters", "/slots"):
                async with http.get(f"{endpoint.base_url}{path}") as reply:
                    assert reply.status == 401
        assert (await transcript(endpoint, "m", ASK, max_tokens=2)).prompt_ids
        process = psutil.Process(session.running.health().process_id)
        assert os.environ[keys.RUN_KEY_ENV] not in " ".join((*process.cmdline(), *process.environ().values()))
