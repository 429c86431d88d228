"""The proxy configurations of docs/guides/deploy.md, run by the real programs in front of a real gateway."""

import contextlib
import re
import time
from pathlib import Path

import httpx
import psutil
import pytest
from tests.gateway.asking import QUESTION
from tests.gateway.http.proxying import NAME, proxy, replaced, require
from tests.gateway.http.test_certificate import trusting, write
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of

from freehold.processes import claim_port

pytestmark = pytest.mark.process

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "deploy.md"


def documented(language):
    return re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]


def nginx(port, upstream_port, files):
    return replaced(
        documented("nginx"),
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "llm.example.com;": f"{NAME};",
            "/etc/ssl/llm.example.com/fullchain.pem": files.certificate,
            "/etc/ssl/llm.example.com/key.pem": files.key,
            "127.0.0.1:8420": f"127.0.0.1:{upstream_port}",
        },
    )


def caddy(port, upstream_port, files):
    return replaced(
        documented("caddy"),
        {
            "llm.example.com {\n": f"https://{NAME}:{port} {{\n\ttls {files.certificate} {files.key}\n",
            "127.0.0.1:8420": f"127.0.0.1:{upstream_port}",
        },
    )


@pytest.fixture(params=[nginx, caddy])
def proxied(request, upstream, tmp_path):
    """A client of a proxy in front of a gateway."""
    require(request.param.__name__)
    import trustme

    authority = trustme.CA()
    files = write(authority, tmp_path, NAME)
    port = claim_port()
    with (
        gateway(upstream, tmp_path, capture="off") as running,
        httpx.Client(base_url=f"https://{NAME}:{port}", verify=trusting(authority), timeout=60) as client,
        proxy(request.param.__name__, tmp_path, request.param(port, running.config.port, files), client),
    ):
        yield client


def test_answers_streams_and_large_bodies_pass(proxied, upstream):
    assert proxied.post("/v1/chat/completions", json=QUESTION).json() == ANSWER
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way"), pause=0.3)
    began, arrivals = time.monotonic(), []
    with proxied.stream("POST", "/v1/chat/completions", json={**QUESTION, "stream": True}) as answer:
        for chunk in answer.iter_raw():
            arrivals.append((time.monotonic() - began, chunk))
    assert b"".join(chunk for _, chunk in arrivals).endswith(b"data: [DONE]\n\n")
    assert arrivals[-1][0] - arrivals[0][0] > 0.6, "no chunk waits for the next"
    large = {**QUESTION, "messages": [{"role": "user", "content": "a" * (20 << 20)}]}
    upstream.answer = lambda seen: plain({**ANSWER, "id": str(len(seen.body))})
    answer = proxied.post("/v1/chat/completions", json=large)
    assert answer.status_code == 200 and int(answer.json()["id"]) > 20 << 20


def test_a_client_that_leaves_ends_the_upstreams_work(proxied, upstream):
    upstream.answer = lambda seen: stream(stream_of(*"abcdefghij" * 20), pause=0.05)
    with proxied.stream("POST", "/v1/chat/completions", json={**QUESTION, "stream": True}) as answer:
        next(answer.iter_raw())
    eventually(lambda: upstream.aborted)


def two_gateways(program, files, addresses):
    """The guide's configuration, with what it says of several gateways."""
    one, several = re.findall(rf"```{program}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    several = several.replace("10.0.0.5:8420", addresses[0]).replace("10.0.0.6:8420", addresses[1])
    if program == "nginx":
        certificates = {
            "/etc/ssl/llm.example.com/fullchain.pem": files.certificate,
            "/etc/ssl/llm.example.com/key.pem": files.key,
        }
        return several + replaced(
            one, {"llm.example.com;": f"{NAME};", **certificates, "127.0.0.1:8420": "freehold"}
        )
    site = {"llm.example.com {": f"{NAME} {{\n\ttls {files.certificate} {files.key}"}
    return replaced(one, {**site, "127.0.0.1:8420 {": f"{' '.join(addresses)} {{\n{several}"})


@pytest.mark.process
@pytest.mark.parametrize("program", ["nginx", "caddy"])
def test_two_gateways_are_one_address_and_a_killed_one_is_survived(program, upstream, tmp_path):
    require(program)
    import trustme

    authority = trustme.CA()
    files = write(authority, tmp_path, NAME)
    port = claim_port()
    with contextlib.ExitStack() as stack:
        running = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            running.append(stack.enter_context(gateway(upstream, tmp_path / name, capture="off")))
        addresses = [f"127.0.0.1:{one.config.port}" for one in running]
        listens = (
            {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl"}
            if program == "nginx"
            else {f"{NAME} {{": f"https://{NAME}:{port} {{"}
        )
        site = replaced(two_gateways(program, files, addresses), listens)
        client = stack.enter_context(
            httpx.Client(base_url=f"https://{NAME}:{port}", verify=trusting(authority), timeout=60)
        )
        stack.enter_context(proxy(program, tmp_path, site, client))

        def ask():
            return client.post("/v1/chat/completions", json=QUESTION)

        assert {ask().json()["id"] for _ in range(8)} == {ANSWER["id"]}
        upstream.answer = lambda seen: stream(stream_of("on", " its", " way"), pause=0.05)
        with client.stream("POST", "/v1/chat/completions", json={**QUESTION, "stream": True}) as answer:
            assert b"".join(answer.iter_raw()).endswith(b"data: [DONE]\n\n")
        upstream.answer = lambda seen: plain(ANSWER)
        killed = [running[0].process, *psutil.Process(running[0].process.pid).children(recursive=True)]
        for process in killed:
            process.kill()
        running[0].process.wait()
        # What was on its way to it in that moment is lost with it: a proxy that repeated it could pay for it twice. How
        # long a proxy keeps a connection to the dead one is its own matter, and longer on a busy machine.
        asked, answered = len(upstream.seen), 0

        def all_are_answered():
            nonlocal answered
            statuses = [ask().status_code for _ in range(20)]
            answered += statuses.count(200)
            return set(statuses) == {200}

        eventually(all_are_answered, timeout_s=60)
        assert len(upstream.seen) - asked == answered, "no request was paid for twice"
