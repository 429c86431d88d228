"""Token counts as APIs and tools spell them: the one reader, for imports, capture, costs and spending limits.

Covered: OpenAI chat, completions, embeddings and Responses; Anthropic; Bedrock's Converse; Gemini; Ollama; DeepSeek;
what LiteLLM, LangChain, Langfuse and the Vercel AI SDK make of them. Spelt in snake_case or camelCase.
Not covered: tools and searches charged by the call, images and video apart from text.

What differs between them, and its source (read 2026-11-27):

- Anthropic and Bedrock count what was read from or written to the cache apart from their input, all others inside it
  (platform.claude.com "Prompt caching"; docs.aws.amazon.com "Prompt caching", TokenUsage).
- Gemini counts thoughts beside its candidates' tokens, and prompts of tools beside the prompt (ai.google.dev,
  UsageMetadata); so do some OpenAI-compatible endpoints in front of it, which only the total tells
  (github.com/QuantumNous/new-api, issue 1103).
- Langfuse stores kinds that do not overlap: its `input` is without what was cached (github.com/langfuse/langfuse,
  packages/shared/src/server/otel and ingestion).

Where a total is told it decides: a record that adds up in one way only was counted in that way.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from freehold.types.trace import ServiceTier, Usage

_PROMPT = ("prompt_tokens", "input_tokens", "prompt_token_count", "prompt_eval_count", "input")
_COMPLETION = ("completion_tokens", "output_tokens", "candidates_token_count", "eval_count", "output")
_TOTAL = ("total_tokens", "total_token_count", "total")
_READ = ("in.cached_tokens", "in.cache_read", "in.cache_read_tokens", "cache_read_input_tokens", "input_cached_tokens",
         "cached_content_token_count", "cached_input_tokens", "input_cache_read", "prompt_cache_read_tokens",
         "prompt_cache_hit_tokens", "cache_read_tokens", "cached_tokens")  # fmt: skip
_WRITTEN = ("in.cache_write_tokens", "in.cache_creation", "in.cache_write", "in.cache_creation_tokens",
            "cache_creation_input_tokens", "cache_write_input_tokens", "input_cache_creation",
            "prompt_cache_write_tokens", "cache_write_tokens")  # fmt: skip
_WRITTEN_5M = ("in.ephemeral_5m_input_tokens", "input_cache_creation_5m", "prompt_cache_write_5m")
_WRITTEN_1H = ("in.ephemeral_1h_input_tokens", "input_cache_creation_1h", "prompt_cache_write_1h")
_REASONING = ("out.reasoning_tokens", "out.reasoning", "out.thinking_tokens", "thoughts_token_count",
              "output_reasoning_tokens", "output_reasoning", "reasoning_tokens")  # fmt: skip
_HEARD = ("in.audio_tokens", "in.audio", "input_audio_tokens", "prompt_audio_tokens", "input_audio")
_SPOKEN = ("out.audio_tokens", "out.audio", "output_audio_tokens", "completion_audio_tokens", "output_audio")
_BESIDE = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens", "cache_write_input_tokens"})
"""Counts that stand beside `input_tokens`, not inside it, where they have these names."""

_PLACES = {
    "prompt_tokens_details": "in.", "input_tokens_details": "in.", "input_token_details": "in.",
    "prompt_token_details": "in.",
    "completion_tokens_details": "out.", "output_tokens_details": "out.", "output_token_details": "out.",
    "completion_token_details": "out.",
    "cache_creation": "in.",
}  # fmt: skip
_TIERS: dict[str, ServiceTier] = {"batch": "batch", "flex": "flex", "priority": "priority"}
_KEYS = ("usage", "usageMetadata", "usage_metadata", "token_usage")
_DEEPEST = 4
"""Objects of counts in each other; the APIs and tools above go two deep."""
MOST_TOKENS = (1 << 63) - 1
"""What the store's column takes."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def usage_of(body: Any) -> Usage | None:
    """The usage that an answer's body tells, in any of the APIs; None where it tells none."""
    if not isinstance(body, dict):
        return None
    for name in _KEYS:
        if isinstance(body.get(name), dict):
            return read_usage(body[name], service_tier=body.get("service_tier"))
    return read_usage(body) if "eval_count" in body or "prompt_eval_count" in body else None


