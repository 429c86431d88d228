"""A chat completion of an encoder's answer, plain and in chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freehold.encoders.answers import AnswerToken, EncoderAnswer
from freehold.encoders.runner import EncodedText
from freehold.engines.encoder.requests import ChatRequest

CUT_HEADER = "x-freehold-tokens-cut"
PROBABILITY_DECIMALS = 12
"""Enough to tell apart the answers of an encoder that is nearly always sure."""


class Completion:
    """One answer to one request.

    Besides OpenAI's fields it has ``freehold``: the probability of the answer, and how many tokens of the message were
    not read. A text that was cut is told in a header, too.
    """

    def __init__(
        self, asked: ChatRequest, found: EncoderAnswer, read: EncodedText, *, number: int, created: int
    ) -> None:
        self._asked = asked
        self._head = {"id": f"chatcmpl-encoder-{created}-{number}", "created": created, "model": asked.model}
        self._tokens, self._text, self._finish = limited(found, asked.max_tokens, asked.stops)
        self._usage = {
            "prompt_tokens": read.tokens,
            "completion_tokens": len(self._tokens),
            "total_tokens": read.tokens + len(self._tokens),
        }
        self._about = {
            "probability": round(found.probability, PROBABILITY_DECIMALS),
            "tokens_cut": read.cut,
        }
        self.headers = {CUT_HEADER: str(read.cut)} if read.cut else {}

    def plain(self) -> dict[str, Any]:
        """The whole answer."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self._text, "refusal": None},
            "logprobs": self._logprobs(),
            "finish_reason": self._finish,
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage,
            "freehold": self._about,
        }

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The answer as a stream: all of its text at once, since it was decided at once, and the end."""
        head = {**self._head, "object": "chat.completion.chunk"}
        delta = {"role": "assistant", "content": self._text}
        yield {
            **head,
            "choices": [{"index": 0, "delta": delta, "logprobs": self._logprobs(), "finish_reason": None}],
        }
        end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._finish}
        yield {**head, "choices": [end], "freehold": self._about}
        if self._asked.include_usage:
            yield {**head, "choices": [], "usage": self._usage}

    def _logprobs(self) -> dict[str, Any] | None:
        if self._asked.top is None:
            return None
        content = [
            {
                **_entry(token.text, token.logprob),
                "top_logprobs": [_entry(*one) for one in token.likeliest[: self._asked.top]],
            }
            for token in self._tokens
        ]
        return {"content": content, "refusal": None}


def limited(
    found: EncoderAnswer, max_tokens: int | None, stops: tuple[str, ...]
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
