"""What traffic shows an application needs: tools, schemas, images, length, concurrency, repetition."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from freehold.types.asking import demands_a_call
from freehold.types.planning.assessment import Needs
from freehold.types.trace import Trace
from freehold.workflows.choose.languages import language_of

CHARACTERS_PER_TOKEN = 4
LANGUAGE_SHARE = 0.05
"""A language in fewer of the traces is not yet a need."""
LOOKED_AT_CHARACTERS = 2_000
NO_TRACES = (
    "no traces: what is not stated is assumed (4,096 tokens a request, one at once, neither tools nor images)"
)
SEEN_TRACES = 5_000
"""Traces looked at, newest last; enough for medians and maxima."""


def needs_of(traces: Iterable[Trace]) -> Needs:
    """Needs as the traces show them; without traces nothing is concluded."""
    originals = [trace for trace in traces if trace.parent_id is None]
    if not originals:
        return Needs(how=(NO_TRACES,))
    prompts = [_prompt_tokens(trace) for trace in originals]
    answers = [_completion_tokens(trace) for trace in originals]
    longest = max(prompt + answer for prompt, answer in zip(prompts, answers, strict=True))
    requests = [trace.request for trace in originals]
    how = [f"{len(originals):,} traces"]
    shares = _languages(originals)
    languages = tuple(code for code, share in shares if share >= LANGUAGE_SHARE)
    if languages:
        how.append(f"languages by script and common words: {', '.join(languages)}")
    rest = [(code, share) for code, share in shares if share < LANGUAGE_SHARE]
    if sum(share for _, share in rest) >= LANGUAGE_SHARE:
        named = ", ".join(f"{code} {share:.0%}" for code, share in rest[:4])
        how.append(
            f"other languages together {sum(share for _, share in rest):.0%} ({named}), each too few to be a need: "
            "--language names one"
        )
    if any(trace.usage is None for trace in originals):
        how.append(f"tokens without a count estimated at {CHARACTERS_PER_TOKEN} characters each")
    demanded = sum(map(demands_a_call, requests))
    if demanded:
        how.append(f"{demanded:,} of them demand a tool call")
    return Needs(
        calls_demanded=demanded,
        tools=any(request.get("tools") or request.get("functions") for request in requests),
        json_schema=any(_format(request) in ("json_schema", "json_object") for request in requests),
        vision=any(_has_image(request.get("messages")) for request in requests),
        languages=languages,
        context_tokens=max(256, -(-longest // 256) * 256),
        concurrency=_concurrency(originals),
        prompt_tokens=round(statistics.median(prompts)),
        completion_tokens=round(statistics.median(answers)),
        duplicate_share=1 - len({msgspec.json.encode(request) for request in requests}) / len(requests),
        cacheable_prefix_share=_prefix_share(requests),
        prompt_tokens_p95=_share_under(prompts, 0.95),
        completion_tokens_p95=_share_under(answers, 0.95),
        peak_factor=_peak(originals),
        language_shares=shares,
        traces=len(originals),
        how=tuple(how),
    )


def _share_under(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _peak(traces: list[Trace]) -> float | None:
    """Busiest hour over average hour."""
    times = [trace.at.timestamp() for trace in traces]
    hours = (max(times) - min(times)) / 3600
    if hours < 24:
        return None
    busiest = max(Counter(int(at // 3600) for at in times).values())
    return max(1.0, busiest / (len(times) / hours))


def _languages(traces: list[Trace]) -> tuple[tuple[str, float], ...]:
    """Shares of languages: what the caller stated in the metadata, else by the user's own words."""
    found: Counter[str] = Counter()
    for trace in traces:
        stated = trace.metadata.get("language")
        code = stated.lower()[:2] if isinstance(stated, str) and len(stated) >= 2 else _own_language(trace)
        if code is not None:
            found[code] += 1
    return tuple((code, count / sum(found.values())) for code, count in found.most_common())


def _own_language(trace: Trace) -> str | None:
    messages = trace.request.get("messages")
    if not isinstance(messages, list):
        return None
    own = [one for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    return language_of(_text(own)[:LOOKED_AT_CHARACTERS])


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
