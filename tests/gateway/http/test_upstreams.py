"""How endpoints are reached, and what goes into and out of their headers."""

import asyncio

import pytest

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http import headers
from freehold.gateway.http.response import ConnectError, ReadTimeout, RemoteProtocolError
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams, upstream_failure
from freehold.gateway.limits.keys import new_key
from freehold.types.endpoint import Endpoint

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


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


def test_headers_between_two_machines_are_not_forwarded():
    kept = [("openai-beta", "b"), ("user-agent", "x"), ("content-type", "application/json")]
    gone = [
        ("host", "gateway"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-freehold-user", "ada"),
        ("content-length", "5"),
    ]
    assert sent(endpoint(), *kept, *gone) == kept


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


def test_an_endpoints_own_key_takes_the_place_of_the_clients(monkeypatch):
    shown = [("authorization", "Bearer mine"), ("x-api-key", "mine")]
    monkeypatch.setenv("FREEHOLD_TEST_KEY", "secret")
    assert sent(endpoint(api_key_env="FREEHOLD_TEST_KEY"), *shown) == [("authorization", "Bearer secret")]
    claude = endpoint(api_key_env="FREEHOLD_TEST_KEY", api="anthropic")
    assert sent(claude, *shown)[0] == ("x-api-key", "secret") and sent(claude)[1][0] == "anthropic-version"


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


def test_compression_is_offered_only_where_the_client_and_the_proxy_take_it():
    packed = ("accept-encoding", "gzip, br")
    assert sent(endpoint(), packed, compressed=True) == [("accept-encoding", "gzip")]
    assert sent(endpoint(), packed) == [("accept-encoding", "identity")]
    assert sent(endpoint(), ("accept-encoding", "br"), compressed=True) == [("accept-encoding", "identity")]
    assert sent(endpoint()) == []


@pytest.mark.parametrize(
    ("error", "words", "reached", "timed_out"),
    [
        (ConnectError("10.0.0.7, port 80"), "endpoint e cannot be reached", False, False),
        (ReadTimeout("10.0.0.7"), "endpoint e did not answer in time", True, True),
        (RemoteProtocolError("10.0.0.7"), "endpoint e broke off the connection", True, False),
    ],
)
def test_failures_are_told_without_addresses(error, words, reached, timed_out):
    failure = upstream_failure(endpoint(), error)
    assert (str(failure), failure.reached, failure.timed_out) == (words, reached, timed_out)


def test_a_health_check_reads_the_answer_and_has_a_deadline():
    heads, tasks = [], []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) == 1:
            writer.write(OK)
        else:
            await reader.read()
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        where = endpoint(base_url=f"http://127.0.0.1:{port}/base/")
        upstreams = Upstreams(GatewayConfig(endpoints=(where,)))
        try:
            assert await upstreams.probe(where, "/health", timeout_s=5.0) == 200
            with pytest.raises(UpstreamFailure, match="in time") as failure:
                await upstreams.probe(where, "/health", timeout_s=0.2)
            assert failure.value.timed_out
        finally:
            await upstreams.close()
            server.close()
            await asyncio.gather(*tasks)
        assert heads[0] == f"GET /base/health HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()

    asyncio.run(main())


def test_names_of_strangers_headers_are_remembered_only_where_they_are_short_and_few():
    """A thousand long ones would be a hundred megabytes that no budget counts."""
    headers._kinds.clear()
    assert headers._kind_of("x-" + "token" * 1000) == "account"
    assert headers._kinds == {}
    for number in range(3000):
        assert headers._kind_of(f"x-{number}") == "plain"
    assert len(headers._kinds) <= 1024
