"""What goes wrong around a gateway, and that traffic goes on."""

import contextlib
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import psutil
import pytest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, traces_of

from freehold.errors import ConfigError, PortInUseError, StoreError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.serve import free_port, start
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Limits


def processes(running, mark):
    found = []
    for one in psutil.Process(running.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that has just ended is none of them
            if ("freehold.gateway.capture.recorder" in one.cmdline()) == (mark == "recorder"):
                found.append(one)
    return found


def test_a_recorder_that_is_killed_is_started_again_and_loses_nothing(upstream, tmp_path):
    key = ApiKey(name="web", hash=hash_of("web-key"), limits=Limits(tokens_per_minute=10_000))
    with gateway(upstream, tmp_path, api_keys=(key,)) as running:
        shown = {"Authorization": "Bearer web-key"}
        post(running, QUESTION, headers=shown)
        eventually(lambda: len(traces_of(running)) == 1)
        recorder = processes(running, "recorder")[0]
        recorder.suspend()  # So that it certainly dies with traces it was sent and has not written.
        for _ in range(5):
            assert post(running, QUESTION, headers=shown)[0] == 200
        time.sleep(0.5)
        recorder.kill()
        assert post(running, QUESTION, headers=shown)[0] == 200
        eventually(lambda: len(traces_of(running)) == 7)
        eventually(lambda: metric(running, "freehold_traces_captured") == 7)
        time.sleep(0.5)
        assert len(traces_of(running)) == 7, "and none is there twice"


def test_a_worker_that_is_killed_takes_only_its_own_requests_with_it(upstream, tmp_path):
    with gateway(upstream, tmp_path, workers=2, capture="off") as running:
        first = processes(running, "worker")
        assert len(first) == 2
        first[0].kill()
        outcomes = []
        for _ in range(60):
            try:
                outcomes.append(post(running, QUESTION)[0])
            except OSError:
                outcomes.append(0)
            time.sleep(0.02)
        assert outcomes[-20:] == [200] * 20
        eventually(lambda: len(processes(running, "worker")) == 2)


def test_a_locked_store_does_not_stop_traffic_and_loses_nothing(upstream, tmp_path):
    with gateway(upstream, tmp_path) as running:
        post(running, QUESTION)
        eventually(lambda: len(traces_of(running)) == 1)
        holder = sqlite3.connect(tmp_path / "freehold.sqlite3", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        for _ in range(5):
            assert post(running, QUESTION)[0] == 200
        assert time.monotonic() - started < 4
        holder.execute("ROLLBACK")
        holder.close()
        eventually(lambda: len(traces_of(running)) == 6)


def test_a_store_that_is_gone_does_not_stop_traffic(upstream, tmp_path):
    folder = tmp_path / "state"
    url = f"sqlite:///{folder / 'freehold.sqlite3'}"
    with gateway(upstream, tmp_path, store_url=url, capture_queue=10) as running:
        post(running, QUESTION)
        eventually(lambda: len(traces_of(running)) == 1)
        # Not a database any more: every write fails from here on.
        for part in folder.iterdir():
            part.write_bytes(b"gone" * 5000)
        for _ in range(60):
            assert post(running, QUESTION)[0] == 200
        eventually(
            lambda: (
                metric(running, "freehold_traces_lost_total") + metric(running, "freehold_traces_dropped") > 0
            )
        )
        assert post(running, QUESTION)[0] == 200


def test_a_store_that_is_full_does_not_stop_traffic_and_is_counted(upstream, tmp_path):
    with gateway(upstream, tmp_path, capture_queue=10) as running:
        post(running, QUESTION)
        eventually(lambda: len(traces_of(running)) == 1)
        recorder = processes(running, "recorder")[0]
        # No file of the recorder may grow any more, as on a full disk.
        largest = max(part.stat().st_size for part in tmp_path.glob("freehold.sqlite3*"))
        resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        long = {"model": "m", "messages": [{"role": "user", "content": os.urandom(40_000).hex()}]}
        assert [post(running, long)[0] for _ in range(40)] == [200] * 40
        eventually(
            lambda: (
                metric(running, "freehold_traces_lost_total") + metric(running, "freehold_traces_dropped") > 0
            ),
            timeout_s=20,
        )
        resource.prlimit(
            recorder.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        known = len(traces_of(running))
        post(running, QUESTION)
        eventually(lambda: len(traces_of(running)) > known, timeout_s=20)


def test_an_upstream_that_is_down_is_a_502_then_a_pause(upstream, tmp_path):
    dead = Endpoint(name="dead", engine="remote", base_url=f"http://127.0.0.1:{free_port()}")
    with gateway(
        upstream, tmp_path, endpoints=(dead,), retries=0, breaker_failures=2, breaker_pause_s=1
    ) as running:
        errors = [json.loads(post(running, QUESTION)[2])["error"] for _ in range(3)]
        assert "cannot be reached" in errors[0]["message"] and "given a pause" in errors[2]["message"]
        assert {error["code"] for error in errors} == {"upstream_unreachable"}
        assert str(dead.base_url) not in str(errors), "addresses of the inside stay inside"
        time.sleep(1.1)
        assert "cannot be reached" in json.loads(post(running, QUESTION)[2])["error"]["message"]


def test_an_upstream_that_never_answers_is_a_504(upstream, tmp_path):
    upstream.answer = lambda seen: plain(ANSWER, delay=30)
    with gateway(upstream, tmp_path, read_timeout_s=0.5) as running:
        status, _, body = post(running, QUESTION)
        assert (status, json.loads(body)["error"]["code"]) == (504, "upstream_timeout")


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(upstream, tmp_path):
    with gateway(upstream, tmp_path, max_body_bytes=1_000_000) as running:
        assert post(running, b'{"model":"m","x":"' + b"y" * 900_000 + b'"}')[0] == 200
        with socket.create_connection(("127.0.0.1", running.config.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
            )
            assert b"413" in client.recv(4096)
        with socket.create_connection(("127.0.0.1", running.config.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            piece = b"%x\r\n%b\r\n" % (300_000, b"z" * 300_000)
            try:
                for _ in range(5):
                    client.sendall(piece)
            except OSError:
                pass
            assert b"413" in client.recv(4096)
        assert post(running, QUESTION)[0] == 200


def test_a_hundred_megabytes_pass(upstream, tmp_path):
    with gateway(upstream, tmp_path, max_body_bytes=200_000_000) as running:
        body = b'{"model":"m","x":"' + b"y" * 100_000_000 + b'"}'
        assert post(running, body, timeout=60)[0] == 200
        assert len(upstream.seen[0].body) == len(body)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\n" + b"x-a: b\r\n" * 5000 + b"\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nx: " + b"y" * 300_000 + b"\r\n\r\n",
        b"\x00\xff nonsense\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_malformed_requests_end_their_connection_only(shared, upstream, sent):
    with socket.create_connection(("127.0.0.1", shared.config.port), timeout=5) as client:
        try:
            client.sendall(sent)
            answer = client.recv(4096)
        except OSError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert post(shared, QUESTION)[0] == 200


def test_slow_headers_do_not_hold_up_others(shared, upstream):
    slow = [socket.create_connection(("127.0.0.1", shared.config.port)) for _ in range(100)]
    for client in slow:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nx-slow: ")
    started = time.monotonic()
    assert post(shared, QUESTION)[0] == 200 and time.monotonic() - started < 10
    for client in slow:
        client.close()


def test_malformed_events_pass_as_they_are(shared, upstream):
    upstream.answer = lambda seen: stream([b"data: {nonsense\n\n", b"garbage\n\n", b"data: [DONE]\n\n"])
    _, _, body = post(shared, {**QUESTION, "stream": True})
    assert body == b"data: {nonsense\n\ngarbage\n\ndata: [DONE]\n\n"


def test_running_streams_finish_when_the_gateway_stops(upstream, tmp_path):
    upstream.answer = lambda seen: stream(stream_of(*"abcdefghij"), pause=0.1)
    with gateway(upstream, tmp_path) as running:
        bodies = []
        asking = threading.Thread(
            target=lambda: bodies.append(post(running, {**QUESTION, "stream": True})[2])
        )
        asking.start()
        eventually(lambda: upstream.seen)
        time.sleep(0.2)
        os.kill(running.process.pid, signal.SIGTERM)
        asking.join()
        assert bodies[0].endswith(b"data: [DONE]\n\n")
        assert running.process.wait(15) == 0
    assert traces_of(running)[0].completeness == "complete", "and its trace was still written"


def test_workers_end_when_the_main_process_is_killed(upstream, tmp_path):
    with gateway(upstream, tmp_path) as running:
        family = psutil.Process(running.process.pid).children(recursive=True)
        running.process.kill()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive


def test_what_is_wrong_before_the_start(upstream, tmp_path, monkeypatch):
    endpoint = Endpoint(name="a", engine="remote", base_url=upstream.base_url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use") as error:
            start(GatewayConfig(endpoints=(endpoint,), port=port))
        assert f"--port {port + 1}" in error.value.hint
    with pytest.raises(ConfigError, match="at least one endpoint"):
        start(GatewayConfig(endpoints=()))
    secret = Endpoint(
        name="a", engine="remote", base_url=upstream.base_url, api_key_env="FREEHOLD_TEST_NO_KEY"
    )
    monkeypatch.delenv("FREEHOLD_TEST_NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="FREEHOLD_TEST_NO_KEY, which is not set"):
        start(GatewayConfig(endpoints=(secret,), port=free_port()))
    (tmp_path / "broken.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        start(
            GatewayConfig(
                endpoints=(endpoint,), port=free_port(), store_url=f"sqlite:///{tmp_path}/broken.sqlite3"
            )
        )


def test_the_gateway_ends_when_its_parent_is_killed(tmp_path):
    port = free_port("127.0.0.1")
    code = (
        "import time\n"
        "from freehold.gateway import serve\n"
        "from freehold.gateway.config import GatewayConfig\n"
        "from freehold.types.endpoint import Endpoint\n"
        "nowhere = Endpoint(name='x', engine='remote', base_url='http://127.0.0.1:9')\n"
        f"running = serve.start(GatewayConfig(endpoints=(nowhere,), port={port}))\n"
        "print(running.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        gateway = psutil.Process(int(parent.stdout.readline()))
    family = [gateway, *gateway.children(recursive=True)]
    assert len(family) > 1
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, alive


def test_renewed_workers_take_over_without_a_lost_request(upstream, tmp_path):
    upstream.answer = lambda seen: (
        stream(stream_of(*"abcdefghij"), pause=0.4) if seen.json.get("stream") else plain(ANSWER)
    )
    with gateway(upstream, tmp_path, workers=2) as running:
        first = {one.pid for one in processes(running, "worker")}
        bodies, outcomes, done = [], [], threading.Event()
        long = threading.Thread(target=lambda: bodies.append(post(running, {**QUESTION, "stream": True})[2]))

        def ask():
            while not done.is_set():
                outcomes.append(post(running, QUESTION)[0])

        asking = threading.Thread(target=ask)
        long.start()
        eventually(lambda: upstream.seen)
        asking.start()
        running.renew()

        def workers():
            return {one.pid for one in processes(running, "worker")}

        eventually(lambda: workers() and not workers() & first, timeout_s=30)
        long.join()
        done.set()
        asking.join()
        assert bodies[0].endswith(b"data: [DONE]\n\n"), "what ran went on to its end"
        assert len(outcomes) > 5 and set(outcomes) == {200}
        eventually(lambda: len(traces_of(running)) == len(outcomes) + 1, timeout_s=10)
        # The other worker's numbers come a second later.
        eventually(lambda: metric(running, "freehold_requests_total") == len(outcomes) + 1)
