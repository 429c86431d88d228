"""Requests to endpoints: their heads, and where they are sent."""

import asyncio

import pytest

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.upstreams import (
    UpstreamFailure,
    Upstreams,
    password_of,
    plain_address,
    request_head,
    request_line,
)
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


def test_what_needs_more_than_a_plain_connection(monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    assert plain_address("http://127.0.0.1:8000/v1") == ("127.0.0.1", 8000)
    assert plain_address("http://[::1]:8000") == ("::1", 8000)
    assert plain_address("http://engine") == ("engine", 80)
    assert plain_address("https://api.example.com") is None
    assert plain_address("http://me:secret@engine:8000") is None
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert plain_address("http://engine:8000") is None
    assert plain_address("http://127.0.0.1:8000") == ("127.0.0.1", 8000)


def test_a_head_names_the_host_without_its_password_and_the_length_of_a_body():
    where = Endpoint(name="e", engine="remote", base_url="http://me:s%20t@engine:8000/v1")
    start = request_line(where, "/v1/models?a=b")
    assert start == b"/v1/models?a=b HTTP/1.1\r\nhost: engine:8000\r\n"
    assert request_head("GET", start, [("a", "\xe9")], None) == b"GET " + start + b"a: \xe9\r\n\r\n"
    assert request_head("POST", start, [], b"12").endswith(b"content-length: 2\r\n\r\n")
    assert password_of("http://me:s%20t@engine") == [("authorization", "Basic bWU6cyB0")]
    assert password_of("http://engine") == []
