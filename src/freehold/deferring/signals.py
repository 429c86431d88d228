"""How sure a candidate is of its answer, read from a chat completion, whole or in chunks.

Covered: the probability that freehold's encoder engine gives with each answer; log-probabilities as OpenAI's API gives
them (``logprobs.content``), of texts, JSON answers and tool calls.
Not covered: several choices. Whatever is incomplete gives no signal, so that the incumbent answers: a cut answer, a
token without a log-probability, tokens that do not make up the answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from freehold.types.deferral import SignalName
from freehold.types.engine import EngineKind

ASK_FOR_LOGPROBS = {"logprobs": True, "top_logprobs": 1}
"""Fields of a chat request with which an engine tells log-probabilities. llama.cpp tells none for ``top_logprobs`` 0,
and 20 alternatives where nothing is said."""
TOLD = "freehold"
"""Where the encoder engine tells its probability, beside OpenAI's fields."""
LEAST_LOGPROB = -9999.0
"""What vLLM writes for minus infinity."""
_STRUCTURE = frozenset(b'{}[],:"')
_COMPLETE = frozenset({"stop", "tool_calls", "function_call"})
_WHITESPACE = b" \t\r\n"
_NOT_ASCII = bytes(range(128, 256))


def readable(kind: EngineKind) -> tuple[SignalName, ...]:
    """The signals that answers of such an engine can carry; empty where it tells nothing of how sure it is.

    Where it is not known before asking (`EngineKind.tells_confidence` is ``unsure``), those that it may carry.
    """
    if kind.tells_confidence == "probability":
        return ("probability",)
    return () if kind.tells_confidence is None else ("mean_logprob", "min_logprob", "field_min_logprob")


def asks_with(kind: EngineKind) -> dict[str, Any]:
    """The fields that a chat request needs for its answer to carry signals."""
    return dict(ASK_FOR_LOGPROBS) if "mean_logprob" in readable(kind) else {}


def unreadable_note(kind: EngineKind) -> str | None:
    """What must be said when a plan is made; None where an engine of the kind always tells how sure it is."""
    if kind.tells_confidence is None:
        return (
            f"{kind.title} gives no log-probabilities, so how sure it is cannot be read from its answers: only a "
            "router, which decides from the request, can be measured."
        )
    if kind.tells_confidence == "unsure":
        return (
            f"Whether {kind.title} gives log-probabilities is not known before it is asked; without them only a "
            "router, which decides from the request, can be measured."
        )
    return None


class AnswerSignals:
    """The signals of an answer that comes whole or in chunks: `take` each, then ask for `signals`."""

    def __init__(self) -> None:
        self._tokens: list[_Token] = []
        self._content: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish: str | None = None
        self._probability: float | None = None
        self._unclear = False

    def take(self, body: Mapping[str, Any]) -> None:
        """A completion, or a chunk of one."""
        self.take_told(body.get(TOLD))
        choices = body.get("choices")
        if not isinstance(choices, list):
            return
        for choice in choices:
            if not isinstance(choice, Mapping) or choice.get("index", 0) != 0 or len(choices) > 1:
                self._unclear = True
                continue
            message = choice.get("delta") or choice.get("message")
            self.take_choice(choice.get("logprobs"), message, choice.get("finish_reason"))

    def take_told(self, told: Any) -> None:
        """What the encoder engine tells beside OpenAI's fields."""
        if isinstance(told, Mapping):
            probability = _number(told, "probability")
            if probability is not None and 0 <= probability <= 1:
                self._probability = probability

    def take_choice(self, logprobs: Any, message: Any, finish_reason: Any) -> None:
        """One choice's part: its ``logprobs``, its ``message`` or ``delta``, and why it ended."""
        if isinstance(finish_reason, str):
            self._finish = finish_reason
        if isinstance(message, Mapping):
            for name in ("content", "refusal"):
                if isinstance(message.get(name), str):
                    self._content.append(message[name])
            for place, call in enumerate(message.get("tool_calls") or ()):
                self._take_call(place, call)
        entries = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        for entry in entries if isinstance(entries, list) else ():
            token = _token(entry)
            if token is None:
                self._unclear = True
            else:
                self._tokens.append(token)

    def signals(self, *, fields: bool = True) -> dict[SignalName, float]:
        """What was told of the answer, now that it is complete; empty where nothing is told, or not all of it.

        With `fields` a JSON object's answer has ``field_min_logprob``, too: of its least likely value.
        Log-probabilities are natural logarithms.
        """
        if self._unclear or self._finish not in _COMPLETE:
            return {}
        if self._probability is not None:
            return {"probability": self._probability}
        if not self._tokens:
            return {}
        content = "".join(self._content)
        pieces = [
            text for call in self._calls.values() for text in ("".join(call.name), "".join(call.arguments))
        ]
        for removed in (_WHITESPACE, _WHITESPACE + _NOT_ASCII):
            found = _aligned(self._tokens, content, pieces, removed)
            if found is not None:
                return _of_tokens(found, fields=fields)
        return {}

    def _take_call(self, place: int, call: Any) -> None:
        if not isinstance(call, Mapping) or not isinstance(call.get("function"), Mapping):
            self._unclear = True
            return
        index = call.get("index")
        held = self._calls.setdefault(index if isinstance(index, int) else place, _Call([], []))
        for name, parts in (("name", held.name), ("arguments", held.arguments)):
            if isinstance(call["function"].get(name), str):
                parts.append(call["function"][name])


