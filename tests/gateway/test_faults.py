"""What goes wrong around a gateway, and that traffic goes on."""

import os
import resource
import socket
import sqlite3
import time

import pytest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, processes, traces_of

pytestmark = pytest.mark.process


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


def test_what_is_too_long_to_be_kept_is_answered_and_counted(upstream, tmp_path):
    with gateway(upstream, tmp_path, body_memory_bytes=64 * 1024 * 1024) as running:
        long = {**QUESTION, "user": "x" * (9 << 20)}
        assert post(running, long)[0] == 200
        upstream.answer = lambda seen: plain({**ANSWER, "id": "x" * (9 << 20)})
        assert post(running, QUESTION)[0] == 200
        eventually(lambda: metric(running, 'freehold_traces_dropped_total{why="size"}') == 2)
        upstream.answer = lambda seen: plain(ANSWER)
        assert post(running, QUESTION)[0] == 200
        eventually(lambda: len(traces_of(running)) == 1)


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


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(upstream, tmp_path):
    with gateway(upstream, tmp_path, max_body_bytes=1_000_000) as running:
        assert post(running, b'{"model":"m","x":"' + b"y" * 900_000 + b'"}')[0] == 200
        with socket.create_connection(("127.0.0.1", running.config.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n"
            )
            assert b"413" in client.recv(4096)
        with socket.create_connection(("127.0.0.1", running.config.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
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
        b"POST /v1/models HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
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
