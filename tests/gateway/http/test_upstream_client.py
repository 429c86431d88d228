"""The client of endpoints, before a server that says exactly what a test tells it to."""

import asyncio
import contextlib
import ssl

import pytest
import trustme
from tests.gateway.http.scripted import HEAD, run

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.headers import holds_own_key, is_credential
from freehold.gateway.http.response import RemoteProtocolError
from freehold.gateway.http.upstream_client import Address, Proxy
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams, address_of, request_head
from freehold.gateway.limits.keys import new_key
from freehold.types.endpoint import Endpoint

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def bodies(client, server, count=1):
    found = []
    for _ in range(count):
        answer = await client.send(server.address, HEAD, b"{}")
        found.append(await answer.read_all())
        answer.close()
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


def test_where_an_endpoint_is_and_what_is_on_the_way(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert address_of("http://127.0.0.1:8000/v1") == Address("127.0.0.1", 8000)
    assert address_of("http://[::1]:8000") == Address("::1", 8000)
    assert address_of("http://me:secret@engine") == Address("engine", 80)
    assert address_of("https://api.example.com") == Address("api.example.com", 443, tls=True)
    monkeypatch.setenv("http_proxy", "me:s%20t@proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    proxy = Proxy("proxy", 3128, "proxy-authorization: Basic bWU6cyB0\r\n")
    assert address_of("http://engine:8000") == Address("engine", 8000, proxy=proxy)
    assert address_of("http://127.0.0.1:8000") == Address("127.0.0.1", 8000)
    assert address_of("https://engine").proxy is None
    monkeypatch.setenv("all_proxy", "http://other")
    assert address_of("https://engine").proxy == Proxy("other", 80)
    monkeypatch.setenv("all_proxy", "socks5://other:1080")
    with pytest.raises(ConfigError, match="of the scheme socks5"):
        address_of("https://engine")
    monkeypatch.delenv("no_proxy")
    assert address_of("http://localhost:8000").proxy is None


def test_a_head_names_the_host_without_its_password_and_the_length_of_a_body(monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    where = endpoint(base_url="http://me:s%20t@engine:8000/v1")
    head = request_head("GET", where, address_of(where.base_url), "/v1/models?a=b", [("a", "\xe9")], None)
    assert head == b"GET /v1/models?a=b HTTP/1.1\r\nhost: engine:8000\r\na: \xe9\r\n\r\n"
    assert request_head("POST", where, address_of(where.base_url), "/v1", [], b"12").endswith(
        b"content-length: 2\r\n\r\n"
    )
    assert ("authorization", "Basic bWU6cyB0") in sent(where)
    assert sent(endpoint()) == []
    monkeypatch.setenv("http_proxy", "http://me:x@proxy:3128")
    head = request_head("GET", where, address_of(where.base_url), "/v1", [], None)
    assert head.startswith(
        b"GET http://engine:8000/v1 HTTP/1.1\r\nhost: engine:8000\r\nproxy-authorization: Basic "
    )


class Tunnelling:
    """A proxy that connects a client to the port it wants, or says that it does not."""

    def __init__(self, answer=b"HTTP/1.1 200 Connection established\r\n\r\n"):
        self.answer, self.asked = answer, []

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        writer.write(self.answer)
        if b"200" not in self.answer:
            writer.close()
            return
        port = int(head.split()[1].rpartition(b":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

        async def pass_on(source, sink):
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    sink.write(data)
            sink.close()
            with contextlib.suppress(OSError):
                await sink.wait_closed()

        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))


def over_tls(tmp_path, monkeypatch, scenario, proxy=None):
    """Run a scenario with the base URL of a server over TLS, perhaps behind a proxy."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    host = "localhost" if proxy is None else "vendor.example"
    authority.issue_cert(host).configure_cert(tls)
    monkeypatch.delenv("no_proxy", raising=False)

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(OK)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def main():
        servers = []
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        url = f"https://{host}:{server.sockets[0].getsockname()[1]}"
        if proxy is not None:
            between = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
            servers.append(between)
            port = between.sockets[0].getsockname()[1]
            monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{port}")
        where = endpoint(base_url=url)
        upstreams = Upstreams(GatewayConfig(endpoints=(where,)))
        try:
            await scenario(upstreams, where)
        finally:
            await upstreams.close()
            for one in servers:
                one.close()
            if answering := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(answering, timeout=5)
            await asyncio.sleep(0.1)

    asyncio.run(main())


@pytest.mark.parametrize("proxied", [False, True])
def test_an_endpoint_over_tls_is_asked_again_on_its_connection(tmp_path, monkeypatch, proxied):
    async def scenario(upstreams, where):
        for _ in range(3):
            response = await upstreams.post(where, "/v1/chat/completions", [], b"")
            assert await response.read_all() == b"ok"
            response.close()
        assert len(upstreams.idle(where)) == 1

    proxy = Tunnelling() if proxied else None
    over_tls(tmp_path, monkeypatch, scenario, proxy)
    if proxied:
        (asked,) = proxy.asked
        assert (
            asked.startswith(b"CONNECT vendor.example:")
            and b"proxy-authorization: Basic bWU6c2VjcmV0\r\n" in asked
        )


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Who?\r\n\r\n", b"nonsense\r\n\r\n", b"x" * 20_000])
def test_a_proxy_that_refuses_is_a_failed_connection(tmp_path, monkeypatch, answer):
    async def scenario(upstreams, where):
        with pytest.raises(UpstreamFailure) as failure:
            await upstreams.post(where, "/v1/chat/completions", [], b"")
        assert not failure.value.reached and "endpoint e cannot be reached" in str(failure.value)

    over_tls(tmp_path, monkeypatch, scenario, Tunnelling(answer))


def test_a_proxy_that_is_not_spoken_to_fails_what_is_asked_through_it(tmp_path, monkeypatch):
    async def scenario(upstreams, _):
        monkeypatch.setenv("all_proxy", "socks5://other:1080")
        with pytest.raises(UpstreamFailure, match="of the scheme socks5"):
            await upstreams.post(endpoint(base_url="https://engine"), "/v1/chat/completions", [], b"")

    over_tls(tmp_path, monkeypatch, scenario)


def test_a_certificate_that_is_not_the_hosts_is_a_failed_connection(tmp_path, monkeypatch):
    async def scenario(upstreams, where):
        elsewhere = endpoint(base_url=where.base_url.replace("localhost", "127.0.0.1"))
        with pytest.raises(UpstreamFailure, match="cannot be reached"):
            await upstreams.post(elsewhere, "/v1/chat/completions", [], b"")

    over_tls(tmp_path, monkeypatch, scenario)


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
