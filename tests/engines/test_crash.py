"""Why a child ended, in words."""

import subprocess
import sys

import pytest

from freehold.engines import supervisor


@pytest.mark.parametrize(
    ("code", "lines", "killed", "says"),
    [
        (-9, ["loading"], True, "it was killed by the kernel: out of memory"),
        (-9, ["loading"], False, "it was ended by SIGKILL"),
        (
            1,
            ["ggml: failed to allocate CPU buffer of size 99", "bye"],
            False,
            "out of memory: ggml: failed to",
        ),
        (-6, ["terminate called after throwing", "what(): std::bad_alloc"], False, "out of memory: what()"),
        (1, ["error: no such tensor", "done"], False, "it exited with code 1: error: no such tensor"),
        (3, ["last words"], False, "it exited with code 3: last words"),
        (0, ["last words"], False, "it exited with code 0"),
        (
            1,
            [
                "0.00.100.000 E srv: a request failed",
                "0.00.100.000 W slot: all is well",
                "0.00.506.318 E llama_adapter_lora: tensor has incorrect shape",
                "0.00.506.356 E srv load_model: failed to create_context",
                "Traceback (most recent call last):",
                "RuntimeError: Failed to init server, please check the input params.",
            ],
            False,
            "it exited with code 1: llama_adapter_lora: tensor has incorrect shape",
        ),
        (-200, [], False, "it was ended by signal 200"),
    ],
)
def test_reasons(code, lines, killed, says):
    reason = supervisor.why_ended(code, lines, memory_kill=killed)
    assert reason.startswith(says)
    assert supervisor.is_out_of_memory(reason) == ("out of memory" in says)


@pytest.mark.process
def test_a_child_that_really_runs_out_of_memory(tmp_path):
    log = tmp_path / "log"
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28)); bytes(1 << 30)"
    with log.open("wb") as out:
        done = subprocess.run([sys.executable, "-c", code], stderr=out, check=False)
    assert supervisor.is_out_of_memory(
        supervisor.why_ended(done.returncode, supervisor.last_lines(log), memory_kill=False)
    )


def test_only_what_was_said_since_counts(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"out of memory\n")
    size = log.stat().st_size
    with log.open("ab") as out:
        out.write(b"hello\n")
    assert supervisor.last_lines(log, since=size) == ["hello"]
    assert supervisor.last_lines(tmp_path / "none") == []
