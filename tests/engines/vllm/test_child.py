"""vLLM's child asks for the key at every path, also at those that vLLM's own check leaves out."""

import asyncio

import pytest

from freehold.engines.vllm.child import GUARD, KeyGuard

KEY = b"Bearer the-key"


def asked(monkeypatch, path, *headers, kind="http"):
    """The messages a request gets, and whether vLLM saw it."""
    monkeypatch.setenv("VLLM_API_KEY", "the-key")
    seen, sent = [], []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "path": path, "headers": [*headers]}
    asyncio.run(KeyGuard(app)(scope, None, send))
    return sent, bool(seen)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/invocations", "/tokenize", "/metrics", "/sleep", "/health/", "/"]
)
@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer x")], [(b"authorization", KEY)] * 2])
def test_without_the_key_nothing_is_answered(monkeypatch, path, headers):
    sent, seen = asked(monkeypatch, path, *headers)
    assert not seen and sent[0]["status"] == 401 and b"invalid_api_key" in sent[1]["body"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/metrics"])
def test_with_the_key_vllm_answers(monkeypatch, path):
    assert asked(monkeypatch, path, (b"authorization", KEY)) == ([], True)


def test_health_is_open_and_websockets_are_not(monkeypatch):
    assert asked(monkeypatch, "/health") == ([], True)
    sent, seen = asked(monkeypatch, "/v1/realtime", kind="websocket")
    assert not seen and sent == [{"type": "websocket.close", "code": 1008}]


def test_its_name_is_one_that_can_be_imported_once_the_child_runs():
    module, _, name = GUARD.rpartition(".")
    assert module.isidentifier() and name == KeyGuard.__name__
