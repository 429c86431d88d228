"""How endpoints are reached, and what goes into and out of their headers."""

import asyncio

import pytest

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams
from freehold.types.endpoint import Endpoint


def endpoint(**changes):
    return Endpoint(**{"name": "e", "engine": "remote", "base_url": "http://127.0.0.1:9", **changes})


def sent(where, *client_headers, **options):
    """The headers an endpoint is sent for those of a client."""

    async def main():
        upstreams = Upstreams(GatewayConfig(endpoints=(where,)))
        try:
            return upstreams.request_headers(where, client_headers, **{"pass_credentials": True, **options})
        finally:
            await upstreams.close()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("secret", "why"), [(None, "is not set"), ("a\nb", "no header can carry"), ("ü", "carry")]
)
def test_a_key_that_cannot_be_sent_is_a_failure_that_only_the_log_explains(monkeypatch, caplog, secret, why):
    monkeypatch.delenv("FREEHOLD_TEST_KEY", raising=False)
    if secret is not None:
        monkeypatch.setenv("FREEHOLD_TEST_KEY", secret)
    with pytest.raises(UpstreamFailure, match="endpoint e is not set up") as failure:
        sent(endpoint(api_key_env="FREEHOLD_TEST_KEY"))
    assert not failure.value.reached and "FREEHOLD_TEST_KEY" not in str(failure.value)
    assert why in caplog.text and "FREEHOLD_TEST_KEY" in caplog.text
    assert secret is None or secret not in caplog.text
