"""A supervised child process, its port, the questions it is asked, and why it ended."""

import asyncio
import contextlib
import os
import sys
import textwrap

import aiohttp
import psutil
import pytest
from aiohttp import web
from tests.engines.conftest import serving
from tests.gateway.loopback import eventually

from freehold.engines import supervisor
from freehold.engines.supervisor import Program, SupervisedProcess
from freehold.errors import EngineError, UsageError

SERVER = """
import http.server, os, sys, pathlib, threading, time
state = pathlib.Path(sys.argv[2]); count = int(state.read_text() or 0) + 1; state.write_text(str(count))
{before}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        if self.path == "/die": os._exit(7)
        body = b'{{}}'
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def child(tmp_path):
    """A supervised child: ``child(before)`` runs `before` in it ahead of its server."""
    state = tmp_path / "starts"
    state.write_text("")

    def make(before=""):
        code = textwrap.dedent(SERVER.format(before=before))

        def program(port):
            return Program((sys.executable, "-c", code, str(port), str(state)), {})

        made = SupervisedProcess(
            program, name="child", host="127.0.0.1", log_dir=tmp_path, ready_seconds=20, probe_model="m"
        )
        made.starts = lambda: int(state.read_text() or 0)
        return made

    return make


async def die(one):
    with contextlib.suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession() as http, http.get(f"{one.base_url}/die"):
            pass


async def until(holds, seconds=20):
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.process
@pytest.mark.anyio
async def test_the_log_of_a_child_that_runs_on_stays_small(child, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_BYTES", 10_000)
    monkeypatch.setattr(supervisor, "HEALTH_INTERVAL_SECONDS", 0.05)
    one = child(
        "def talk():\n"
        "    for number in range(10**9): print('line', number, file=sys.stderr, flush=True); time.sleep(1e-4)\n"
        "threading.Thread(target=talk, daemon=True).start()"
    )
    await one.start(0)
    try:
        aside = one.log.with_suffix(".1.log")
        await until(aside.exists)
        first = aside.read_bytes()
        assert first.count(b"line") > 100
        await until(lambda: aside.read_bytes()[:20] != first[:20])
        assert b"\0" not in one.log.read_bytes(), "it goes on at the start, not behind a hole"
    finally:
        await one.stop()


@pytest.mark.process
@pytest.mark.anyio
async def test_pauses_grow_and_then_it_is_called_failed(child, monkeypatch):
    pauses = []
    real = asyncio.sleep

    async def sleep(seconds, *rest):
        if sys._getframe(1).f_code.co_name == "_watch":  # not the pauses between two looks at a child
            pauses.append(seconds)
            seconds = 0
        await real(seconds, *rest)

    monkeypatch.setattr(supervisor, "GIVE_UP_AFTER", 4)
    one = child("if count > 1: sys.exit('error: broken for good')")
    await one.start(0)
    monkeypatch.setattr(supervisor.asyncio, "sleep", sleep)
    await die(one)
    await until(lambda: one.health().state == "failed")
    monkeypatch.undo()
    assert pauses[:4] == pytest.approx([0.05, 0.15, 0.45, 1.35])
    assert one.health().restarts == 4 and "broken for good" in one.health().last_crash
    await one.stop()


@pytest.mark.process
@pytest.mark.anyio
async def test_memory_at_load_is_told_apart(child):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28)); bytes(1 << 30)"
    with pytest.raises(EngineError, match="did not start: out of memory: MemoryError"):
        await child(limit).start(0)


@pytest.mark.process
@pytest.mark.anyio
async def test_listening_is_not_enough_it_has_to_answer(child, monkeypatch):
    broken = "http.server.BaseHTTPRequestHandler.send_response_only = lambda self, code, message=None: None"
    one = child(broken)
    one._ready_seconds = 1.0
    with pytest.raises(EngineError, match="was not ready after 1 s"):
        await one.start(0)


@pytest.mark.process
@pytest.mark.anyio
async def test_a_started_engine_does_not_know_the_keys_of_its_user(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    program = Program(("sleep", "60"), {"OMP_WAIT_POLICY": "passive"})
    child = await asyncio.create_subprocess_exec(
        *program.arguments, env=SupervisedProcess.environment_of(program), stdout=asyncio.subprocess.DEVNULL
    )
    # The kernel shows a new program's environment a moment after it has begun it.
    found = eventually(psutil.Process(child.pid).environ)
    child.kill()
    await child.wait()
    assert found["PATH"] == os.environ["PATH"] and found["OMP_WAIT_POLICY"] == "passive"
    assert "OPENAI_API_KEY" not in found


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


def test_only_what_was_said_since_counts(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"out of memory\n")
    size = log.stat().st_size
    with log.open("ab") as out:
        out.write(b"hello\n")
    assert supervisor.last_lines(log, since=size) == ["hello"]
    assert supervisor.last_lines(tmp_path / "none") == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_allowed(host):
    supervisor.require_loopback(host, "the engine")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org", ""])
def test_anything_else_would_be_open_to_others(host):
    with pytest.raises(UsageError, match="past the gateway") as caught:
        supervisor.require_loopback(host, "the engine")
    assert "freehold up --host" in caught.value.hint


@pytest.fixture
async def server(anyio_backend):
    """``(answers, url, bodies)``: a path's status and body, the server's address, what it was sent."""
    answers, bodies = {}, []

    async def answer(request):
        if request.method == "POST":
            bodies.append(await request.json())
        status, text = answers.get(request.path, (404, "not here"))
        return web.Response(status=status, text=text)

    async with serving(answer) as url:
        yield answers, url, bodies


@pytest.mark.anyio
async def test_alive_is_a_good_answer_with_json(server):
    answers, url, _ = server
    assert not await supervisor.is_alive(f"{url}/health")
    answers["/health"] = (200, "not json")
    assert not await supervisor.is_alive(f"{url}/health")
    answers["/health"] = (200, "{}")
    assert await supervisor.is_alive(f"{url}/health")
    assert not await supervisor.is_alive("http://127.0.0.1:9/health", seconds=2)


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "retry"), [(503, True), (429, True), (400, False), (404, False)])
async def test_an_engine_that_loads_is_asked_again_and_one_that_refuses_is_not(server, status, retry):
    answers, url, _ = server
    answers["/v1/chat/completions"] = (status, "why" * 200)
    with pytest.raises(supervisor.ProbeError, match=f"^{status}: why") as caught:
        await supervisor.ask_completion(url, "m", seconds=5)
    assert caught.value.retry is retry and len(str(caught.value)) < 320
