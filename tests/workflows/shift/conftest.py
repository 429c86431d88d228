"""A store of its own for each test about shifting traffic."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.gateway.loopback import _upstream, upstream  # noqa: F401

from freehold.gateway.serve import free_port


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def hook(monkeypatch):
    """A webhook that keeps what it is sent; returns it and the status it answers with, which may be changed."""
    bodies, answer = [], {"status": 204}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("ALARM_URL", f"http://127.0.0.1:{server.server_port}/secret")
    yield bodies, answer
    server.shutdown()
    thread.join()
    server.server_close()
