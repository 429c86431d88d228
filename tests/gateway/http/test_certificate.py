"""TLS as clients meet it: a real gateway, real handshakes, certificates of an authority made for the test."""

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime

import httpx
import openai
import pytest
import trustme
from tests.gateway.asking import QUESTION
from tests.gateway.loopback import ANSWER, eventually, gateway, on_demand, stream, stream_of

from freehold.errors import ConfigError
from freehold.gateway.config import TlsFiles
from freehold.gateway.http.certificate import ServerCertificate, check_certificate

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path):
    return write(authority, tmp_path, "localhost", "127.0.0.1")


def write(authority, folder, *names):
    """A new certificate for `names`, put in place as renewal tools do: written beside, then moved."""
    made = authority.issue_cert(*names)
    chain, key = folder / "chain.pem", folder / "key.pem"
    for path, blobs in ((chain, made.cert_chain_pems), (key, [made.private_key_pem])):
        beside = path.with_suffix(".new")
        beside.write_bytes(b"".join(blob.bytes() for blob in blobs))
        beside.replace(path)
    return TlsFiles(certificate=str(chain), key=str(key))


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def shown(running, authority):
    """The serial number of the certificate that a new connection is shown, checked against the authority."""
    address = ("127.0.0.1", running.config.port)
    with socket.create_connection(address) as plain:
        context = trusting(authority)
        with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
            assert wrapped.version() in ("TLSv1.2", "TLSv1.3")
            return wrapped.getpeercert()["serialNumber"]


@pytest.fixture(scope="module")
def secured(_upstream, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secured")
    with gateway(_upstream, folder, tls=write(authority, folder, "localhost", "127.0.0.1")) as running:
        yield running


@pytest.fixture
def sdk(authority):
    """OpenAI's client for a gateway; closed at the end."""
    made = []

    def of(running):
        client = openai.OpenAI(
            base_url=f"https://localhost:{running.config.port}/v1",
            api_key="any",
            max_retries=0,
            http_client=httpx.Client(verify=trusting(authority)),
        )
        made.append(client)
        return client

    yield of
    for client in made:
        client.close()


def test_answers_and_streams_over_tls(secured, upstream, sdk):
    assert secured.base_url.startswith("https://")
    client = sdk(secured)
    answer = client.chat.completions.create(**QUESTION)
    assert answer.choices[0].message.content == ANSWER["choices"][0]["message"]["content"]
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way"), pause=0.15)
    started, arrivals = time.monotonic(), []
    for _ in client.chat.completions.create(**QUESTION, stream=True):
        arrivals.append(time.monotonic() - started)
    assert arrivals[-1] - arrivals[0] > 0.4, "chunks are not held back"


def test_a_renewed_certificate_is_shown_while_connections_go_on(upstream, authority, files, sdk, tmp_path):
    with gateway(upstream, tmp_path, tls=files, workers=2) as running:
        client = sdk(running)
        words, go = stream_of(*"abcdefghij"), threading.Semaphore(1)
        upstream.answer = lambda seen: on_demand(words, go, content_type="text/event-stream")
        running_stream = iter(client.chat.completions.create(**QUESTION, stream=True))
        next(running_stream)
        first = shown(running, authority)
        write(authority, tmp_path, "localhost", "127.0.0.1")
        eventually(lambda: {shown(running, authority) for _ in range(8)}.isdisjoint({first}))
        go.release(len(words))
        words = [part.choices[0].delta.content or "" for part in running_stream]
        assert "".join(words) == "abcdefghij", "the stream from before the renewal ended whole"


def test_a_broken_renewal_leaves_the_certificate_in_force(authority, files, tmp_path):
    certificate = ServerCertificate(files)
    before = certificate._current
    (tmp_path / "chain.pem").write_text("not a certificate")
    assert certificate.reload() is False and certificate._current is before
    (tmp_path / "chain.pem").unlink()
    assert certificate.reload() is False
    write(authority, tmp_path, "localhost")
    assert certificate.reload() is True and certificate._current is not before
    assert certificate.reload() is False


def test_what_cannot_be_used_is_said_before_the_start(authority, files, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    strange = write(authority, other, "localhost")
    with pytest.raises(ConfigError, match="do not belong together"):
        check_certificate(TlsFiles(certificate=files.certificate, key=strange.key))
    with pytest.raises(ConfigError, match=r"private key .*absent.pem cannot be read"):
        check_certificate(TlsFiles(certificate=files.certificate, key=str(tmp_path / "absent.pem")))
    text = tmp_path / "text.pem"
    text.write_text("hello")
    with pytest.raises(ConfigError, match="not valid PEM"):
        check_certificate(TlsFiles(certificate=str(text), key=files.key))


def test_an_encrypted_key_is_refused_and_nothing_asks_at_the_terminal(files, tmp_path):
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", files.key, "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    with pytest.raises(ConfigError, match="private key is encrypted"):
        check_certificate(TlsFiles(certificate=files.certificate, key=str(locked)))


def test_a_client_that_speaks_no_tls_gets_no_answer_and_harms_no_other(secured, upstream, sdk):
    with socket.create_connection(("127.0.0.1", secured.config.port), timeout=10) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        received = plain.recv(4096)
    assert not received.startswith(b"HTTP/")
    assert sdk(secured).chat.completions.create(**QUESTION).choices


@pytest.mark.parametrize("request_bytes", [b"NOT HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000])
def test_a_request_that_is_refused_reads_its_answer(secured, upstream, authority, sdk, request_bytes):
    async def scenario(port):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting(authority), server_hostname="localhost"
        )
        writer.write(request_bytes)
        status = await asyncio.wait_for(reader.readline(), 10)
        writer.transport.abort()
        await asyncio.sleep(0)
        return status

    status = asyncio.run(scenario(secured.config.port))
    assert status.split()[1] in (b"400", b"431")
    assert sdk(secured).chat.completions.create(**QUESTION).choices, "and the gateway goes on"


def test_metrics_tell_the_end_of_the_certificate_in_force(upstream, authority, tmp_path):
    first, later = datetime(2040, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def put(until):
        made = authority.issue_cert("localhost", "127.0.0.1", not_after=until)
        key.write_bytes(made.private_key_pem.bytes())
        chain.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))

    put(first)
    tls = TlsFiles(certificate=str(chain), key=str(key))
    with gateway(upstream, tmp_path, tls=tls) as running, httpx.Client(verify=trusting(authority)) as client:

        def told():
            text = client.get(f"{running.base_url}/metrics").text
            (line,) = [x for x in text.splitlines() if x.startswith("freehold_certificate_expires_seconds{")]
            assert f'certificate="{chain}"' in line
            return float(line.rpartition(" ")[2])

        assert told() == first.timestamp()
        put(later)
        eventually(lambda: told() == later.timestamp())
