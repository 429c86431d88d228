"""What a replay sends of a captured request, what it leaves out or refuses, and how many tokens that can take.

A field goes on only where it is known to change nothing but the answer: what an API does for one that is not known here
(searches, plugins, other models, other prices) has no bound.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.evals.chat.cost_bounds import LIMITS, hosted_tools, is_count, is_more_than_text
from freehold.types.trace import Trace, Usage

ANSWER_TOKENS = 1024
"""The limit of an answer whose request has none."""

_OVERHEAD_TOKENS = 64
"""What an API may add around messages and tools, generously."""
_BYTES_PER_TOKEN = 3
# OpenAI's chat completions, then what other APIs and engines take for how tokens are drawn and prompts are written.
_SENT = frozenset({
    "messages", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "stop",
    "seed", "temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs",
    "reasoning_effort", "verbosity", "user", "safety_identifier", "prompt_cache_key", "modalities",
    "max_completion_tokens", "max_tokens",
    "top_k", "top_a", "min_p", "typical_p", "repetition_penalty", "repeat_penalty", "min_tokens", "stop_token_ids",
    "ignore_eos", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs", "safe_prompt", "random_seed",
})  # fmt: skip
_TRAVELS = frozenset({"model", "stream", "stream_options"})
"""Replaced, or about how an answer travels: not worth a note."""


class ReplayRequest(NamedTuple):
    """The fields that are sent, the most tokens of the answer, and what is otherwise than in what was captured."""

    fields: dict[str, Any]
    answer_tokens: int
    notes: tuple[str, ...]


def body_of(trace: Trace, model: str) -> ReplayRequest:
    """The body of a replay. Raises `UsageError` for anything but a chat, for what would act at the other end, and
    for what has no bound."""
    request = trace.request
    if trace.kind != "chat" or not isinstance(request.get("messages"), list) or not request["messages"]:
        raise UsageError("only chat requests are asked again", hint="their messages must have been captured")
    hosted = hosted_tools(request)
    if hosted:
        raise UsageError(
            f"the API itself would run {', '.join(hosted)}, which can change things and has a price of its own",
            hint="ask it by hand, where that is wanted",
        )
    if "audio" in request or request.get("modalities") not in (None, [], ["text"]):
        raise UsageError(
            "answers in sound or pictures are not asked for again", hint="what they cost is not bounded"
        )
    fields = {name: value for name, value in request.items() if name in _SENT and name not in LIMITS}
    notes = []
    if left := sorted(request.keys() - _SENT - _TRAVELS):
        notes.append(
            "Left out, since it changes how an answer is kept or billed, or is not known here: "
            f"{', '.join(name[:40] for name in left)}."
        )
    if offered := request.get("tools"):
        notes.append(f"It offers {len(offered)} tools. Calls in the answer are shown, and not made.")
    limits = {name: request[name] for name in LIMITS if request.get(name) is not None}
    for said in limits.values():
        if not is_count(said):
            raise UsageError(f"its limit of tokens is {str(said)[:40]}, which is none")
    if not limits:
        limits = {"max_tokens": ANSWER_TOKENS}
        notes.append(f"It has no limit of its own, and is cut at {ANSWER_TOKENS:,} tokens here.")
    if trace.source == "gateway":
        notes.append("What redaction replaced when it was captured stays replaced.")
    # Which of two limits counts differs between APIs.
    return ReplayRequest(fields | limits | {"model": model}, max(limits.values()), tuple(notes))


def tokens_of(trace: Trace, body: ReplayRequest) -> tuple[Usage, Usage]:
    """What the request will about take, and what it can take: a text has at most as many tokens as bytes. Raises
    `UsageError` where it holds more than text and its tokens were not counted when it was captured."""
    limit = body.answer_tokens
    size = len(msgspec.json.encode({name: value for name, value in body.fields.items() if name != "model"}))
    counted = trace.usage.prompt_tokens if trace.usage is not None else None
    answered = trace.usage.completion_tokens if trace.usage is not None else None
    most = size + _OVERHEAD_TOKENS
    if any(is_more_than_text(message) for message in body.fields["messages"]):
        if not counted:
            raise UsageError(
                "it holds more than text, and its tokens were not counted, so its cost has no bound"
            )
        # Models count pictures differently; by twice as many tokens between those of one maker.
        most = max(most, 2 * counted)
    expected = Usage(
        prompt_tokens=counted or size // _BYTES_PER_TOKEN + 1, completion_tokens=min(answered or limit, limit)
    )
    return expected, Usage(prompt_tokens=most, completion_tokens=limit)
