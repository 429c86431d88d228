"""Which requests have one answer only, so that it may be given again; and the key that two equal ones share.

Covered: chat, completions, responses, messages and embeddings, whichever API the client speaks. Without chance means
temperature 0, or a seed, and one choice; embeddings have none.
Not covered, so always asked: long bodies, which are not read on the loop; what the model's maker looks up, runs or
keeps (tools of its own, stored answers, conversations it continues); texts and pictures behind an address or a file's
id, which may change while the request stays the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from freehold.gateway.http.credentials import holds_own_key, is_credential
from freehold.gateway.messages import ApiKind
from freehold.types.route import CacheTerms
from freehold.wire.errors import UNREADABLE
from freehold.wire.openai import raw_fields

BODY_BYTES_MAX = 256 * 1024
"""A longer request is asked."""
_SHORT = 64
_NOTHING = (b"", b"null", b"[]", b"{}")
# The model's maker looks things up, runs them or keeps them: the same request need not have the same answer.
_AT_THE_MAKER = (
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "web_search_options",
    "mcp_servers",
    "container",
    "context_management",
)
_ELSEWHERE = (b'"image_url"', b'"file_id"', b'"file_url"', b'"url"', b'"source"')
_CONTENT = ("messages", "input", "system", "instructions")
_TOOLS = ("tools", "functions")
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
        fields = raw_fields(body)
        if kind == "embeddings":
            return True
        return (
            _is_without_chance(fields)
            and _is_the_models_alone(kind, fields)
            and _may_use_tools(fields, terms)
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
    kept = [
        (name, value)
        for name, value in headers
        if name not in _TOLD_APART and not name.startswith(_TOLD_APART_PREFIXES) and not is_credential(name)
    ]
    return msgspec.msgpack.encode(sorted(kept))


def tenant_of(key_name: str | None, headers: Iterable[tuple[str, str]], *, shared: bool) -> bytes:
    """Who may get whose answers: those with one key of the gateway, all keys where they are `shared`.

    Whatever else a client shows to say who it is must be the same: an upstream may answer each account differently, and
    where the gateway asks for no key, only the upstream can judge the clients' own.
    """
    credentials = sorted(
        (name, value) for name, value in headers if is_credential(name) and not holds_own_key(value)
    )
    return msgspec.msgpack.encode([None if shared else key_name, credentials])


def _is_without_chance(fields: Mapping[str, msgspec.Raw]) -> bool:
    if any(_value(fields, name) not in (None, 1) for name in ("n", "best_of")):
        return False
    temperature, seed = _value(fields, "temperature"), _value(fields, "seed")
    return (_is_number(temperature) and temperature == 0) or (_is_number(seed) and isinstance(seed, int))


def _is_the_models_alone(kind: ApiKind, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the answer depends on nothing but the request, and leaves nothing behind."""
    at_the_maker = [name for name in _AT_THE_MAKER if name != "prompt" or kind == "responses"]
    if any(_raw(fields, name) not in (*_NOTHING, b"false") for name in at_the_maker):
        return False
    # OpenAI's Responses API keeps what it answers unless told not to.
    if _value(fields, "store") not in ((False,) if kind == "responses" else (None, False)):
        return False
    return not any(mark in _raw(fields, name) for name in _CONTENT for mark in _ELSEWHERE)


def _may_use_tools(fields: Mapping[str, msgspec.Raw], terms: CacheTerms) -> bool:
    for name in _TOOLS:
        raw = _raw(fields, name)
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


def _raw(fields: Mapping[str, msgspec.Raw], name: str) -> bytes:
    return bytes(fields.get(name, b""))


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    raw = _raw(fields, name)
    return None if not raw else msgspec.json.decode(raw) if len(raw) <= _SHORT else raw


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
