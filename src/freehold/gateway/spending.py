"""What an answer may cost, read from its request, and what it did cost, read from its end.

A cap holds by what is reserved before an endpoint is asked, and a prompt is reserved by the bytes of its body. What a
body refers to (an address of an image, a file, a stored response, a cached prefix) is paid for as well and is not in
it; an image costs by its pixels, not its bytes. So text alone counts by bytes: whatever is not known to be text may
fill the model's context. What a maker runs and charges by the call has no bound.

Usage is read as `freehold.wire.usage` does, of every API, streamed or not: with what was read from and written to the
maker's cache, and the service tier; answers that report none (broken off, or an endpoint that does not count) are
estimated, and counted as estimated. Not covered: tools that a maker charges for by the call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from freehold.costs.prices import flat_price, request_price
from freehold.errors import MissingExtraError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.types.trace import Usage
from freehold.wire.usage import merged, read_usage

_USAGE = re.compile(rb'"(?:usage|usageMetadata|usage_metadata)" ?: ?(?=\{)')
_TIER = re.compile(rb'"service_tier" ?: ?"(batch|flex|priority)"')
_HEAD, _TAIL = 4096, 16_384
_BYTES_PER_TOKEN = 4
# A token has a byte at least. Beyond those seen there may be images, stored context, hidden reasoning: who reports
# more than this is billed as it says, and told of.
UNSEEN_TOKENS = 200_000
_MOST_TOKENS = 10**7
"""Of one answer: a count beyond that is not believed."""
_decoder = json.JSONDecoder()


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """The tokens of one answer, the names they are charged to, the endpoint and the model."""

    names: list[str]
    endpoint: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    estimated: bool = False
    implausible: bool = False
    usage: Usage | None = None
    """All that the answer counts, where it counts; the three counts before are those that an estimate has, too."""

    def counted(self) -> Usage:
        """What is to be priced."""
        return self.usage or Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_prompt_tokens=self.cached_tokens,
        )


def charge_of(
    names: Sequence[str], endpoint: str, model: str, api: str, request: bytes, answer: Sequence[bytes]
) -> Charge:
    """The bill of an answer, from the bytes that are at hand."""
    head, tail = ends_of(answer, api)
    told = merged(_last_usage(head), _last_usage(tail))
    usage = read_usage(told, service_tier=priced_tier(tail))
    prompt = None if usage is None else usage.prompt_tokens
    completion = None if usage is None else usage.completion_tokens
    if completion is None and prompt is not None and told.get("total_tokens") == prompt:
        completion = 0  # embeddings
    answer_bytes = sum(map(len, answer))
    implausible = (prompt or 0) > len(request) + UNSEEN_TOKENS or (
        completion or 0
    ) > answer_bytes + UNSEEN_TOKENS
    if (prompt or 0) > _MOST_TOKENS or (completion or 0) > _MOST_TOKENS:
        usage = prompt = completion = None
    cached = (usage.cached_prompt_tokens or 0) if usage is not None else 0
    if prompt is not None and completion is not None:
        return Charge(
            list(names), endpoint, model, prompt, cached, completion, implausible=implausible, usage=usage
        )
    chunks = sum(part.count(b"data:") for part in answer)
    return Charge(
        list(names),
        endpoint,
        model,
        prompt if prompt is not None else len(request) // _BYTES_PER_TOKEN,
        cached,
        chunks or answer_bytes // _BYTES_PER_TOKEN,
        estimated=True,
        implausible=implausible,
    )


def ends_of(answer: Sequence[bytes], api: str) -> tuple[bytes, bytes]:
    """The parts of an answer in which its usage stands. Anthropic's streams say at their beginning what went in, and
    again at their end; all others only at their end."""
    head = b"".join(answer[:3])[:_HEAD] if api == "anthropic" else b""
    return head, b"".join(answer[-3:])[-_TAIL:]


def usage_in(head: bytes, tail: bytes) -> Usage | None:
    """The tokens that an answer counts, read from `ends_of` it; None where it says none."""
    return read_usage(merged(_last_usage(head), _last_usage(tail)), service_tier=priced_tier(tail))


def usd_of(charge: Charge, config: GatewayConfig, *, at: datetime) -> Decimal | None:
    """What a bill comes to: the endpoint's own price, else its maker's list price; None where neither is known."""
    flat = config.prices.get(charge.endpoint)
    try:
        return request_price(
            charge.model,
            charge.counted(),
            at=at,
            flat=flat_price(flat),
        )
    except (UsageError, MissingExtraError):
        return None


def _last_usage(data: bytes) -> Any:
    """The last object of token counts in a part of an answer; None where there is none, or it is cut off."""
    for found in reversed(list(_USAGE.finditer(data))):
        try:
            return _decoder.raw_decode(data[found.end() :].decode("utf-8", "replace"))[0]
        except ValueError:
            continue
    return None


def priced_tier(data: bytes) -> str | None:
    """The last service tier with a price of its own that a request or an answer names."""
    found = _TIER.findall(data)
    return found[-1].decode() if found else None


LONGEST_CONTEXT = 2_000_000
"""Tokens, where the model's own context is not known: the longest that a maker states (Gemini 1.5 Pro)."""
LONGEST_ANSWER = 128_000
"""Tokens of one answer that states no limit, hidden reasoning included: the most that a maker states (GPT-5)."""
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_RUN_BY_MAKER = ("web_search_options", "plugins", "mcp_servers", "search_parameters")
_OWN_TOOLS = frozenset(("function", "custom"))
_TextType = Literal[
    "text", "input_text", "output_text", "summary_text", "reasoning_text", "refusal", "message", "reasoning",
    "thinking", "redacted_thinking", "function", "function_call", "function_call_output", "custom",
    "custom_tool_call", "custom_tool_call_output", "tool_use", "tool_result", "tool_call",
]  # fmt: skip
_TEXT = frozenset(get_args(_TextType))
_MOST = 10**9
_WITHIN = ("content", "output", "parts", "summary")
_CONVERSATIONS = ("messages", "input", "system", "contents")
_Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class _NothingStored(msgspec.Struct, gc=False, kw_only=True):
    """Fields of a request, or of a message, that stand for more than their own text: none is set."""

    previous_response_id: None = None
    conversation: None = None
    container: None = None
    cached_content: None = None
    cachedContent: None = None
    thread_id: None = None
    assistant_id: None = None
    audio: None = None
    images: None = None
    modalities: None = None
    file_ids: None = None
    attachments: None = None


