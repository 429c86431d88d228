"""HTTP itself (RFC 9110, 9112), and the ways in which clients spell the address."""

from __future__ import annotations

import json
import socket

import anthropic
import openai
from checks import claude_error, must, openai_error, same
from rig import CHAT, TEXT, Clients, user

PART = "HTTP"
ASKED = {"model": CHAT, "messages": user(TEXT), "max_tokens": 2}
PATH = "/v1/chat/completions"


def raw(ask: Clients, data: bytes) -> bytes:
    """What comes back for bytes as they are, until the connection ends."""
    host, _, port = ask.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(data)
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        return b"".join(parts)


@must(PART, "an answer without /v1, with a slash at the end, with a query")
def spellings(ask: Clients) -> None:
    for path in (PATH, PATH + "/", "/chat/completions", "/chat/completions/", PATH + "?api-version=1"):
        same(ask.post(path, ASKED).status_code, 200, f"status of {path}")
    for path in ("/v1/models/", "/models", "/v1/models?limit=5"):
        same(ask.http.get(path).status_code, 200, f"status of {path}")
    for path in ("/messages", "/v1/messages/", "/v1/messages?beta=true"):
        same(ask.claude_post(path, ASKED).status_code, 200, f"status of {path}")


@must(PART, "SDKs whose base URL lacks /v1, ends in a slash, or has a query")
def base_urls(ask: Clients) -> None:
    for url in (ask.base_url, f"{ask.base_url}/", f"{ask.base_url}/v1/"):
        with openai.OpenAI(base_url=url, api_key="k", max_retries=0, default_query={"a": "1"}) as client:
            assert client.chat.completions.create(**ASKED).choices
    with anthropic.Anthropic(base_url=f"{ask.base_url}/", api_key="k", max_retries=0) as client:
        assert client.messages.create(**ASKED).content is not None


@must(PART, "Azure's client")
def azure(ask: Clients) -> None:
    with openai.AzureOpenAI(azure_endpoint=ask.base_url, api_key="k", api_version="2024-10-21") as client:
        assert client.chat.completions.create(**ASKED).choices


@must(PART, "paths that are not there: 404 in the API's shape, with an id")
def unknown(ask: Clients) -> None:
    for method, path in (("POST", "/v1/nothing"), ("GET", "/v1/files"), ("POST", "/v1/moderations"),
                         ("POST", "/v1/images/generations"), ("GET", "/v1/responses")):  # fmt: skip
        openai_error(ask.http.request(method, path), 404 if path != "/v1/responses" else 405)
    claude_error(ask.claude_post("/v1/messages/batches", {}), 404, "not_found_error")


@must(PART, "methods that are not there: 405 in the API's shape, with allow")
def methods(ask: Clients) -> None:
    for method, path, allowed in (("GET", PATH, "POST"), ("DELETE", "/v1/embeddings", "POST"),
                                  ("PUT", "/v1/completions", "POST"), ("POST", "/health", "GET"),
                                  ("PATCH", "/v1/models", "GET")):  # fmt: skip
        answer = ask.http.request(method, path)
        openai_error(answer, 405)
        assert allowed in answer.headers.get("allow", ""), f"allow of {path} is {answer.headers.get('allow')}"
    claude = ask.http.get("/v1/messages", headers={"anthropic-version": "2023-06-01"})
    claude_error(claude, 405)
    same(claude.headers.get("allow"), "POST", "allow")


@must(PART, "HEAD: the head of GET, without a body")
def heads(ask: Clients) -> None:
    for path in ("/v1/models", "/health", "/", f"/v1/models/{CHAT}"):
        head, whole = ask.http.head(path), ask.http.get(path)
        same((head.status_code, head.content), (200, b""), f"HEAD {path}")
        same(head.headers["content-type"], whole.headers["content-type"], "content-type")
        same(head.headers.get("content-length"), whole.headers.get("content-length"), f"length of {path}")


@must(PART, "OPTIONS: what is allowed, and no other origin")
def options(ask: Clients) -> None:
    for path, allowed in ((PATH, "POST"), ("/v1/models", "GET"), ("/v1/messages", "POST")):
        answer = ask.http.options(path)
        assert answer.status_code in (200, 204), f"status is {answer.status_code}"
        assert allowed in answer.headers.get("allow", ""), f"allow of {path}"
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@must(PART, "many requests on one connection, in a row")
def kept(ask: Clients) -> None:
    one = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n"
    found = raw(ask, (one + b"\r\n") * 2 + one + b"connection: close\r\n\r\n")
    same(found.count(b"HTTP/1.1 200"), 3, "the number of answers")


@must(PART, "a body in chunks, and after 100-continue")
def bodies(ask: Clients) -> None:
    body = json.dumps(ASKED).encode()
    lines = (
        f"POST {PATH} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "connection: close",
        "",
    )
    head = "\r\n".join(lines).encode()
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n"
    found = raw(ask, head + b"transfer-encoding: chunked\r\n\r\n" + parts)
    assert found.startswith(b"HTTP/1.1 200"), found[:80]
    found = raw(ask, head + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert b"HTTP/1.1 200" in found and b"chat.completion" in found, found[:80]


@must(PART, "other content types and none are read as JSON; compressed bodies are refused")
def content_types(ask: Clients) -> None:
    body = json.dumps(ASKED).encode()
    for said in ("application/json; charset=utf-8", "text/plain", ""):
        answer = ask.post(PATH, body, headers={"content-type": said} if said else {})
        same(answer.status_code, 200, f"status of {said!r}")
    openai_error(ask.post(PATH, body, headers={"content-encoding": "gzip"}), 415)


@must(PART, "headers of SDKs do no harm: keys, organisation, idempotency, traceparent")
def headers(ask: Clients) -> None:
    sent = {"authorization": "Bearer sk-x", "openai-organization": "org-x", "openai-project": "p",
            "idempotency-key": "1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "x-client-request-id": "mine", "openai-beta": "assistants=v2"}  # fmt: skip
    answer = ask.post(PATH, ASKED, headers=sent)
    same(answer.status_code, 200, "status")
    assert answer.headers["x-request-id"]


@must(PART, "every answer has an id: pages, errors, streams")
def request_ids(ask: Clients) -> None:
    for answer in (ask.http.get("/v1/models"), ask.http.get("/v1/nothing"), ask.post(PATH, b"{"),
                   ask.post(PATH, {**ASKED, "stream": True}), ask.http.get("/v1/models")):  # fmt: skip
        assert answer.headers.get("x-request-id"), f"none on {answer.request.url.path}"
    for answer in (ask.claude_post("/v1/messages", ASKED), ask.claude_post("/v1/messages", {**ASKED, "stream": True}),
                   ask.claude_post("/v1/messages", {})):  # fmt: skip
        assert answer.headers.get("request-id"), "no request-id"


@must(PART, "a client that goes away in a stream harms no other")
def gone(ask: Clients) -> None:
    for _ in range(4):
        with ask.http.stream("POST", PATH, json={**ASKED, "stream": True, "max_tokens": 400}) as answer:
            next(answer.iter_bytes())
    same(ask.post(PATH, ASKED).status_code, 200, "status")
