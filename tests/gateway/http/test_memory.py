"""The budget of bytes: who gets room, who loses it, and that a real worker returns what it held."""

import asyncio
import concurrent.futures
import json
import select
import socket
import threading
import time

import pytest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, processes

pytestmark = pytest.mark.process

MIB = 1024 * 1024


def upload(port, size, sent, *, path="/v1/chat/completions"):
    """The beginning of an upload: a body of `size` bytes, of which `sent` come."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(
        b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (path.encode(), size)
    )
    try:
        for _ in range(sent // MIB):
            client.sendall(b"x" * MIB)
    except OSError:
        pass  # it was refused meanwhile
    return client


@pytest.fixture(scope="module")
def tight(_upstream, tmp_path_factory):
    """A gateway with room for 32 MiB."""
    folder = tmp_path_factory.mktemp("tight")
    with gateway(_upstream, folder, capture="off", body_memory_bytes=32 * MIB) as running:
        yield running


def test_many_uploads_at_once_stay_within_the_budget_and_leave_nothing(tight, upstream):
    worker = processes(tight, "worker")[0]
    assert post(tight, QUESTION)[0] == 200
    start = worker.memory_info().rss
    most, done = start, threading.Event()

    def watch():
        nonlocal most
        while not done.is_set():
            most = max(most, worker.memory_info().rss)
            time.sleep(0.01)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        clients = [upload(tight.config.port, 10 * MIB, 9 * MIB) for _ in range(30)]
        # Two of them hold what large bodies may; ordinary requests have room all the same.
        assert post(tight, QUESTION)[0] == 200
        for client in clients:
            client.close()
        eventually(lambda: worker.memory_info().rss < start * 1.1)
    finally:
        done.set()
        watching.join()
    assert most - start < 64 * MIB


def test_an_upload_that_finds_no_room_is_told_so_in_the_words_of_its_api(tight, upstream):
    answered = threading.Event()

    def answer_late(seen):
        async def respond(request):
            await asyncio.to_thread(answered.wait, 60)
            return await plain(ANSWER)(request)

        return respond

    upstream.answer = answer_late
    # Whole, and so not to be evicted while they are answered.
    large = json.dumps({**QUESTION, "more": "x" * (10 * MIB)}).encode()
    body = json.dumps({**QUESTION, "more": "x" * (5 * MIB)}).encode()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        try:
            holders = [pool.submit(post, tight, large, timeout=60) for _ in range(2)]
            eventually(lambda: len(upstream.seen) == 2)
            answers = {}
            for path in ("/v1/chat/completions", "/v1/messages"):
                status, headers, said = post(tight, body, path=path)
                answers[path] = json.loads(said)
                assert status == 503 and int(headers["retry-after"]) >= 1
        finally:
            answered.set()
        assert [holder.result()[0] for holder in holders] == [200, 200]
    assert answers["/v1/chat/completions"]["error"]["code"] == "over_capacity"
    assert answers["/v1/messages"]["error"]["type"] == "overloaded_error"
    eventually(lambda: post(tight, body)[0] == 200)


def test_a_stalled_upload_makes_room_for_one_that_is_sent(tight, upstream):
    holders = [upload(tight.config.port, 10 * MIB, MIB) for _ in range(2)]
    body = json.dumps({**QUESTION, "more": "x" * (5 * MIB)}).encode()
    eventually(lambda: post(tight, body)[0] == 200)
    eventually(lambda: metric(tight, "freehold_uploads_evicted_total") >= 1)
    # The one that made room is told so.
    told, _, _ = select.select(holders, [], [], 10)
    assert told[0].recv(12) == b"HTTP/1.1 503"
    for holder in holders:
        holder.close()


def test_a_body_that_never_finds_room_is_refused_for_good(tight):
    status, _, said = post(tight, b"x" * (25 * MIB))
    assert status == 413 and b"at most" in said
