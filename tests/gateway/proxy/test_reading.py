"""Long bodies are read in a process with limits, with the same result as on the loop."""

import asyncio
import threading
import time

import pytest
from tests.gateway.asking import get, post
from tests.gateway.loopback import gateway, trace_of

from freehold.gateway.proxy import reading
from freehold.gateway.proxy.reading import BodyReader
from freehold.types.route import Route, Target
from freehold.wire.errors import ApiError

pytestmark = pytest.mark.process

MIB = 1024 * 1024
DOORS = {
    "/v1/chat/completions": "messages",
    "/v1/responses": "input",
    "/v1/messages": "messages",
    "/api/chat": "messages",
}


def done(step, how, *parts):
    async def main():
        reader = BodyReader()
        try:
            return await reader.do(step, how, *parts)
        finally:
            reader.close()

    return asyncio.run(main())


def test_what_takes_too_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "_MEMORY_BYTES", 400 * MIB)
    with pytest.raises(ApiError) as caught:
        done("read", "/api/chat", b'{"model":"m","messages":[' + b"{}," * (3 * MIB) + b"{}]}")
    assert (caught.value.status, caught.value.code) == (413, "request_too_complex")


@pytest.fixture(scope="module")
def sticky(_upstream, tmp_path_factory):
    """A gateway whose route keeps conversations on one arm, which has to know how they begin."""
    route = Route(
        name="app",
        model="*",
        incumbent=Target(endpoint="incumbent", model="other"),
        candidate=Target(endpoint="incumbent", model="small"),
        state="canary",
        canary_share=0.5,
        sticky="conversation",
    )
    with gateway(_upstream, tmp_path_factory.mktemp("sticky"), routes=(route,)) as running:
        yield running


@pytest.mark.parametrize("path", DOORS)
def test_a_hostile_body_stops_nobody_else(sticky, upstream, path):
    key = DOORS[path].encode()
    body = b'{"model":"m","%b":[' % key + b"1," * (4 * MIB) + b"1]}"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(post(sticky, body, path=path, timeout=60)[0]))
    asking.start()
    slowest = 0.0
    while asking.is_alive():
        started = time.monotonic()
        get(sticky, "/health")
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.005)
    # Any second this took would be one for every client; the bound has room for a busy machine.
    assert slowest < 1.0 and answers[0] in (200, 400, 413, 503)


def test_a_long_honest_request_arrives_whole_and_is_kept(sticky, upstream):
    body = {"model": "m", "messages": [{"role": "user", "content": "ä" * (MIB // 2)}], "user": "u-1"}
    status, headers, _ = post(sticky, body)
    assert status == 200
    (seen,) = upstream.seen
    assert seen.json["messages"] == body["messages"] and seen.json["model"] in ("other", "small")
    trace = trace_of(sticky, headers["x-freehold-trace-id"])
    assert trace.request["messages"] == body["messages"] and trace.user == "u-1"
