"""A page whose name was pointed at this machine: Host and Origin are its own, and no door opens."""

import contextlib
import http.client
import json
import urllib.parse

import pytest
from tests.gateway.asking import QUESTION
from tests.gateway.loopback import gateway

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of

pytestmark = pytest.mark.process

EVIL = "evil.example:8420"
POSTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/chat",
    "/api/generate",
    "/api/show",
    "/freehold/v1/feedback",
)
GETS = (
    "/",
    "/ready",
    "/metrics",
    "/v1/models",
    "/v1/models/m",
    "/api/tags",
    "/attribution",
)
DOORS = [*(("POST", path) for path in POSTS), *(("GET", path) for path in GETS)]


def ask(running, method, path, host, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", running.config.port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True)
        body = json.dumps(QUESTION).encode() if method == "POST" else b""
        for name, value in {"host": host, "content-type": "application/json", **headers}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.read()


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_every_door_is_shut_to_a_foreign_name(shared, upstream, method, path):
    status, body = ask(shared, method, path, EVIL, origin=f"http://{EVIL}")
    assert status == 421 and b"does not answer to that host name" in body
    assert "error" in json.loads(body), "in the shape of the API that was asked"
    assert not upstream.seen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:8420", "10.2.3.4:8420", None])
def test_this_machines_names_work(shared, upstream, host):
    assert ask(shared, "POST", POSTS[0], host)[0] == 200


def test_a_probe_by_any_name_learns_that_the_process_lives(shared, upstream):
    assert ask(shared, "GET", "/health", "pod-7.example")[0] == 200


def test_names_that_were_said_work_and_the_log_tells_how(upstream, tmp_path):
    with gateway(upstream, tmp_path, hosts=("models.example.com",)) as running:
        assert ask(running, "POST", POSTS[0], "models.example.com")[0] == 200
        assert ask(running, "POST", POSTS[0], "evil.example\t")[0] == 421
        assert ask(running, "POST", POSTS[0], EVIL)[0] == 421
    log = (tmp_path / "gateway.log").read_text()
    assert "--allow-host" in log and EVIL in log


def test_with_keys_a_name_matters_only_where_no_key_is_asked_for_or_names_were_said(upstream, tmp_path):
    keys = (ApiKey(name="a", hash=hash_of("k")), ApiKey(name="b", hash=hash_of("look"), role="read"))
    for hosts, wanted in (((), 200), (("models.example.com",), 421)):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        with gateway(upstream, folder, api_keys=keys, hosts=hosts) as running:
            shown = {"authorization": "Bearer k"}
            assert ask(running, "POST", POSTS[0], EVIL, **shown)[0] == wanted
            assert ask(running, "GET", "/v1/models", EVIL, **shown)[0] == wanted
            assert ask(running, "GET", "/metrics", EVIL)[0] == 421
            own = urllib.parse.urlsplit(running.base_url).netloc
            assert ask(running, "GET", "/metrics", own)[0] == 401
            assert ask(running, "GET", "/metrics", own, authorization="Bearer look")[0] == 200
