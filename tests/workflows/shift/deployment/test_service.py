"""What a service is started with, and what `--render` refuses, whichever file is asked for."""

import contextlib
import sys

import httpx
import msgspec
import psutil
import pytest
from tests.gateway.asking import QUESTION
from tests.gateway.http.proxying import NAME, proxy, replaced, require
from tests.gateway.http.test_behind_a_proxy import documented
from tests.gateway.http.test_certificate import trusting, write
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of
from tests.workflows.shift.deployment.conftest import FILE
from tests.workflows.shift.deployment.test_systemd import SERVICE

from freehold.errors import ConfigError, UsageError
from freehold.gateway.config import TlsFiles
from freehold.gateway.serve import free_port
from freehold.workflows.project import open_project
from freehold.workflows.shift.deployment import proxies
from freehold.workflows.shift.deployment.rendering import render
from freehold.workflows.shift.deployment.service import program, service_of
from freehold.workflows.shift.up import Listening

HERE = Listening()


def made(project, target="systemd", listening=HERE, **more):
    given = {"options": (), "with_engine": True, "user": "ada", "upstreams": (), **more}
    return service_of(project, target, listening=listening, **given)


def test_a_service_is_the_command_with_absolute_paths(project, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "postgresql+psycopg://freehold:secret@db/freehold")
    service = made(project(), options=("--workers", "2"))
    assert service.command == (
        *(*program(), "up", "--config", str(tmp_path / "freehold.toml")),
        *("--workers", "2"),
    )
    assert service.state == str(tmp_path / "state") == service.environment["FREEHOLD_STATE"]
    assert service.secrets == ("FREEHOLD_DATABASE_URL", "INCUMBENT_KEY")
    assert "secret" not in str(service.environment)
    assert service.names == ("llm.example.com",), "a pattern is not a name that a certificate is for"
    assert service.upstreams == ("127.0.0.1:8420",)


def test_the_file_says_how_long_a_service_drains_and_which_secrets_it_needs(project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OTEL", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    judge = '[task]\nscorer = "judge"\noptions = { api_key_env = "JUDGE_KEY" }\n'
    watch = '[watch]\nwebhook_env = "ALARMS"\n'
    service = made(project(f"{FILE}drain_s = 300\n{judge}{watch}"))
    assert service.drain_seconds == 300.0
    assert service.secrets == ("ALARMS", "INCUMBENT_KEY", "JUDGE_KEY", "OTEL_EXPORTER_OTLP_HEADERS")


def test_the_program_is_the_one_that_renders(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert program() == (str(tmp_path / "python"), "-m", "freehold")
    (tmp_path / "freehold").touch()
    assert program() == (str(tmp_path / "freehold"),)


@pytest.mark.parametrize(
    ("host", "upstream"),
    [
        ("0.0.0.0", "127.0.0.1:9000"),
        ("::", "[::1]:9000"),
        ("10.0.0.5", "10.0.0.5:9000"),
        ("fd00::1", "[fd00::1]:9000"),
        ("inside.example.com", "inside.example.com:9000"),
    ],
)
def test_a_proxy_asks_where_the_gateway_listens(project, host, upstream):
    assert made(project(), "caddy", Listening(host=host, port=9000)).upstreams == (upstream,)


@pytest.mark.parametrize("target", ["nginx", "caddy"])
def test_a_proxy_needs_a_name_and_a_gateway_without_tls(project, target):
    with pytest.raises(ConfigError, match="needs the name that clients ask for"):
        made(project('[app]\nname = "support"\n[serve]\nhosts = ["*", "*.example.com"]\n'), target)
    tls = 'tls_cert = "chain.pem"\ntls_key = "key.pem"\n'
    with pytest.raises(ConfigError, match="speak TLS itself"):
        made(project(f"{FILE}{tls}"), target)
    made(project(f"{FILE}{tls}"), "systemd")


def test_a_service_without_a_project_or_for_root_is_refused(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no freehold\.toml here"):
        made(open_project())
    for user in ("root", "0"):
        with pytest.raises(UsageError, match="does not run as root"):
            made(project(), user=user)
    with pytest.raises(UsageError, match="not the name of a user"):
        made(project(), user="ada\nExecStart=/bin/sh")


def test_a_line_break_cannot_end_a_line_of_the_file(project):
    tls = TlsFiles(certificate="a.pem\nssl_certificate /etc/shadow", key="b.pem")
    for target in ("systemd", "nginx", "caddy"):
        with pytest.raises(ConfigError, match="control character"):
            made(project(), target, Listening(tls=tls))


@pytest.mark.parametrize(
    "upstream", ["", "host", "host:0", "host:99999", "host:80 { }", "a;b:80", "http://a:80"]
)
def test_addresses_that_are_none(project, upstream):
    with pytest.raises(UsageError, match="is not an address"):
        render(project(), "nginx", listening=Listening(), upstreams=[upstream])


@pytest.mark.parametrize("target", ["nginx", "caddy"])
def test_a_host_to_listen_on_that_is_none(project, target):
    with pytest.raises(UsageError, match="is not an address"):
        render(project(), target, listening=Listening(host="a; } server {"))
    assert "10.0.0.5:8420" in render(project(), target, listening=Listening(host="10.0.0.5"))


def test_systemd_starts_one_gateway(project):
    with pytest.raises(UsageError, match="systemd starts one gateway"):
        render(project(), "systemd", listening=Listening(), user="ada", upstreams=["a:80"])


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
