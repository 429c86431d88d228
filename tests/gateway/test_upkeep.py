"""What a worker does besides answering."""

import asyncio
import json

import msgspec
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import (
    FakeUpstream,
    eventually,
    gateway,
)

from freehold.gateway import upkeep
from freehold.gateway.capture.frames import USE
from freehold.gateway.config import CONFIG_FILE, GatewayConfig, to_json
from freehold.gateway.messages import UsageReport
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.telemetry.meters import read_all
from freehold.gateway.telemetry.request_log import RequestSummary
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Limits

pytestmark = pytest.mark.process


def test_an_endpoint_that_was_away_gets_its_requests_back_before_its_pause_is_over(
    upstream, tmp_path, monkeypatch
):
    away = FakeUpstream()
    away.close()
    endpoint = Endpoint(name="away", engine="remote", models=ANY_SERVED, base_url=away.base_url)
    options = {"endpoints": (endpoint,), "retries": 0, "breaker_failures": 1, "breaker_pause_s": 600}
    with gateway(upstream, tmp_path, **options) as running:
        assert [post(running, QUESTION)[0] for _ in range(3)] == [502, 502, 502]
        monkeypatch.setattr("tests.gateway.loopback.free_port", lambda: away.port)
        back = FakeUpstream()
        try:
            eventually(lambda: post(running, QUESTION)[0] == 200)
            assert [seen.path for seen in back.seen] == ["/v1/chat/completions"]
        finally:
            back.close()


@pytest.fixture
def worked(tmp_path):
    """Run an async function of a worker's state while its upkeep runs."""

    def run(scenario, **changes):
        endpoint = Endpoint(name="first", engine="remote", base_url="http://127.0.0.1:9")

        async def main():
            state = WorkerState(GatewayConfig(endpoints=(endpoint,), **changes), tmp_path)
            async with upkeep.upkeep(state):
                await asyncio.wait_for(scenario(state), 20)
            return state

        return asyncio.run(main())

    return run


async def until(claim):
    while not claim():
        await asyncio.sleep(0.02)


def configured(tmp_path, *names):
    endpoints = tuple(Endpoint(name=name, engine="remote", base_url="http://127.0.0.1:9") for name in names)
    (tmp_path / "new").write_bytes(to_json(GatewayConfig(endpoints=endpoints)))
    (tmp_path / "new").replace(tmp_path / CONFIG_FILE)


def test_a_new_configuration_is_taken_over(worked, tmp_path):
    async def scenario(state):
        assert set(state.table.endpoints) == {"first"}
        configured(tmp_path, "first", "second")
        await until(lambda: set(state.table.endpoints) == {"first", "second"})

    worked(scenario)


def test_a_worker_that_starts_late_has_the_present_configuration_at_once(worked, tmp_path):
    configured(tmp_path, "second")

    async def scenario(state):
        assert set(state.table.endpoints) == {"second"}

    worked(scenario)


def test_numbers_are_written_while_it_runs_and_at_the_end(worked, tmp_path):
    async def scenario(state):
        state.meters.count("freehold_retries", "first")
        await until(lambda: read_all(tmp_path))
        state.meters.count("freehold_retries", "first")

    worked(scenario)
    assert read_all(tmp_path)[0].counters["freehold_retries"] == [(("first",), 2.0)]


def test_requests_are_exported_while_it_runs_and_at_the_end(worked, capsys):
    def summary(number):
        more = {"api": "openai", "kind": "chat", "path": "/", "model": "m", "status": 200, "total_ms": 1.0}
        return RequestSummary(id=str(number), at_ms=number, **more)

    async def scenario(state):
        state.reporter.add(summary(1))
        await until(lambda: not state.reporter._waiting)
        state.reporter.add(summary(2))

    worked(scenario, log_requests=True)
    ids = [json.loads(line)["id"] for line in capsys.readouterr().err.splitlines()]
    assert ids == ["1", "2"]


class Connected:
    """A connection to a recorder that takes everything at once."""

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        pass

    def close(self):
        pass


def test_usage_is_reported_to_the_recorder(worked, tmp_path):
    async def scenario(state):
        sent = []
        state.recorder._transport = Connected()
        state.recorder.send = lambda tag, payload: sent.append((tag, payload))
        (await state.limiter.admit([("key:a", Limits(requests_per_minute=9))]))()
        await until(lambda: sent)
        await asyncio.sleep(0.6)
        assert len(sent) == 1 and sent[0][0] == USE, "nothing is reported twice"
        assert msgspec.msgpack.decode(sent[0][1], type=UsageReport).use == {"key:a": (1, 0)}

    worked(scenario, store_url=f"sqlite:///{tmp_path}/x.sqlite3")
