"""The remote engine on an endpoint that speaks Anthropic's API, asked with Anthropic's own client.

The endpoint is a gateway with a key, which answers ``/v1/messages`` from the shipped fake: real HTTP, real keys.
"""

import os

import anthropic
import pytest

from freehold import engines
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.serve import started
from freehold.types.endpoint import ServePlan
from freehold.types.route import ApiKey

pytestmark = [pytest.mark.process, pytest.mark.anyio]

ASK = [{"role": "user", "content": "Where is my order?"}]


@pytest.fixture
async def far(tmp_path, unused_port, anyio_backend):
    """The address of an endpoint that wants the key ``right``."""
    plan = ServePlan(engine="echo", model="claude-local", context_tokens=64)
    async with engines.start(plan, log_dir=tmp_path, name="behind") as endpoint:
        keys = (ApiKey(name="me", hash=hash_of("right")),)
        config = GatewayConfig(
            endpoints=(endpoint,), port=unused_port, api_keys=keys, default_model="claude-local"
        )
        with started(config) as running:
            yield running.base_url


def plan(url):
    options = {"base_url": url, "api": "anthropic", "api_key_env": "FAR_KEY"}
    return ServePlan(engine="remote", model="claude-local", options=options)


async def test_it_keeps_the_contract_in_anthropics_words(far, tmp_path, monkeypatch):
    monkeypatch.setenv("FAR_KEY", "right")
    async with engines.start(plan(far), log_dir=tmp_path, name="far") as endpoint:
        assert (endpoint.api, endpoint.api_key_env, endpoint.served("claude-local").upstream_name) == (
            "anthropic",
            "FAR_KEY",
            "claude-local",
        )
        client = anthropic.AsyncAnthropic(
            base_url=endpoint.base_url, api_key=os.environ[endpoint.api_key_env], max_retries=0
        )
        async with client:
            answer = await client.messages.create(model="claude-local", max_tokens=20, messages=ASK)
            assert answer.content[0].text == "Where is my order?" and answer.stop_reason == "end_turn"
            assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
            cut = await client.messages.create(model="claude-local", max_tokens=2, messages=ASK)
            assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 2
            async with client.messages.stream(model="claude-local", max_tokens=20, messages=ASK) as stream:
                assert "".join([text async for text in stream.text_stream]) == answer.content[0].text
            long = [{"role": "user", "content": "one two three " * 200}]
            with pytest.raises(anthropic.BadRequestError, match="context"):
                await client.messages.create(model="claude-local", max_tokens=20, messages=long)
