"""What traffic shows an application needs: tools, schemas, images, length, concurrency, repetition."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from typing import Any

import msgspec

from freehold.types.assessment import Needs
from freehold.types.trace import Trace

CHARACTERS_PER_TOKEN = 4
SEEN_TRACES = 5_000
"""Traces looked at, newest last; enough for medians and maxima."""


def needs_of(traces: Iterable[Trace]) -> Needs:
    """Needs as the traces show them; nothing is concluded from no traces."""
    seen = [trace for trace in traces if trace.parent_id is None]
    if not seen:
        return Needs(how=("no traces: needs are those stated",))
    prompts = [_prompt_tokens(trace) for trace in seen]
    answers = [_completion_tokens(trace) for trace in seen]
    longest = max(prompt + answer for prompt, answer in zip(prompts, answers, strict=True))
    requests = [trace.request for trace in seen]
    how = [f"{len(seen):,} traces"]
    if any(trace.usage is None for trace in seen):
        how.append(f"tokens without a count estimated at {CHARACTERS_PER_TOKEN} characters each")
    return Needs(
        tools=any(request.get("tools") or request.get("functions") for request in requests),
        json_schema=any(_format(request) in ("json_schema", "json_object") for request in requests),
        vision=any(_has_image(request.get("messages")) for request in requests),
        context_tokens=max(256, -(-longest // 256) * 256),
        concurrency=_concurrency(seen),
        prompt_tokens=round(statistics.median(prompts)),
        completion_tokens=round(statistics.median(answers)),
        duplicate_share=1 - len({msgspec.json.encode(request) for request in requests}) / len(requests),
        cacheable_prefix_share=_prefix_share(requests),
        traces=len(seen),
        how=tuple(how),
    )


def _prompt_tokens(trace: Trace) -> int:
    if trace.usage is not None and trace.usage.prompt_tokens is not None:
        return trace.usage.prompt_tokens
    return -(-len(_text(trace.request.get("messages"))) // CHARACTERS_PER_TOKEN)


def _completion_tokens(trace: Trace) -> int:
    if trace.usage is not None and trace.usage.completion_tokens is not None:
        return trace.usage.completion_tokens
    choices = (trace.response or {}).get("choices")
    return -(-len(_text(choices)) // CHARACTERS_PER_TOKEN)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, dict):
        return "".join(_text(value.get(key)) for key in ("content", "text", "message", "arguments"))
    return ""


def _format(request: dict[str, Any]) -> str | None:
    chosen = request.get("response_format")
    kind = chosen.get("type") if isinstance(chosen, dict) else None
    return kind if isinstance(kind, str) else None


def _has_image(messages: Any) -> bool:
    if not isinstance(messages, list):
        return False
    return any(
        isinstance(part, dict) and part.get("type") in ("image_url", "input_image", "image")
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for part in message["content"]
    )


def _concurrency(traces: list[Trace]) -> int:
    """Most requests under way at one moment, where the traces say how long each took."""
    moments: list[tuple[float, int]] = []
    for trace in traces:
        if trace.total_ms:
            began = trace.at.timestamp()
            moments += [(began, 1), (began + trace.total_ms / 1000, -1)]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return max(1, most)


def _prefix_share(requests: list[dict[str, Any]]) -> float:
    """How much of the prompts repeats the beginning of another: neighbours in sorted order share the most."""
    prompts = sorted(_text(request.get("messages")) for request in requests)
    total = sum(map(len, prompts))
    shared = 0
    for one, other in itertools.pairwise(prompts):
        length = 0
        for left, right in zip(one, other, strict=False):
            if left != right:
                break
            length += 1
        shared += length
    return shared / total if total else 0.0
