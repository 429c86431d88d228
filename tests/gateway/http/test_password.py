"""What lies behind a password in an address: the same promises hold."""

import contextlib
import json
import socketserver
import threading

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, gateway

from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process


def behind_a_password(port):
    return Endpoint(
        name="far", engine="remote", models=ANY_SERVED, base_url=f"http://me:secret@127.0.0.1:{port}"
    )


class Odd(socketserver.StreamRequestHandler):
    """Answers every request with the same bytes, and says no more."""

    def handle(self):
        length = 0
        while line := self.rfile.readline():
            if line.lower().startswith(b"content-length: "):
                length = int(line[16:])
            if line == b"\r\n":
                self.rfile.read(length)
                self.wfile.write(self.server.answer)


@contextlib.contextmanager
def odd_upstream():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Odd) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def test_odd_answers_are_errors_or_cost_nothing(upstream, tmp_path):
    """A switch of protocols that nobody asked for, passed on, would make a client take all that follows on its
    connection for another protocol; a header of other bytes than ASCII passes as it came."""
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    with odd_upstream() as odd:
        odd.answer, one = switch, behind_a_password(odd.server_address[1])
        changes = {"endpoints": (one,), "others_to": "far", "retries": 0, "breaker_failures": 99}
        with gateway(upstream, tmp_path, **changes) as running:
            for path in ("/v1/chat/completions", "/v1/messages", "/v1/files"):
                asked = {**QUESTION, "max_tokens": 5}
                assert post(running, asked, path=path)[0] == 502
            data = json.dumps(ANSWER).encode()
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-name: M\xc3\xbcller\r\nx-kept: yes\r\n"
            odd.answer = head + b"content-length: %d\r\n\r\n%b" % (len(data), data)
            for path in ("/v1/chat/completions", "/v1/files"):
                status, headers, body = post(running, QUESTION, path=path)
                assert (status, body, headers["x-kept"]) == (200, data, "yes")
                assert headers["x-name"].encode("latin-1") == b"M\xc3\xbcller"
