"""What a worker holds, and how it changes while the gateway runs."""

import asyncio

import msgspec
import pytest

from freehold.gateway.capture.frames import ACK, TABLE, TOTALS
from freehold.gateway.config import ApiKey, GatewayConfig
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.messages import TableMessage, UsageTotals
from freehold.gateway.proxy.state import WorkerState, merged_routes
from freehold.gateway.telemetry.meters import read_all
from freehold.types.endpoint import Endpoint
from freehold.types.route import Limits, Route, Target
from freehold.wire.errors import ApiError


def endpoint(name):
    return Endpoint(name=name, engine="remote", base_url="http://127.0.0.1:9")


def route(name, target="incumbent", **changes):
    return Route(name=name, model=name, incumbent=Target(endpoint=target), **changes)


def config(**changes):
    return GatewayConfig(endpoints=(endpoint("incumbent"),), **changes)


@pytest.fixture
def with_state(tmp_path):
    """Run a function of a worker's state in a loop."""

    def run(scenario, **changes):
        async def main():
            state = WorkerState(config(**changes), tmp_path)
            try:
                scenario(state)
            finally:
                await state.upstreams.close()

        asyncio.run(main())

    return run


def test_the_stores_routes_take_the_place_of_the_configurations():
    configured = config(routes=(route("a"), route("b")))
    changed = msgspec.structs.replace(route("a"), revision=3)
    assert merged_routes(configured, [changed, route("c")]) == [changed, route("c"), route("b")]
    assert merged_routes(configured, [route("a", "gone")]) == [route("b")], (
        "it is not undone by the configuration"
    )


def test_a_table_from_the_recorder_replaces_routes_and_keys(with_state):
    def scenario(state):
        assert state.table.find("new", {}.get, None) is None
        message = TableMessage(routes=(route("new"),), keys=(ApiKey(name="later", hash=hash_of("fh-2")),))
        state._on_message(TABLE, msgspec.json.encode(message))
        assert state.table.find("new", {}.get, None).name == "new"
        assert state.keys.check("Bearer fh-2", None).name == "later"
        assert state.keys.check(None, "fh-1").name == "first", "those of the configuration stay"

    with_state(scenario, api_keys=(ApiKey(name="first", hash=hash_of("fh-1")),))


def test_totals_from_the_recorder_reach_the_limiter(with_state):
    def scenario(state):
        totals = UsageTotals(day="", gateways=2, rank=0)
        state._on_message(TOTALS, msgspec.msgpack.encode(totals))
        state._on_message(ACK, b"anything")

        async def refused():
            await state.limiter.admit([("route:r", Limits(concurrency=2))])
            await state.limiter.admit([("route:r", Limits(concurrency=2))])

        with pytest.raises(ApiError, match="2 requests running"):
            refused().send(None)

    with_state(scenario)


def test_a_new_configuration_brings_its_endpoints_and_keeps_the_stores_routes(with_state):
    def scenario(state):
        state._on_message(TABLE, msgspec.json.encode(TableMessage(routes=(route("kept", "later"),))))
        assert state.table.find("kept", {}.get, None) is None, "its endpoint is not there yet"
        both = GatewayConfig(endpoints=(endpoint("incumbent"), endpoint("later")))
        state.update_config(both)
        assert set(state.table.endpoints) == {"incumbent", "later"} and state.config == both
        assert state.table.find("kept", {}.get, None).name == "kept"

    with_state(scenario)


def test_breakers_are_one_for_an_endpoint_and_say_which_cannot_be_reached(with_state):
    def scenario(state):
        breaker = state.breaker("incumbent")
        assert state.breaker("incumbent") is breaker and state.unreachable() == []
        breaker.record_failure(1.0, reached=False)
        state.breaker("other").record_failure(1.0)
        assert state.unreachable() == ["incumbent"]

    with_state(scenario, breaker_failures=1)


def test_numbers_are_left_in_the_run_folder_and_a_full_disk_is_no_matter(with_state, tmp_path, monkeypatch):
    def scenario(state):
        for _ in range(3):
            state.recorder.spool.drop(0)
        state.reporter.dropped = 2
        state.write_meters()
        (snapshot,) = read_all(tmp_path)
        assert snapshot.counters["freehold_traces_dropped"] == [
            (("queue",), 3.0),
            (("disk",), 0.0),
            (("size",), 0.0),
            (("memory",), 0.0),
        ]
        assert snapshot.counters["freehold_requests_untold"] == [((), 2.0)]

        def full(*_):
            raise OSError("no space left on device")

        monkeypatch.setattr("freehold.files.write", full)
        state.write_meters()

    with_state(scenario, store_url=f"sqlite:///{tmp_path}/x.sqlite3", log_requests=True)
