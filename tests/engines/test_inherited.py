"""Engines inherit what they need to run, and no secret: also a real engine's real process."""

import asyncio
import os

import psutil
import pytest

from freehold.engines.inherited import inherited
from freehold.engines.supervisor import Program, SupervisedProcess


def test_what_runs_an_engine_is_passed_on():
    needed = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "CUDA_VISIBLE_DEVICES": "0",
        "HF_HOME": "/h",
        "OMP_NUM_THREADS": "2",
    }
    assert inherited({**needed, "SOMETHING_ELSE": "x"}) == needed


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "VLLM_API_KEY",
        "LLAMA_API_KEY",
        "FREEHOLD_DATABASE_URL",
        "AWS_SECRET_ACCESS_KEY",
    ],
)
def test_secrets_are_not(name):
    assert inherited({name: "x"}) == {}


def test_a_started_engine_does_not_know_the_keys_of_its_user(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found = {}

    async def main():
        program = Program(("sleep", "60"), {"OMP_WAIT_POLICY": "passive"})
        child = await asyncio.create_subprocess_exec(
            *program.arguments,
            env=SupervisedProcess.environment_of(program),
            stdout=asyncio.subprocess.DEVNULL,
        )
        found.update(psutil.Process(child.pid).environ())
        child.kill()
        await child.wait()

    asyncio.run(main())
    assert found["PATH"] == os.environ["PATH"] and found["OMP_WAIT_POLICY"] == "passive"
    assert "OPENAI_API_KEY" not in found
