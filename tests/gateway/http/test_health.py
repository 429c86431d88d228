"""Health checks against a real upstream: what counts as an answer, and how often an endpoint is asked."""

import asyncio

import pytest
from tests.gateway.loopback import plain

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.health import HealthChecks
from freehold.gateway.http.upstreams import Upstreams
from freehold.gateway.serve import free_port
from freehold.types.endpoint import Endpoint


async def no_trouble(endpoint):
    return None


def checked(*endpoints, times=1, trouble=no_trouble):
    async def look():
        upstreams = Upstreams(GatewayConfig(endpoints=endpoints))
        checks = HealthChecks(upstreams, trouble)
        try:
            return (await asyncio.gather(*(checks.all(endpoints) for _ in range(times))))[-1]
        finally:
            await upstreams.close()

    return asyncio.run(look())


def remote(upstream, **more):
    return Endpoint(**{"name": "one", "engine": "remote", "base_url": upstream.base_url, **more})


def by_path(**statuses):
    """Each path's status by the last part of its name; 404 for others."""
    return lambda seen: plain({}, status=statuses.get(seen.path.rpartition("/")[2], 404))


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_one_that_lists_none_is_asked_nothing_at_the_path_of_its_api(upstream, api):
    upstream.answer = by_path(completions=400, messages=400)
    assert checked(remote(upstream, api=api))["one"].answers
    assert [seen.body for seen in upstream.seen] == [b"{}"]


def test_an_address_that_is_wrong_does_not_answer(upstream):
    upstream.answer = by_path()
    health = checked(remote(upstream))["one"]
    assert not health.answers and health.why == (
        "its address seems wrong: 404 at /v1/models and at /v1/chat/completions"
    )


@pytest.mark.parametrize(
    "status",
    [
        401,
    ],
)
def test_a_key_that_is_refused_is_a_fault_where_it_is_the_endpoints_own(upstream, monkeypatch, status):
    monkeypatch.setenv("HEALTH_KEY", "sk-old")
    upstream.answer = by_path(models=status)
    health = checked(remote(upstream, api_key_env="HEALTH_KEY"))["one"]
    assert health == (False, f"it refuses the key in HEALTH_KEY ({status})")
    assert checked(remote(upstream, forward_client_key=True))["one"].answers


def test_server_errors_a_closed_port_and_examples_that_are_gone_are_told(upstream):
    upstream.answer = by_path(models=503)
    assert checked(remote(upstream))["one"] == (False, "it answers with the status 503")
    gone = Endpoint(name="two", engine="llamacpp", base_url=f"http://127.0.0.1:{free_port()}")
    assert checked(gone)["two"] == (False, "endpoint two cannot be reached")

    async def no_index(endpoint):
        return "the index is gone"

    assert checked(remote(upstream), trouble=no_index)["one"] == (False, "the index is gone")
