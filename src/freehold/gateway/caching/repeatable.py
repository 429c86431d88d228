"""Which requests have one answer only, so that it may be given again; and the key that two equal ones share.

Covered: chat, completions, responses, messages and embeddings, whichever API the client speaks. Without chance means
temperature 0, or a seed, and one choice; embeddings have none.
Not covered, so always asked: long bodies, which are not read on the loop; what the model's maker looks up, runs or
keeps (tools of its own, stored answers, conversations it continues); texts and pictures behind an address or a file's
id, which may change while the request stays the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from freehold.gateway.http.credentials import holds_own_key, is_credential
from freehold.gateway.messages import ApiKind
from freehold.types.route import CacheTerms
from freehold.wire.errors import UNREADABLE
from freehold.wire.openai import raw_fields

BODY_BYTES_MAX = 256 * 1024
"""A longer request is asked."""
_NOTHING = (b"", b"null", b"[]", b"{}", b"false")
_ELSEWHERE = (b'"image_url"', b'"file_id"', b'"file_url"', b'"url"', b'"source"')


class _Asked(msgspec.Struct, gc=False):
    """The fields that tell whether a request has one answer only; all others stay unread."""

    temperature: Any = None
    seed: Any = None
    n: Any = None
    best_of: Any = None
    store: Any = None
    tools: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    # The model's maker looks things up, runs them or keeps them: the same request need not have the same answer.
    previous_response_id: msgspec.Raw = msgspec.Raw()
    conversation: msgspec.Raw = msgspec.Raw()
    background: msgspec.Raw = msgspec.Raw()
    web_search_options: msgspec.Raw = msgspec.Raw()
    mcp_servers: msgspec.Raw = msgspec.Raw()
    container: msgspec.Raw = msgspec.Raw()
    context_management: msgspec.Raw = msgspec.Raw()


_asked = msgspec.json.Decoder(_Asked).decode
# They differ with every request, and no model sees them.
_TOLD_APART = frozenset(
    (
        "accept",
        "baggage",
        "cache-control",
        "connection",
        "content-length",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "pragma",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "user-agent",
        "x-correlation-id",
        "x-idempotency-key",
        "x-request-id",
    )
)
_TOLD_APART_PREFIXES = ("x-stainless-", "x-freehold-", "x-forwarded-", "sec-", "x-b3-", "x-datadog-")


def is_repeatable(kind: ApiKind, body: bytes, terms: CacheTerms) -> bool:
    """Whether a request's answer may be given to the next one that equals it. In doubt not."""
    if kind == "count_tokens" or len(body) > BODY_BYTES_MAX:
        return False
    try:
        asked = _asked(body)
        return kind == "embeddings" or (
            _is_without_chance(asked) and _is_the_models_alone(kind, asked) and _may_use_tools(asked, terms)
        )
    except UNREADABLE:
        return False


def key_of(parts: Iterable[bytes], body: bytes) -> bytes:
    """What two requests share where nothing tells them apart. `parts` are what stands outside of the body.

    The values of a body's fields count as they are written; their order does not.
    """
    fields = sorted((name.encode(), bytes(value)) for name, value in raw_fields(body).items())
    return hashlib.blake2b(msgspec.msgpack.encode([list(parts), fields]), digest_size=32).digest()


def told_by_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """The headers that may change an answer: all but those known not to, and keys (see `tenant_of`)."""
    kept = [(name, value) for name, value in headers if _matters(name)]
    return msgspec.msgpack.encode(sorted(kept))


@lru_cache(maxsize=1024)
def _matters(name: str) -> bool:
    return name not in _TOLD_APART and not name.startswith(_TOLD_APART_PREFIXES) and not is_credential(name)


_is_credential = lru_cache(maxsize=1024)(is_credential)


def tenant_of(key_name: str | None, headers: Iterable[tuple[str, str]], *, shared: bool) -> bytes:
    """Who may get whose answers: those with one key of the gateway, all keys where they are `shared`.

    Whatever else a client shows to say who it is must be the same: an upstream may answer each account differently, and
    where the gateway asks for no key, only the upstream can judge the clients' own.
    """
    credentials = sorted(
        (name, value) for name, value in headers if _is_credential(name) and not holds_own_key(value)
    )
    return msgspec.msgpack.encode([None if shared else key_name, credentials])


def _is_without_chance(asked: _Asked) -> bool:
    if asked.n not in (None, 1) or asked.best_of not in (None, 1):
        return False
    temperature, seed = asked.temperature, asked.seed
    return (type(temperature) in (int, float) and temperature == 0) or type(seed) is int


def _is_the_models_alone(kind: ApiKind, asked: _Asked) -> bool:
    """Whether the answer depends on nothing but the request, and leaves nothing behind."""
    # OpenAI's Responses API keeps what it answers unless told not to, and takes reusable prompts.
    if kind == "responses":
        if asked.store is not False or bytes(asked.prompt) not in _NOTHING:
            return False
    elif asked.store not in (None, False):
        return False
    at_the_maker = (
        asked.previous_response_id,
        asked.conversation,
        asked.background,
        asked.mcp_servers,
        asked.container,
        asked.context_management,
    )
    if any(bytes(one) not in _NOTHING for one in at_the_maker if one):
        return False
    # Without options it searches, too.
    if bytes(asked.web_search_options) not in (b"", b"null"):
        return False
    said = (asked.messages, asked.input, asked.system, asked.instructions)
    return not any(mark in one for one in map(bytes, said) if one for mark in _ELSEWHERE)


def _may_use_tools(asked: _Asked, terms: CacheTerms) -> bool:
    for raw in (bytes(asked.tools), bytes(asked.functions)):
        if raw in _NOTHING:
            continue
        if not terms.tools:
            return False
        tools = msgspec.json.decode(raw)
        if not isinstance(tools, list) or not all(_is_the_clients(tool) for tool in tools):
            return False
    return True


def _is_the_clients(tool: Any) -> bool:
    """Whether the client runs a tool, not the model's maker."""
    return isinstance(tool, dict) and tool.get("type", "function") in ("function", "custom")
