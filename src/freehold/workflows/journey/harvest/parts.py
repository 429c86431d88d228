"""The requests of a harvest, part by part, before any is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from freehold.evals.chat.requests import chat_request, request_key
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task
from freehold.types.harvest import HarvestPartName
from freehold.types.record import content_id
from freehold.workflows.journey.drafting import tokens_in

TOP_LOGPROBS = 20
"""Alternatives of each token: as many as OpenAI's API gives (reference of chat completions, read 2026-11)."""
PICTURES = (
    "{count:,} requests with pictures, sounds or files are left out: what they cost has no bound known here"
)


PartName = HarvestPartName | Literal["labels"]
"""Of a harvest, or second answers to what a model wrote."""


class Ask(NamedTuple):
    """One request. `about` is the sample, or what else it is about; `plain_key` is the key under which `freeze` keeps
    the same answer. `completion_tokens` is how long the answer will be, as far as is known."""

    key: str
    model: str
    body: dict[str, Any]
    about: str
    completion_tokens: int
    plain_key: str | None = None
    sample: Sample | None = None


class PlannedPart(NamedTuple):
    """One part's requests, or why there are none."""

    name: PartName
    model: str
    asks: tuple[Ask, ...] = ()
    not_taken: str | None = None
    notes: tuple[str, ...] = ()


class Asked(NamedTuple):
    """Who is asked, and how."""

    endpoint: Endpoint
    model: str
    task: Task

    @property
    def served(self) -> ServedModel:
        return ServedModel(name=self.model, upstream_name=self.model)

    def key(self, body: dict[str, Any], model: str, number: int = 0) -> str:
        """Of a request with all its parameters: the same one is never paid twice."""
        return content_id([self.endpoint.base_url, model, body, number])


def answers_to(name: HarvestPartName, asked: Asked, samples: Iterable[Sample]) -> PlannedPart:
    """Ask as `freeze` does, and for log-probabilities. Samples that have them already are left out."""
    asks, notes = [], []
    whole, pictures = _in_words(samples)
    for sample in whole:
        if sample.teacher is not None:
            continue
        plain = chat_request(sample, asked.served, asked.task, asked.endpoint)
        body = {**plain, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        asks.append(
            Ask(
                key=asked.key(body, asked.model),
                model=asked.model,
                body=body,
                about=sample.id,
                completion_tokens=_answer_tokens(sample, body),
                plain_key=request_key(plain, asked.served, asked.endpoint),
                sample=sample,
            )
        )
    if pictures:
        notes.append(PICTURES.format(count=pictures))
    empty = None
    if not asks:
        empty = "their log-probabilities are here already" if whole else "there are no such requests"
    return PlannedPart(name, asked.model, tuple(asks), empty, tuple(notes))


def repeats_of(asked: Asked, samples: Sequence[Sample], repeats: int) -> PlannedPart:
    """Ask `repeats` times as the application asked: at its own temperature, with its own limits."""
    if repeats < 2:
        return PlannedPart("repeats", asked.model, not_taken="fewer than two repeats say nothing about noise")
    asks = []
    whole, pictures = _in_words(samples)
    for number in range(repeats):
        for sample in whole:
            body = chat_request(sample, asked.served, None, asked.endpoint, repeat=number)
            body.setdefault("max_tokens", asked.task.max_tokens)  # else a request's cost has no bound
            asks.append(
                Ask(
                    key=asked.key(body, asked.model, number + 1),
                    model=asked.model,
                    body=body,
                    about=sample.id,
                    completion_tokens=_answer_tokens(sample, body),
                    sample=sample,
                )
            )
    said = sum(sample.asking is not None and sample.asking.temperature is not None for sample in samples)
    notes = [f"{repeats} answers to each sample (k = {repeats})"]
    if said < len(samples):
        notes.append(
            f"{len(samples) - said:,} of {len(samples):,} requests name no temperature: the API's default"
        )
    if pictures:
        notes.append(PICTURES.format(count=pictures))
    return PlannedPart("repeats", asked.model, tuple(asks), None, tuple(notes))


def written_by(
    asked: Asked,
    model: str,
    messages: list[dict[str, str]],
    *,
    about: str,
    max_tokens: int,
    temperature: float,
    number: int = 0,
) -> Ask:
    """A request of freehold's own to the model that writes. `number` tells it from the same one asked before."""
    body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": temperature}
    return Ask(asked.key(body, model, number), model, body, about, max_tokens // 2)


def _in_words(samples: Iterable[Sample]) -> tuple[list[Sample], int]:
    """Those whose cost has a bound, and how many have none."""
    words, others = [], 0
    for sample in samples:
        parts = [
            part
            for message in sample.messages
            for part in (message.content if isinstance(message.content, list) else ())
        ]
        if all(isinstance(part, dict) and part.get("type") in ("text", "refusal") for part in parts):
            words.append(sample)
        else:
            others += 1
    return words, others


def _answer_tokens(sample: Sample, body: dict[str, Any]) -> int:
    """As long as the answer that is known; the limit where none is."""
    said = sample.incumbent or sample.target
    limit = int(body["max_tokens"])
    return limit if said is None else min(limit, tokens_in(len(msgspec.json.encode(said))))
