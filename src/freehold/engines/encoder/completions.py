"""A chat completion of an encoder's answer, whole and in chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from freehold.encoders.answers import AnswerToken, EncoderAnswer
from freehold.encoders.runner import EncodedText
from freehold.engines.encoder.requests import ChatRequest

PROBABILITY_DECIMALS = 12
"""Enough to tell apart the answers of an encoder that is nearly always sure."""


def completion(
    asked: ChatRequest, found: EncoderAnswer, read: EncodedText, *, number: int, created: int
) -> dict[str, Any]:
    """The whole answer. Besides OpenAI's fields it has ``freehold``: the probability of the answer, and how many tokens
    of the message were not read."""
    stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    tokens, text, finish = limited(found, asked.max_completion_tokens or asked.max_tokens, stops)
    content = [
        {
            **_entry(token.text, token.logprob),
            "top_logprobs": [_entry(*one) for one in token.likeliest[: asked.top_logprobs or 0]],
        }
        for token in tokens
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": {"content": content, "refusal": None} if asked.logprobs else None,
        "finish_reason": finish,
    }
    return {
        "id": f"chatcmpl-encoder-{created}-{number}",
        "created": created,
        "model": asked.model,
        "object": "chat.completion",
        "choices": [choice],
        "usage": {
            "prompt_tokens": read.tokens,
            "completion_tokens": len(tokens),
            "total_tokens": read.tokens + len(tokens),
        },
        "freehold": {
            "probability": round(found.probability, PROBABILITY_DECIMALS),
            "tokens_cut": read.cut,
        },
    }


def chunks(whole: dict[str, Any], *, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The answer as a stream: all of its text at once, since it was decided at once, and the end."""
    (choice,) = whole["choices"]
    head = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    delta = {"role": "assistant", "content": choice["message"]["content"]}
    first = {"index": 0, "delta": delta, "logprobs": choice["logprobs"], "finish_reason": None}
    end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    yield {**head, "choices": [first]}
    yield {**head, "choices": [end], "freehold": whole["freehold"]}
    if include_usage:
        yield {**head, "choices": [], "usage": whole["usage"]}


def limited(
    found: EncoderAnswer, max_tokens: int | None, stops: Sequence[str]
) -> tuple[tuple[AnswerToken, ...], str, str]:
    """Tokens, text and finish reason of an answer under a limit of tokens and texts that end it."""
    tokens, finish = found.tokens, "stop"
    if max_tokens is not None and len(tokens) > max_tokens:
        tokens, finish = tokens[:max_tokens], "length"
    text = "".join(token.text for token in tokens)
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    if not ends:
        return tokens, text, finish
    text = text[: min(ends)]
    begun, kept = 0, []
    for token in tokens:
        if begun >= len(text):
            break
        kept.append(token)
        begun += len(token.text)
    return tuple(kept), text, "stop"


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
