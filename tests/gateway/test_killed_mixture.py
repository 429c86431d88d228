"""Candidate, incumbent and recorder are killed in the middle of deferred traffic: everybody is answered or told."""

import concurrent.futures
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.gateway.asking import metric, post
from tests.gateway.loopback import eventually, gateway, processes, traces_of
from tests.gateway.proxy.mixtures import mixed, own, rule_for

from freehold.processes import claim_port
from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process

REQUESTS, CLIENTS = 240, 6


class Answering:
    """An endpoint that can be killed, and comes back at the same address."""

    def __init__(self, name):
        self.name, self.port = name, claim_port()
        self.start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        script = Path(__file__).with_name("answering.py")
        self.process = subprocess.Popen([sys.executable, script, str(self.port), self.name])

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def endpoints():
    both = Answering("incumbent"), Answering("candidate")
    yield both
    for one in both:
        one.kill()


def ask(running, number):
    """One client's request; what it was told, and the id of its trace."""
    streamed = number % 3 == 0
    body = {"model": "mix", "stream": streamed, "messages": [{"role": "user", "content": str(number)}]}
    status, headers, data = post(running, body, timeout=30)
    assert b"rejected" not in data and b"rejected" not in str(headers.items()).encode()
    trace_id = headers.get("x-freehold-trace-id")
    if status >= 400:
        assert json.loads(data)["error"]["message"]
        return "told", trace_id
    if not streamed:
        assert json.loads(data)["choices"][0]["message"]["content"].endswith(f"says {number}")
        return "answered", trace_id
    if b"[DONE]" in data:
        return "answered", trace_id
    assert b'"error"' in data, "a stream that broke off says so"
    return "told", trace_id


def kill_in_turn(running, incumbent, candidate, drawn, over):
    """Kill one after another until the traffic is over; what was killed comes back."""
    killed = []
    turns = [candidate, incumbent, "recorder"]
    while not over():
        victim = turns[len(killed) % 3]
        time.sleep(drawn.uniform(0.1, 0.4))
        killed.append(getattr(victim, "name", victim))
        if victim == "recorder":
            with contextlib.suppress(ProcessLookupError):
                for process in processes(running, "recorder"):
                    os.kill(process.pid, signal.SIGKILL)
            continue
        victim.kill()
        time.sleep(drawn.uniform(0.1, 0.4))
        victim.start()
    return killed


@pytest.mark.parametrize("seed", [1])
def test_everybody_is_answered_or_told_and_every_decision_is_counted(endpoints, tmp_path, seed):
    incumbent, candidate = endpoints
    one = own("candidate", candidate.base_url)
    rented = Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=incumbent.base_url)
    config = {
        "endpoints": (rented, one),
        "routes": (mixed("mix", one, rule_for(one)),),
        "breaker_pause_s": 0.5,
    }
    with gateway(incumbent, tmp_path, **config) as running:
        eventually(lambda: ask(running, 1)[0] == ask(running, 2)[0] == "answered")
        before = metric(running, "freehold_deferrals_total")
        with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
            asked = [pool.submit(paced, running, number) for number in range(REQUESTS)]
            over = lambda: all(one.done() for one in asked)  # noqa: E731
            killed = kill_in_turn(running, incumbent, candidate, random.Random(seed), over)
            found = [one.result() for one in asked]
        assert set(killed) == {"candidate", "incumbent", "recorder"}
        assert sum(outcome == "answered" for outcome, _ in found) > 10, "there was traffic"
        eventually(lambda: metric(running, "freehold_deferrals_total") == before + REQUESTS)
        kept = {trace_id for _, trace_id in found if trace_id is not None}
        traces = eventually(lambda: _with(traces_of(running), kept), timeout_s=60)
        assert all(trace.deferral is not None for trace in traces)
        for trace in traces:
            answered_by = "candidate" if trace.deferral.by == "candidate" else "incumbent"
            assert trace.endpoint == answered_by


def paced(running, number):
    time.sleep(0.03)
    return ask(running, number)


def _with(traces, wanted):
    found = [trace for trace in traces if trace.id in wanted]
    return found if len(found) == len(wanted) else None