def read_usage(usage: Any, *, service_tier: Any = None) -> Usage | None:
    """One object of token counts; None where it holds none.

    `prompt_tokens` of the result are all of the prompt, cached and written ones too, and `completion_tokens` all that
    was generated, reasoning too, however they were counted. Counts below zero, fractions and other things are not
    counts.
    """
    if not isinstance(usage, dict):
        return None
    counts = _flat(usage)
    prompt, completion = _one(counts, _PROMPT), _one(counts, _COMPLETION)
    if prompt is None and completion is None:
        return None
    read, written, hour = _one(counts, _READ), _written(counts), _one(counts, _WRITTEN_1H)
    reasoning, total = _one(counts, _REASONING), _one(counts, _TOTAL)
    heard, spoken = _one(counts, _HEARD), _one(counts, _SPOKEN)
    if prompt is not None:
        prompt += counts.get("tool_use_prompt_token_count", 0)
        prompt += _beside_prompt(counts, prompt, completion or 0, (read or 0) + (written or 0), total)
    if completion is not None or "thoughts_token_count" in counts:
        completion = completion or 0
        completion += _beside_completion(counts, prompt or 0, completion, reasoning or 0, total)
    # Each count fits the store's column, their sum need not.
    prompt, completion = (None if one is None or one > MOST_TOKENS else one for one in (prompt, completion))
    if prompt is None and completion is None:
        return None
    tier = usage.get("service_tier") or service_tier
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_prompt_tokens=_within(read, prompt),
        cache_write_tokens=_within(written, prompt),
        cache_write_1h_tokens=_within(hour, written),
        reasoning_tokens=_within(reasoning, completion),
        audio_prompt_tokens=_within(heard, prompt),
        audio_completion_tokens=_within(spoken, completion),
        service_tier=_TIERS.get(tier) if isinstance(tier, str) else None,
    )


def merged(before: Any, later: Any) -> dict[str, Any]:
    """Anthropic's usage of a stream, told at its beginning and again at its end: the end counts, but for what it leaves
    at 0 or out."""
    whole = dict(before) if isinstance(before, dict) else {}
    if isinstance(later, dict):
        whole |= {name: value for name, value in later.items() if value or name not in whole}
    return whole


def chat_usage(usage: Usage | None) -> dict[str, Any]:
    """As the chat API spells it: what was cached is a part of the prompt."""
    usage = usage or Usage()
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    # The reference has both, and the packages made from it count on them.
    asked = {
        "cached_tokens": usage.cached_prompt_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
    }
    told: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": asked,
    }
    if usage.reasoning_tokens:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return told


def message_usage(usage: Usage | None) -> dict[str, Any]:
    """As Anthropic's messages spell it: what was cached stands apart from the input."""
    usage = usage or Usage()
    read, written = usage.cached_prompt_tokens or 0, usage.cache_write_tokens or 0
    told: dict[str, Any] = {
        "input_tokens": max(0, (usage.prompt_tokens or 0) - read - written),
        "output_tokens": usage.completion_tokens or 0,
    }
    if read:
        told["cache_read_input_tokens"] = read
    if written:
        told["cache_creation_input_tokens"] = written
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told