def _number(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


class _Token(NamedTuple):
    text: bytes
    logprob: float


class _Call(NamedTuple):
    name: list[str]
    arguments: list[str]


class _Own(NamedTuple):
    """The tokens of the answer itself, each with where it begins in `text`, the answer without spaces."""

    tokens: list[tuple[int, _Token]]
    text: bytes


def _token(entry: Any) -> _Token | None:
    if not isinstance(entry, Mapping):
        return None
    text, logprob, raw = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    if math.isnan(logprob):
        return None
    try:
        # A token may end in the middle of a letter: its bytes are then not its text.
        data = bytes(raw) if isinstance(raw, list) else text.encode("utf-8", "replace")
    except (TypeError, ValueError):
        return None
    return _Token(data, min(0.0, max(float(logprob), LEAST_LOGPROB)))


def _aligned(tokens: Sequence[_Token], content: str, pieces: Sequence[str], removed: bytes) -> _Own | None:
    """The tokens that make up the answer; None where they do not.

    Spaces do not count, since engines strip answers and some tokens' texts lack the space before them. What the model
    thought before it answered, and the template's tokens around the answer, are no part of it.
    """
    squeezed = [_Token(token.text.translate(None, removed), token.logprob) for token in tokens]
    joined = b"".join(token.text for token in squeezed)
    first = end = 0
    if text := content.encode("utf-8", "replace").translate(None, removed):
        first = joined.rfind(text)
        end = first + len(text)
        if first < 0:
            return None
    elif not any(pieces) or content.strip():
        return None
    began = bool(text)
    for piece in pieces:
        wanted = piece.encode("utf-8", "replace").translate(None, removed)
        at = joined.find(wanted, end)
        if at < 0:
            return None
        first, began, end = (first if began else at), True, at + len(wanted)
    own, begins = [], 0
    for token in squeezed:
        ends = begins + len(token.text)
        if token.text and begins < end and ends > first:
            own.append((begins - first, token))
        begins = ends
    return _Own(own, joined[first:end]) if own else None


def _of_tokens(own: _Own, *, fields: bool) -> dict[SignalName, float]:
    spans = list(_field_spans(own.text))
    logprobs = _without_signs(own.tokens) if spans else [token.logprob for _, token in own.tokens]
    found: dict[SignalName, float] = {"mean_logprob": _mean(logprobs), "min_logprob": min(logprobs)}
    if fields and spans:
        found["field_min_logprob"] = min(
            math.fsum(
                _without_signs(
                    [one for one in own.tokens if one[0] < end and one[0] + len(one[1].text) > first]
                )
            )
            for first, end in spans
        )
    return found


def _without_signs(tokens: Sequence[tuple[int, _Token]]) -> list[float]:
    """Log-probabilities of the tokens that say something, not of JSON's brackets and quotes; of all where all are."""
    saying = [token.logprob for _, token in tokens if not _STRUCTURE.issuperset(token.text)]
    return saying or [token.logprob for _, token in tokens]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _field_spans(squeezed: bytes) -> Iterator[tuple[int, int]]:
    """Where each value of a JSON object stands in it; nothing for other texts. Fenced objects count."""
    # Latin-1 keeps one character for each byte; what the letters are does not matter here.
    text = squeezed.decode("latin-1")
    at = text.find("{")
    if at < 0 or not text.startswith(("{", "```")):
        return
    decoder = json.JSONDecoder(strict=False)
    scan: Callable[[str, int], tuple[Any, int]] = decoder.raw_decode
    try:
        _, end = scan(text, at)
        at += 1
        while at < end and text[at] != "}":
            _, at = scan(text, at)  # the key
            _, after = scan(text, at + 1)  # behind the colon
            yield at + 1, after
            at = after + (text[after] == ",")
    except (ValueError, RecursionError, IndexError):
        return
