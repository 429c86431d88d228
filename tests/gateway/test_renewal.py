"""Renewed workers (SIGUSR2): no request is lost, whatever a client does with its connections."""

import contextlib
import os
import signal
import ssl
import time

import pytest
from benchmarks.gateway import renewals
from tests.gateway.http.sockets import ask, raw, read_answer
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, processes, stream, stream_of

from freehold.gateway.deadlines import HEAD_WITHIN_S

pytestmark = pytest.mark.process

STREAMED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": True}


@pytest.fixture(scope="module")
def renewing(_upstream, tmp_path_factory):
    """A gateway for all tests that leave it running."""
    with gateway(_upstream, tmp_path_factory.mktemp("renewing"), workers=2, capture="off") as running:
        yield running


def workers(running):
    return {one.pid for one in processes(running, "worker")}


def begin_renewal(running):
    """Renew; the workers there were."""
    before = workers(running)
    running.renew()
    return before


def gone(running, before):
    """Wait until only new workers are there."""
    eventually(lambda: (now := workers(running)) and not now & before, timeout_s=40)


def come(running, before):
    eventually(lambda: workers(running) - before, timeout_s=40)


@contextlib.contextmanager
def connected(running):
    """A connection, and the file that its answers are read from, which holds it open as well."""
    with raw(running) as client, client.makefile("rb") as file:
        # A machine with much else to do may take long to answer.
        client.settimeout(30)
        yield client, file


def answered(asked, file, **more):
    asked.sendall(ask(**more))
    return read_answer(file)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("kind", ["used", "half a head", "never used"])
def test_each_connection_gets_an_answer_that_says_it_is_the_last(renewing, upstream, kind, version):
    asked = {"version": version, "more": "connection: keep-alive\r\n"}
    with connected(renewing) as (client, file):
        request = ask(**asked)
        if kind == "used":
            status, headers, _ = answered(client, file, **asked)
            assert status == 200 and headers.get("connection", "keep-alive") == "keep-alive"
        elif kind == "half a head":
            client.sendall(request[:30])
            time.sleep(0.2)
        begin_renewal(renewing)
        if kind == "half a head":
            time.sleep(1.5)
            request = request[30:]

        def is_told():
            nonlocal request
            client.sendall(request)
            status, headers, _ = read_answer(file)
            request = ask(**asked)
            assert status == 200
            return headers.get("connection") == "close"

        eventually(is_told, timeout_s=60)
        assert file.read() == b""
    with connected(renewing) as (client, file):
        assert answered(client, file)[0] == 200


def test_connections_that_are_opened_all_the_while_are_all_answered(renewing, upstream):
    """However slow the machine renews, workers that leave have just taken one."""
    with contextlib.ExitStack() as opened:
        clients, before = [], workers(renewing)
        renewing.renew()

        def opened_until_others_are_there():
            clients.append((time.monotonic(), opened.enter_context(raw(renewing))))
            return workers(renewing) - before

        eventually(opened_until_others_are_there, timeout_s=60)
        asked = 0
        for began_s, client in reversed(clients):
            if time.monotonic() - began_s > HEAD_WITHIN_S - 3:
                break
            with client.makefile("rb") as file:
                assert answered(client, file)[0] == 200
            asked += 1
        assert asked


def test_a_stream_ends_where_it_began_and_its_connection_takes_one_more_request(renewing, upstream):
    upstream.answer = lambda seen: (
        stream(stream_of(*"abcdef"), pause=0.3) if seen.json.get("stream") else plain(ANSWER)
    )
    with connected(renewing) as (client, file):
        client.sendall(ask(STREAMED))
        eventually(lambda: upstream.seen)
        before = begin_renewal(renewing)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += file.read1(65_536)
        assert received.count(b"data: ") == len(stream_of(*"abcdef"))
        come(renewing, before)
        assert answered(client, file)[0] == 200


def test_requests_sent_ahead_are_all_answered(renewing, upstream):
    upstream.answer = lambda seen: plain(ANSWER, delay=0.2)
    before = workers(renewing)
    with connected(renewing) as (client, file):
        client.sendall(ask() * 20)
        renewing.renew()
        for _ in range(20):
            assert read_answer(file)[0] == 200
    gone(renewing, before)


def test_a_stop_while_workers_leave_ends_all_of_them(upstream, tmp_path):
    upstream.answer = lambda seen: stream(stream_of(*"abcdefghij"), pause=0.2)
    with gateway(upstream, tmp_path, workers=1, capture="off") as running, raw(running) as client:
        idle = raw(running)
        client.sendall(ask(STREAMED))
        eventually(lambda: upstream.seen)
        before = begin_renewal(running)
        come(running, before)
        os.kill(running.process.pid, signal.SIGTERM)
        received = b""
        while more := client.recv(65_536):
            received += more
        assert received.endswith(b"0\r\n\r\n"), "the stream in the leaving worker still ended"
        assert running.process.wait(15) == 0
        assert idle.recv(1) == b""
        idle.close()


def test_over_tls_a_client_may_be_silent_for_longer_than_answers_under_way_are_waited_for(
    upstream, tmp_path, monkeypatch
):
    monkeypatch.setenv("FREEHOLD_LOG", "info")  # says when a worker begins to leave
    files, ca = renewals.certificate(tmp_path)
    context = ssl.create_default_context(cafile=ca)
    with (
        gateway(upstream, tmp_path, workers=1, capture="off", tls=files, drain_s=0.5) as running,
        raw(running) as upstream_client,
        context.wrap_socket(upstream_client, server_hostname="localhost") as client,
        client.makefile("rb") as file,
    ):
        client.settimeout(30)
        status, headers, _ = answered(client, file)
        assert status == 200 and "connection" not in headers
        before = begin_renewal(running)
        come(running, before)
        told_to_leave = tmp_path / "gateway.log"
        eventually(lambda: told_to_leave.read_text().count("draining") == 1, timeout_s=40)
        time.sleep(2)
        assert workers(running) & before, "it waits for its client"
        status, headers, _ = answered(client, file)
        assert status == 200 and headers["connection"] == "close"
        assert file.read() == b""
        # Otherwise it is given half a minute to say that it is leaving, too.
        file.close()
        client.close()
        eventually(lambda: not workers(running) & before)


@pytest.mark.timeout(400)
def test_five_client_libraries_lose_no_request(tmp_path):
    """The small form of `python -m benchmarks.gateway.renewals`."""
    found = renewals.measured(tmp_path, renewals=3, requests=1_000, tasks=6, tls=True)
    assert not found["lost"], found
    assert found["renewals"] >= 3 and len(found["asked"]) == 5 and min(found["asked"].values()) > 50, found
    assert found["traces"] == found["whole"], found