_STORED = _NothingStored.__struct_fields__


class _Part(_NothingStored, gc=False, kw_only=True):
    type: _TextType = "text"
    content: str | None = None
    output: None = None
    parts: None = None
    summary: None = None


class _Message(_Part, gc=False, kw_only=True):
    content: str | list[_Part] | None = None  # type: ignore[assignment]


class _TextRequest(_NothingStored, gc=False, kw_only=True):
    """What nearly all requests are: text alone, one answer, and no tools. Read by its types it costs a tenth."""

    messages: list[_Message] = []
    input: str | list[_Message | str] | None = None
    system: str | list[_Part] | None = None
    prompt: str | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    max_output_tokens: _Count | None = None
    contents: None = None
    n: None = None
    best_of: None = None
    tools: None = None
    web_search_options: None = None
    plugins: None = None
    mcp_servers: None = None
    search_parameters: None = None


_text_request = msgspec.json.Decoder(_TextRequest)


class AskedBounds(NamedTuple):
    """`all_in_body`: no token of the prompt comes from elsewhere. `answers`: how many are paid for. `answer_tokens` of
    each, None where no limit is stated. `charged_tool` is the name of what the maker runs and charges by the call."""

    all_in_body: bool
    answers: int
    answer_tokens: int | None
    charged_tool: str | None = None


def bounds_of(body: bytes) -> AskedBounds:
    """The bounds of a request in whatever API's words; of a body that cannot be read the widest."""
    try:
        text = _text_request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    else:
        stated = (text.max_tokens, text.max_completion_tokens, text.max_output_tokens)
        most = None if stated == (None, None, None) else max(stated[0] or 0, stated[1] or 0, stated[2] or 0)
        return AskedBounds(all_in_body=True, answers=1, answer_tokens=most)
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        return AskedBounds(all_in_body=False, answers=1, answer_tokens=None)
    prompts = asked.get("prompt")
    answers = max(1, *(_whole(asked.get(name)) or 1 for name in ("n", "best_of")))
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        answers *= len(prompts)  # of the older API: each has answers of its own
    limits = [count for name in _LIMITS if (count := _whole(asked.get(name))) is not None]
    return AskedBounds(
        all_in_body=not isinstance(prompts, dict) and not _refers(asked),
        answers=answers,
        answer_tokens=max(limits, default=None),
        charged_tool=next(_charged(asked), None),
    )


def _charged(asked: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in _RUN_BY_MAKER if asked.get(name))
    tools = asked.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        kind = tool.get("type", "custom") if isinstance(tool, dict) else "?"
        if kind not in _OWN_TOOLS:
            yield str(kind)[:64]


def _refers(asked: dict[str, Any]) -> bool:
    """Whether anything in the request, or in its conversation, is not known to be text."""
    if any(asked.get(name) for name in _STORED):
        return True
    left = [asked[name] for name in _CONVERSATIONS if name in asked]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            if one.get("type", "text") not in _TEXT or any(one.get(name) for name in _STORED):
                return True
            left += [one[name] for name in _WITHIN if name in one]
    return False


def _whole(value: Any) -> int | None:
    """A number as an upstream may read it, be it written as 1e3 or as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return max(0, min(int(float(value)), _MOST))
    except (ValueError, OverflowError):
        return None
