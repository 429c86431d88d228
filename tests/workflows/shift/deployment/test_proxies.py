"""What is rendered for nginx and Caddy: what the guide shows, and what the programs do with two gateways."""

import contextlib

import httpx
import msgspec
import psutil
import pytest
from tests.gateway.asking import QUESTION
from tests.gateway.http.proxying import NAME, proxy, replaced, require
from tests.gateway.http.test_behind_a_proxy import documented
from tests.gateway.http.test_certificate import trusting, write
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of
from tests.workflows.shift.deployment.test_systemd import SERVICE

from freehold.errors import ConfigError
from freehold.gateway.serve import free_port
from freehold.workflows.shift.deployment import proxies

MADE = {"nginx": proxies.nginx, "caddy": proxies.caddy}
ONE = msgspec.structs.replace(SERVICE, names=("llm.example.com",))


@pytest.mark.parametrize("program", MADE)
def test_the_guide_shows_what_is_rendered(program):
    assert MADE[program](ONE) == documented(program)


@pytest.mark.parametrize("program", MADE)
def test_paths_with_spaces_are_quoted(program):
    odd = msgspec.structs.replace(ONE, certificate='/etc/my "ssl"/a.pem', certificate_key="/etc/b.pem")
    assert '"/etc/my \\"ssl\\"/a.pem"' in MADE[program](odd) and " /etc/b.pem" in MADE[program](odd)


@pytest.mark.parametrize(
    ("program", "path"),
    [("nginx", "/etc/$host.pem"), ("caddy", "/etc/{env.HOME}.pem"), ("caddy", "/etc/a\\b")],
)
def test_a_path_that_the_program_would_read_as_another_is_refused(program, path):
    for field in ("certificate", "certificate_key"):
        given = {"certificate": "/etc/a.pem", "certificate_key": "/etc/b.pem", field: path}
        with pytest.raises(ConfigError, match="cannot say"):
            MADE[program](msgspec.structs.replace(ONE, **given))


@pytest.mark.process
@pytest.mark.parametrize("program", MADE)
def test_two_gateways_are_one_address_and_a_killed_one_is_survived(program, upstream, tmp_path):
    require(program)
    import trustme

    authority = trustme.CA()
    files = write(authority, tmp_path, NAME)
    port = free_port()
    with contextlib.ExitStack() as stack:
        running = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            running.append(stack.enter_context(gateway(upstream, tmp_path / name, capture="off")))
        service = msgspec.structs.replace(
            ONE,
            names=(NAME,),
            upstreams=tuple(f"127.0.0.1:{one.config.port}" for one in running),
            certificate=files.certificate,
            certificate_key=files.key,
        )
        listens = (
            {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl"}
            if program == "nginx"
            else {f"{NAME} {{": f"https://{NAME}:{port} {{"}
        )
        site = replaced(MADE[program](service), listens)
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
