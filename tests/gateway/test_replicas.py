"""Gateways on one PostgreSQL: stateless beside it, so any number of them is one."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, plain, traces_of

from freehold.store import open_store
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route, Target

pytestmark = pytest.mark.postgres

ROUTE = Route(
    name="support", model="m", incumbent=Target(endpoint="incumbent"), candidate=Target(endpoint="candidate")
)


def test_two_gateways_share_routes_and_traces(upstream, database, tmp_path):
    other = FakeUpstream()
    other.answer = lambda seen: plain({**ANSWER, "model": "candidate"})
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url),
        Endpoint(name="candidate", engine="remote", base_url=other.base_url),
    )
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    shared = {"endpoints": endpoints, "routes": (ROUTE,), "store_url": database}
    try:
        with gateway(upstream, folders[0], **shared) as one, gateway(upstream, folders[1], **shared) as two:

            def models():
                return {
                    json.loads(post(running, QUESTION)[2])["model"]
                    for running in (one, two)
                    for _ in range(4)
                }

            assert models() == {"m"}
            with open_store(database) as store:
                store.save_route(
                    msgspec.structs.replace(ROUTE, state="promoted"), who="test", at=datetime.now(UTC)
                )
            # Changed once, followed by both; how soon is measured in test_control, on one gateway.
            eventually(lambda: models() == {"candidate"}, timeout_s=20)

            def answered(endpoint):
                return sum(trace.endpoint == endpoint for trace in traces_of(two))

            eventually(lambda: min(answered("incumbent"), answered("candidate")) >= 8, timeout_s=20)
            one.process.kill()
            one.process.wait()
            assert json.loads(post(two, QUESTION)[2])["model"] == "candidate", "one gone, the other goes on"
    finally:
        other.close()