def response_usage(usage: Usage | None) -> dict[str, Any]:
    """As the Responses API spells it."""
    usage = usage or Usage()
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return {
        "input_tokens": prompt,
        # Both, as in the chat API.
        "input_tokens_details": {
            "cached_tokens": usage.cached_prompt_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": prompt + completion,
    }


def count_or_none(value: Any) -> int | None:
    """A number of tokens, also where it stands as text or as a whole float; None for what cannot be one, and for more
    than the store's column takes."""
    is_text = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    if is_text or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _beside_prompt(
    counts: dict[str, int], prompt: int, completion: int, cached: int, total: int | None
) -> int:
    """What was read from or written to the cache and is not in `prompt`."""
    if not cached:
        return counts.get("input_audio_tokens", 0) if "input" in counts else 0
    if "input" in counts:  # Langfuse: kinds that do not overlap, unless the total says so
        return 0 if total == prompt + completion else cached + counts.get("input_audio_tokens", 0)
    if cached > prompt:
        return cached
    if "input_tokens" not in counts or not _BESIDE & counts.keys():
        return 0
    # AWS describes its total as input and output alone, with what was cached in neither.
    snake_total = "total_tokens" in counts and "cache_write_input_tokens" not in counts
    return 0 if snake_total and total == prompt + completion else cached


def _beside_completion(
    counts: dict[str, int], prompt: int, completion: int, reasoning: int, total: int | None
) -> int:
    """What was thought and is not in `completion`."""
    if "thoughts_token_count" in counts:
        return reasoning
    if "output" in counts:
        beside = reasoning + counts.get("output_audio_tokens", 0)
        return 0 if total == prompt + completion else beside
    if reasoning and (reasoning > completion or total == prompt + completion + reasoning):
        return reasoning
    return 0


def _written(counts: dict[str, int]) -> int | None:
    whole = _one(counts, _WRITTEN)
    short, long = _one(counts, _WRITTEN_5M), _one(counts, _WRITTEN_1H)
    if short is None and long is None:
        return whole
    return min(MOST_TOKENS, max(whole or 0, (short or 0) + (long or 0)))


def _one(counts: dict[str, int], names: tuple[str, ...]) -> int | None:
    """The first of the names that is counted; one that counts something goes before a 0."""
    found = None
    for name in names:
        count = counts.get(name)
        if count:
            return count
        if count == 0:
            found = 0
    return found


def _within(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)


def _flat(usage: dict[str, Any], depth: int = 0) -> dict[str, int]:
    """All counts of a usage object by their names in snake_case, those of details with their side before it."""
    counts: dict[str, int] = {}
    if depth > _DEEPEST:
        return counts
    for name, value in usage.items():
        key = _snake(name)
        if type(value) is int:  # nearly all are
            if 0 <= value <= MOST_TOKENS:
                counts[key] = value
        elif isinstance(value, dict):
            place = _PLACES.get(key)
            if place is not None:
                for inner, number in _flat(value, depth + 1).items():
                    counts.setdefault(place + inner.removeprefix("in."), number)
        elif isinstance(value, list):
            counts |= _listed(key, value)
        elif (count := count_or_none(value)) is not None:
            counts[key] = count
    return counts


def _listed(key: str, listed: list[Any]) -> dict[str, int]:
    """Gemini's counts by modality, of which sound has its own price; Bedrock's writes by how long they are kept."""
    side = {"prompt_tokens_details": "in.audio_tokens", "candidates_tokens_details": "out.audio_tokens"}.get(
        key
    )
    found: dict[str, int] = {}
    for one in listed:
        if not isinstance(one, dict):
            continue
        if side is not None and str(one.get("modality")).upper() == "AUDIO":
            count = count_or_none(one.get("tokenCount", one.get("token_count")))
            found[side] = min(MOST_TOKENS, found.get(side, 0) + (count or 0))
        elif key == "cache_details" and one.get("ttl") in ("5m", "1h"):
            found[f"in.ephemeral_{one['ttl']}_input_tokens"] = count_or_none(one.get("inputTokens")) or 0
    return found


@functools.lru_cache(maxsize=1024)
def _snake(name: str) -> str:
    return _CAMEL.sub("_", name).lower()
