"""How endpoints are reached, and what goes into and out of their headers."""

import asyncio

import pytest

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams
from freehold.gateway.limits.keys import new_key
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


def test_a_clients_credentials_go_only_where_they_are_meant_for(monkeypatch):
    keys = [("authorization", "Bearer mine"), ("x-api-key", "mine"), ("x-goog-api-key", "mine")]
    account = [("openai-organization", "o1"), ("openai-project", "p1")]
    shown = [*keys, *account]
    assert sent(endpoint(), *shown) == []
    meant = endpoint(forward_client_key=True)
    assert sent(meant, *shown) == shown
    assert sent(meant, *shown, pass_credentials=False) == account
    assert sent(endpoint(engine="vllm", forward_client_key=True), *shown) == []
    own = [("authorization", f"Bearer {new_key()}"), ("x-note", f"my {new_key()}.")]
    assert sent(meant, *own) == sent(endpoint(), *own) == []
    monkeypatch.setenv("FREEHOLD_TEST_KEY", "secret")
    paid = endpoint(forward_client_key=True, api_key_env="FREEHOLD_TEST_KEY")
    assert sent(paid, *shown) == [*account, ("authorization", "Bearer secret")]


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
