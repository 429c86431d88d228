"""Starting, renewing and stopping a gateway."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import FakeUpstream, eventually, gateway, stream, stream_of, traces_of

from freehold.errors import ConfigError, PortInUseError, StoreError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import start, started
from freehold.processes import claim_port
from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process


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
    for host, why in (("192.0.2.1", "Cannot assign"), ("\u202e", "not the name of a host")):
        with pytest.raises(ConfigError, match=f"cannot listen on {host}.*{why}"):
            start(GatewayConfig(endpoints=(endpoint,), host=host, port=port))
    with pytest.raises(ConfigError, match="at least one endpoint"):
        start(GatewayConfig(endpoints=()))
    secret = Endpoint(
        name="a", engine="remote", base_url=upstream.base_url, api_key_env="FREEHOLD_TEST_NO_KEY"
    )
    monkeypatch.delenv("FREEHOLD_TEST_NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="FREEHOLD_TEST_NO_KEY, which is not set"):
        start(GatewayConfig(endpoints=(secret,), port=claim_port()))
    known = GatewayConfig(endpoints=(secret,), without_key=(secret.name,), port=claim_port())
    with started(known) as running, urllib.request.urlopen(f"{running.base_url}/ready", timeout=10) as answer:
        assert b'"ready"' in answer.read(), "the process is; that nothing answers the route is a metric"
    (tmp_path / "broken.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        start(
            GatewayConfig(
                endpoints=(endpoint,), port=claim_port(), store_url=f"sqlite:///{tmp_path}/broken.sqlite3"
            )
        )


def test_the_gateway_ends_when_its_parent_is_killed(tmp_path):
    port = claim_port()
    code = (
        "import time\n"
        "from freehold.gateway import serve\n"
        "from freehold.gateway.config import GatewayConfig\n"
        "from freehold.types.endpoint import ANY_SERVED, Endpoint\n"
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


def test_an_endpoint_that_was_away_gets_its_requests_back_before_its_pause_is_over(
    upstream, tmp_path, monkeypatch
):
    away = FakeUpstream()
    away.close()
    endpoint = Endpoint(name="away", engine="remote", models=ANY_SERVED, base_url=away.base_url)
    options = {"endpoints": (endpoint,), "retries": 0, "breaker_failures": 1, "breaker_pause_s": 600}
    with gateway(upstream, tmp_path, **options) as running:
        answers = [post(running, QUESTION) for _ in range(3)]
        assert [status for status, _, _ in answers] == [502, 502, 502]
        assert away.base_url.encode() not in b"".join(body for *_, body in answers), "the inside stays inside"
        monkeypatch.setattr("tests.gateway.loopback.claim_port", lambda: away.port)
        back = FakeUpstream()
        try:
            eventually(lambda: post(running, QUESTION)[0] == 200)
            assert [seen.path for seen in back.seen] == ["/v1/chat/completions"]
        finally:
            back.close()
