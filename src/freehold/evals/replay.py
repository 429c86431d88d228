"""Captured requests sent to any endpoint, and the answers scored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from freehold.deferring.signals import asks_with
from freehold.errors import UpstreamError, UsageError
from freehold.evals.asking import AnswerCache, Asker, chat_request, request_key
from freehold.evals.asking import Budget as Budget
from freehold.evals.client import ChatClient, Patience, limited, spending_cap
from freehold.evals.scorer import ChatAnswer
from freehold.evals.scorers import score_all, scorer_of
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import EvalResult, Task

Reference = Callable[[Sample], str | None]
OnProgress = Callable[[int, int], None]


class ReplayOptions(NamedTuple):
    """How samples are asked. With a `cache_path` answers are kept as they come and not asked for again.

    `repeat` tells one asking from another in the cache, so that the same request can be asked again.
    """

    concurrency: int = 4
    cache_path: Path | None = None
    patience: Patience | None = None
    budget: Budget | None = None
    repeat: int = 0
    as_live: bool = False
    """Ask only with what a recorded request said, as the answer it is compared with was asked for. Under a cap of
    spending one without a limit of tokens gets one: else what it costs has no bound."""
    signals: bool = False
    """Have answers carry how sure the model was, where its engine tells that."""


class Replayed(NamedTuple):
    """An answer with the sample it belongs to. `cached` says that it was not asked for now."""

    sample: Sample
    answer: ChatAnswer
    cached: bool


_DEFAULTS = ReplayOptions()
LIVE_ANSWER_TOKENS = 1024
"""At least that many are allowed where a limit must be said; more where the task allows more."""


def target(sample: Sample) -> str | None:
    """What an answer is compared with by default: gold where there is one, else the incumbent's answer."""
    return sample.target


async def replay(
    endpoint: Endpoint,
    model: str,
    samples: Sequence[Sample],
    task: Task,
    *,
    options: ReplayOptions = _DEFAULTS,
    reference: Reference = target,
    on_progress: OnProgress | None = None,
) -> list[EvalResult]:
    """Ask `model` of `endpoint` every sample and score the answers; the results are in the samples' order.

    `model` is a served name of the endpoint, or any name where the endpoint lists none. What fails through an
    infrastructure fault after all retries is unscored with its reason; what is the model's fault scores 0.

    Raises `UpstreamError` when the endpoint can't be reached at all, refuses the key or the model, or
    refuses every request; `UsageError` for a model it does not serve; `StorageError` from the cache.
    """
    answered = await answers(endpoint, model, samples, task, options=options, on_progress=on_progress)
    async with scorer_of(task) as scorer:
        return await score_all(
            scorer, model, samples, [one.answer for one in answered], [reference(one) for one in samples]
        )


async def answers(
    endpoint: Endpoint,
    model: str,
    samples: Sequence[Sample],
    task: Task,
    *,
    options: ReplayOptions = _DEFAULTS,
    on_progress: OnProgress | None = None,
) -> list[Replayed]:
    """The answers alone, in the samples' order. Raises as `replay` does."""
    if options.concurrency < 1:
        raise UsageError(f"concurrency is {options.concurrency}, expected at least 1")
    served = served_model(endpoint, model)
    with AnswerCache(options.cache_path) as cache:
        async with ChatClient(endpoint, concurrency=options.concurrency, patience=options.patience) as client:

            def request(sample: Sample) -> tuple[str, dict[str, Any]]:
                asked_by = None if options.as_live else task
                body = chat_request(sample, served, asked_by, endpoint, repeat=options.repeat)
                if options.as_live and spending_cap.get() is not None:
                    body = limited(body, max(task.max_tokens, LIVE_ANSWER_TOKENS))
                return request_key(body, served, endpoint, options.repeat), body

            telling = _telling(endpoint) if options.signals else None
            asker = Asker(client, cache, options.budget, len(samples), telling=telling)
            return await _Replay(asker, samples, request, options, on_progress).all()


def served_model(endpoint: Endpoint, model: str) -> ServedModel:
    """The served model of that name. Raises `UsageError` when the endpoint lists others only."""
    served = endpoint.served(model)
    if served is None and endpoint.models:
        raise UsageError(
            f"endpoint {endpoint.name} does not serve {model}",
            hint=f"it serves {', '.join(one.name for one in endpoint.models)}",
        )
    return served or ServedModel(name=model, upstream_name=model)


def _telling(endpoint: Endpoint) -> dict[str, Any]:
    """The fields with which the endpoint tells how sure it is; none where it has no word for that."""
    kind = endpoint.engine_kind
    cannot = kind.tells_confidence == "logprobs" and not endpoint.capabilities.logprobs
    return {} if cannot else asks_with(kind)


class _Replay:
    """One replay under way: workers take samples off one iterator, so at most `concurrency` are asked at once.

    `request` gives a sample's key in the cache and the body to ask with.
    """

    def __init__(
        self,
        asker: Asker,
        samples: Sequence[Sample],
        request: Callable[[Sample], tuple[str, dict[str, Any]]],
        options: ReplayOptions,
        on_progress: OnProgress | None,
    ) -> None:
        self._asker = asker
        self._samples = samples
        self._request = request
        self._options = options
        self._on_progress = on_progress
        self._results: list[Replayed | None] = [None] * len(samples)
        self._done = 0

    async def all(self) -> list[Replayed]:
        todo = iter(range(len(self._samples)))
        workers = [
            asyncio.create_task(self._work(todo))
            for _ in range(min(self._options.concurrency, len(self._samples)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        results = [result for result in self._results if result is not None]
        self._check_refusals(results)
        return results

    async def _work(self, todo: Iterator[int]) -> None:
        for row in todo:
            sample = self._samples[row]
            key, body = self._request(sample)
            answer, cached = await self._asker.ask(key, body)
            self._results[row] = Replayed(sample, answer, cached)
            self._done += 1
            if self._on_progress is not None:
                self._on_progress(self._done, len(self._samples))

    def _check_refusals(self, results: list[Replayed]) -> None:
        refused = [
            one.answer.error
            for one in results
            if (one.answer.error or "").startswith(("refused_request", "context_overflow"))
        ]
        if results and len(refused) == len(results):
            raise UpstreamError(
                f"endpoint {self._asker.endpoint.name} refuses every request: {refused[0]}",
                hint="ask it by hand with one of the samples; fewer max_tokens or a larger context may do",
            )
