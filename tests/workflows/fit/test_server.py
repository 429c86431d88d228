"""`freehold fit http://…` against a server that answers as vLLM does."""

import http.server
import json
import threading

import pytest

from freehold.errors import UpstreamError
from freehold.settings import load
from freehold.types.machine import Workload
from freehold.workflows.fit.fit import fit_model
from freehold.workflows.fit.server import read


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


METRICS = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",gpu_memory_utilization="0.92",num_gpu_blocks="28781"} 1.0
vllm:num_requests_running{engine="0",model_name="m"} 0.0
"""
LISTED = {"data": [{"id": "assistant", "root": "meta-llama/Llama-3.1-8B-Instruct", "max_model_len": 131072}]}


@pytest.fixture
def server():
    class Vllm(http.server.BaseHTTPRequestHandler):
        listed, metrics = LISTED, METRICS

        def log_message(self, *_):
            return

        def do_GET(self):
            data = json.dumps(self.listed) if self.path == "/v1/models" else self.metrics
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data.encode())))
            self.end_headers()
            self.wfile.write(data.encode())

    playing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vllm)
    thread = threading.Thread(target=playing.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{playing.server_address[1]}", Vllm
    playing.shutdown()
    playing.server_close()
    thread.join()


def test_a_running_server_is_read(server, settings):
    url, _ = server
    found = fit_model(url, workload=Workload(context_tokens=8192, concurrency=32), settings=settings)
    assert found.fits
    assert found.model == "assistant"
    assert found.largest_context_tokens == 28781 * 16 // 32
    assert any("460,496 tokens" in reason for reason in found.reasons)
    assert found.available_bytes == pytest.approx(56.21 * 2**30, rel=0.001)
    more = fit_model(f"{url}/v1", workload=Workload(context_tokens=8192, concurrency=64), settings=settings)
    assert not more.fits
    assert any("wait" in reason for reason in more.reasons)


def test_a_server_of_an_unknown_model_speaks_in_tokens(server, settings):
    url, kind = server
    kind.listed = {"data": [{"id": "secret", "max_model_len": 4096}]}
    found = fit_model(url, workload=Workload(context_tokens=8192), settings=settings)
    assert not found.fits
    assert found.parts == ()
    assert any("nothing is said in bytes" in reason for reason in found.reasons)


def test_a_server_that_does_not_say_is_an_error(server, settings):
    url, kind = server
    kind.metrics = ""
    with pytest.raises(UpstreamError, match="does not say how much"):
        fit_model(url, workload=Workload(), settings=settings)
    with pytest.raises(UpstreamError, match="does not answer"):
        fit_model("http://127.0.0.1:9", workload=Workload(), settings=settings)
    for odd in ({}, {"data": []}, {"data": ["x"]}, {"data": [{"id": 3}]}, []):
        with pytest.raises(UpstreamError, match="lists no model"):
            read("http://x", odd, METRICS)
