"""A request is answered, counted, kept and put to its endpoint alike, whichever way it goes.

One that begins on the short way and ends on the long one as well.
"""

import gzip
import json
import ssl

import msgspec
import pytest
import trustme
from tests.gateway.lane.both_ways import ANSWER, CHAT, ask, both_ways, whole

from freehold.gateway.limits.keys import KeyRing

WARM = 3
"""Requests until a head of a client and one of an answer are known."""
_OK = whole()[0]
_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_TOOL = {"type": "function", "function": {"name": "f"}}
_SAID = json.dumps({"error": {"message": "no", "code": "nope"}}).encode()


def same(requests, answers=(), **changes):
    long, short = both_ways(requests, answers, **changes)
    assert long.short == 0
    for name in long.__struct_fields__:
        if name != "short":
            assert getattr(short, name) == getattr(long, name), name
    assert short.held == short.in_flight == 0
    return short


def test_what_is_known_goes_the_short_way():
    assert same([ask()] * 6).short == 5


@pytest.mark.parametrize(
    "request_",
    [
        ask(apart=True),
        ask({**CHAT, "user": "u-1", "tools": [_TOOL]}),
        ask({**CHAT, "messages": [{"role": "user", "content": "schön 📦"}]}, more="x-freehold-user: anna\r\n"),
        ask(more="x-freehold-capture: off\r\nx-freehold-session: s\r\n"),
        ask(more="x-freehold-arm: off\r\naccept-encoding: gzip, br\r\nx-stainless-os: Linux\r\n"),
        ask(more="connection: close\r\n"),
        ask({"model": "any", "input": "x"}, path="/v1/embeddings"),
        ask({**CHAT, "model": "own", "temperature": 0.5, "store": True}),
        ask({**CHAT, "model": "renamed"}),
        ask({**CHAT, "model": "elsewhere"}),
        ask({**CHAT, "model": "promoted"}),
        ask({**CHAT, "model": "canary"}),
        ask({**CHAT, "model": "users"}),
        ask({**CHAT, "model": "bounded"}),
        ask(key="fh-limited"),
        ask({**CHAT, "max_tokens": 4}, key="fh-tokens"),
    ],
)  # fmt: skip
def test_kinds_of_requests_go_the_short_way(request_):
    assert same([request_] * 4).short >= 2


@pytest.mark.parametrize(
    "request_",
    [
        ask({**CHAT, "stream": True}),
        ask(b'{"model":"m","model":"own","messages":[]}'),
        ask(b'{"model":"m","messages":"\xff"}'),
        ask(b"[" * 3000),
        ask(b""),
        ask({"messages": []}),
        ask({**CHAT, "model": "x" * 2000}),
        ask({**CHAT, "model": "own", "tool_choice": "required", "tools": [_TOOL]}),
        ask({**CHAT, "model": "own", "messages": 5}),
        ask(key="fh-narrow"),
        ask(key="fh-unknown"),
        ask(key="fh-capped"),
        ask(key="fh-one"),
        ask({**CHAT, "model": "promoted", "tools": [_TOOL]}),
        ask(more="origin: https://elsewhere.example\r\n"),
        ask(more="content-encoding: gzip\r\n"),
        ask(more="x-two: a\r\nTransfer-Encoding: identity\r\n"),
        ask(more="Content-Length: 5\r\n"),
        ask(more="Host: evil\r\n"),
        ask(version="1.0"),
        ask(path="/v1/chat/completions?a=b"),
        [ask()[0] * 2],
        [ask()[0] + ask()[0][:90], ask()[0][90:]],
        [ask()[0][:50], ask()[0][50:]],
        [ask()[0][:-5], ask()[0][-5:]],
    ],
)  # fmt: skip
def test_kinds_of_requests_go_the_long_way_after_others(request_):
    same([ask()] * WARM + [request_] * 2 + [ask()] * 2)


@pytest.mark.parametrize(
    "answer",
    [
        [_OK[:40], _OK[40:]],
        [_OK[:-9], _OK[-9:]],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + ANSWER, None],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + _OK],
        [_EVENTS, b"6\r\ndata: \r\n", b"8\r\n[DONE]\n\n\r\n0\r\n\r\n"],
        [*whole(more="connection: close\r\n"), None],
        whole(more="x-request-id: abc\r\nset-cookie: a\r\nserver: theirs\r\nx-odd: 100%\r\n"),
        whole(gzip.compress(ANSWER, mtime=0), more="content-encoding: gzip\r\n"),
        whole(b"x" * 400_000),
        whole(b""),
        whole(_SAID, status="400 Bad Request"),
        whole(_SAID, status="404 Not Found"),
        whole(_SAID, status="429 Too Many", more="retry-after: 30\r\n"),
        whole(_SAID, status="302 Found", more="location: https://elsewhere.example\r\n"),
        [b"HTTP/1.1 204 No Content\r\n\r\n"],
        [_OK[:-9], None],
        [_EVENTS, b"6\r\ndata: \r\n", None],
        [b"nonsense\r\n\r\n"],
        [_OK + b"and more"],
        [2.0, None],
    ],
)  # fmt: skip
def test_kinds_of_answers(answer):
    same([ask()] * (WARM + 3), [whole()] * WARM + [answer])


@pytest.mark.parametrize("model", ["canary", "users", "mirror"])
def test_arms_are_drawn_once_a_request(model):
    asked = [ask({"model": model, "messages": [{"role": "user", "content": str(n)}]}) for n in range(24)]
    assert same(asked).short >= 5


@pytest.mark.parametrize("key", ["limited", "tokens"])
def test_limits_let_no_more_through(key):
    seen = same([ask({**CHAT, "max_tokens": 40}, key=f"fh-{key}")] * 8)
    assert {answer[9:12] for answer in seen.answers} == {b"200", b"429"}
    assert not seen.bills  # only names with a spend cap are billed


@pytest.mark.parametrize("status", ["200 OK", "500 Oh"])
def test_a_candidate_that_only_tells_an_error_is_followed_by_the_incumbent(status):
    asked = [ask({**CHAT, "model": "promoted"})] * 6
    seen = same(asked, [*[whole()] * 4, whole(_SAID, status=status)])
    assert len(seen.asked) == 7 and any(trace.fallback for trace in seen.traces)


def test_what_is_asked_over_tls_goes_the_short_way_too(tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    assert same([ask()] * 8, [*[whole()] * 5, whole(_SAID, status="400 No")], tls=tls).short >= 5


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize(
    "answer",
    [
        whole(_SAID, status="500 Oh"),
        whole(_SAID, status="503 Busy"),
        [None],
        [b"HTTP/1.1 200", None],
        [b"x: y\r\n\r\n"],
    ],
)  # fmt: skip
def test_an_endpoint_that_fails_is_asked_as_often_and_counted_alike(answer, retries):
    same([ask()] * (WARM + 2), [whole()] * WARM + [answer] * 2, retries=retries)


def test_a_key_that_was_revoked_or_has_expired_is_refused_at_once():
    async def revoke(number, app, server):
        if number == WARM + 1:
            app.state.keys = KeyRing((), required=True)

    assert [answer[9:12] for answer in same([ask()] * (WARM + 2), during=revoke).answers] == [b"200"] * 4 + [
        b"401"
    ]


def test_routes_and_configuration_hold_as_soon_as_they_change():
    async def change(number, app, server):
        if number == WARM + 1:
            app.state.update_config(msgspec.structs.replace(app.state.config, routes=(), capture="off"))

    seen = same([ask()] * (WARM + 3), during=change)
    assert len(seen.traces) == WARM + 1 and b"trace-id" not in seen.answers[-1]
