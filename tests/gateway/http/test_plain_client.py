"""The client of plain endpoints, before a server that says exactly what a test tells it to."""

import asyncio

import pytest
from tests.gateway.http.scripted import HEAD, run

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.credentials import holds_own_key, is_credential
from freehold.gateway.http.plain_client import Address
from freehold.gateway.http.response import RemoteProtocolError
from freehold.gateway.http.upstreams import (
    UpstreamFailure,
    Upstreams,
    password_of,
    plain_address,
    request_head,
    request_line,
)
from freehold.gateway.limits.keys import new_key
from freehold.types.endpoint import Endpoint

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def bodies(client, server, count=1):
    found = []
    for _ in range(count):
        answer = await client.send(server.address, HEAD, b"{}")
        found.append(await answer.read_all())
        await answer.close()
    return found, server.accepted


def test_a_connection_is_used_again():
    assert run(lambda *both: bodies(*both, count=3), [OK, OK, OK]) == ([b"ok"] * 3, 1)


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_without_a_word():
    assert run(lambda *both: bodies(*both, count=2), [OK, None], [OK]) == ([b"ok"] * 2, 2)


def test_a_fresh_connection_that_closes_is_a_failure():
    with pytest.raises(RemoteProtocolError):
        run(bodies, [None], [OK])


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ([OK[:9], OK[9:30], OK[30:]], b"ok"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx: y\r\n\r\n",
            b"abcde",
        ),
    ],
)
def test_kinds_of_answers(answer, body):
    assert run(bodies, [answer])[0] == [body]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 400_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_half_answers_and_no_answers_are_told_apart_from_whole_ones(answer):
    with pytest.raises(RemoteProtocolError):
        run(bodies, [answer])


@pytest.mark.parametrize("surplus", [OK, OK[:-1], OK[:-1].replace(b": 2", b": 9"), b"H", b"\0"])
def test_what_comes_behind_an_answer_never_becomes_the_next_ones(surplus):
    assert run(lambda *both: bodies(*both, count=2), [OK + surplus], [OK]) == ([b"ok"] * 2, 2)


def test_an_answer_is_had_although_more_comes_behind_its_end():
    """The parser stops at what follows an answer after which the connection closes; the request waited for ever."""
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert run(bodies, [closing + b"more"]) == ([b"ok"], 1)


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
    assert plain_address("http://127.0.0.1:8000/v1") == Address("127.0.0.1", 8000)
    assert plain_address("http://[::1]:8000") == Address("::1", 8000)
    assert plain_address("http://engine") == Address("engine", 80)
    assert plain_address("https://api.example.com") is None
    assert plain_address("http://me:secret@engine:8000") is None
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert plain_address("http://engine:8000") is None
    assert plain_address("http://127.0.0.1:8000") == Address("127.0.0.1", 8000)


def test_a_head_names_the_host_without_its_password_and_the_length_of_a_body():
    where = Endpoint(name="e", engine="remote", base_url="http://me:s%20t@engine:8000/v1")
    start = request_line(where, "/v1/models?a=b")
    assert start == b"/v1/models?a=b HTTP/1.1\r\nhost: engine:8000\r\n"
    assert request_head("GET", start, [("a", "\xe9")], None) == b"GET " + start + b"a: \xe9\r\n\r\n"
    assert request_head("POST", start, [], b"12").endswith(b"content-length: 2\r\n\r\n")
    assert password_of("http://me:s%20t@engine") == [("authorization", "Basic bWU6cyB0")]
    assert password_of("http://engine") == []


SECRET = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "openai-organization",
    "x-auth-token",
    "x-amz-security-token",
    "cookie",
    "x-tenant-id",
]
PLAIN = [
    "content-type",
    "idempotency-key",
    "traceparent",
    "anthropic-version",
    "openai-beta",
    "x-request-id",
    "x-stainless-retry-count",
]


def test_what_names_a_key_or_an_account():
    assert [name for name in (*SECRET, *PLAIN) if is_credential(name)] == SECRET


def test_a_key_of_this_gateway_is_known_by_its_form():
    assert all(holds_own_key(text) for key in [new_key()] for text in (key, f"Bearer {key}", f"a={key};"))
    assert not holds_own_key("Bearer sk-fh-1") and not holds_own_key("fh-short") and not holds_own_key("")
