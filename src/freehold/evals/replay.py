"""Captured requests sent to any endpoint, and the answers scored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from freehold.errors import UpstreamError, UsageError
from freehold.evals.answer_cache import AnswerCache
from freehold.evals.answers import Answer
from freehold.evals.chat_client import ChatClient, Patience
from freehold.evals.requests import chat_request, request_key
from freehold.evals.scoring import score_all, scorer_of
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import EvalResult, Task

Reference = Callable[[Sample], str | None]
OnProgress = Callable[[int, int], None]
Parameters = Callable[[Sample], dict[str, Any]]

_UNREACHABLE_LIMIT = 8


class Budget(NamedTuple):
    """The most a replay may spend. None is no limit. Counted in tokens as the endpoint reports them."""

    requests: int | None = None
    tokens: int | None = None


class Replayed(NamedTuple):
    """An answer with the sample it belongs to. `cached` says that nobody was asked for it now."""

    sample: Sample
    answer: Answer
    cached: bool


def target(sample: Sample) -> str | None:
    """What an answer is compared with by default: gold where there is one, else the incumbent's answer."""
    return sample.target


async def replay(
    endpoint: Endpoint,
    model: str,
    samples: Sequence[Sample],
    task: Task,
    *,
    concurrency: int = 4,
    on_progress: OnProgress | None = None,
    cache_path: Path | None = None,
    reference: Reference = target,
    patience: Patience | None = None,
    budget: Budget | None = None,
) -> list[EvalResult]:
    """Ask `model` of `endpoint` every sample and score the answers; the results are in the samples' order.

    `model` is a served name of the endpoint, or any name where the endpoint lists none. With a `cache_path`
    answers are kept as they come and not asked for again. What fails through nobody's fault after all
    retries is unscored with its reason; what is the model's fault scores 0.

    Raises `UpstreamError` when the endpoint can't be reached at all, refuses the key or the model, or
    refuses every request; `UsageError` for a model it does not serve; `StorageError` from the cache.
    """
    answered = await answers(
        endpoint,
        model,
        samples,
        task,
        concurrency=concurrency,
        on_progress=on_progress,
        cache_path=cache_path,
        patience=patience,
        budget=budget,
    )
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
    concurrency: int = 4,
    on_progress: OnProgress | None = None,
    cache_path: Path | None = None,
    patience: Patience | None = None,
    budget: Budget | None = None,
    parameters: Parameters | None = None,
    repeat: int = 0,
) -> list[Replayed]:
    """The answers alone, in the samples' order. Raises as `replay` does.

    `parameters` gives a sample's own request parameters (temperature, stop …), which then count instead of the
    task's. `repeat` tells one asking from another in the cache, so that the same request can be asked again.
    """
    if concurrency < 1:
        raise UsageError(f"concurrency is {concurrency}, expected at least 1")
    served = served_model(endpoint, model)
    with AnswerCache(cache_path) as cache:
        async with ChatClient(endpoint, concurrency=concurrency, patience=patience) as client:
            run = _Run(
                client, served, samples, task, cache, on_progress, budget or Budget(), parameters, repeat
            )
            return await run.all(concurrency)


def served_model(endpoint: Endpoint, model: str) -> ServedModel:
    """The served model of that name. Raises `UsageError` when the endpoint lists others only."""
    served = endpoint.served(model)
    if served is None and endpoint.models:
        raise UsageError(
            f"endpoint {endpoint.name} does not serve {model}",
            hint=f"it serves {', '.join(one.name for one in endpoint.models)}",
        )
    return served or ServedModel(name=model, upstream_name=model)


class _Run:
    """One replay under way: workers take samples off one iterator, so at most `concurrency` are asked at once."""

    def __init__(
        self,
        client: ChatClient,
        served: ServedModel,
        samples: Sequence[Sample],
        task: Task,
        cache: AnswerCache,
        on_progress: OnProgress | None,
        budget: Budget,
        parameters: Parameters | None,
        repeat: int,
    ) -> None:
        self._client = client
        self._served = served
        self._samples = samples
        self._task = task
        self._cache = cache
        self._on_progress = on_progress
        self._budget = budget
        self._parameters = parameters
        self._repeat = repeat
        self._results: list[Replayed | None] = [None] * len(samples)
        self._done = self._asked = self._tokens = 0
        self._unreachable_in_a_row = 0

    async def all(self, concurrency: int) -> list[Replayed]:
        todo = iter(range(len(self._samples)))
        workers = [asyncio.create_task(self._work(todo)) for _ in range(min(concurrency, len(self._samples)))]
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
        for place in todo:
            sample = self._samples[place]
            own = self._parameters(sample) if self._parameters is not None else {}
            body = chat_request(sample, self._served, self._task, own)
            key = request_key(body, self._served, self._client.endpoint, self._repeat)
            answer, cached = self._cache.get(key), True
            if answer is None:
                cached = False
                answer = self._over_budget() or await self._client.ask(body)
                self._count(answer)
                self._cache.put(key, answer)
            self._results[place] = Replayed(sample, answer, cached)
            self._done += 1
            if self._on_progress is not None:
                self._on_progress(self._done, len(self._samples))

    def _over_budget(self) -> Answer | None:
        for name, spent, limit in (
            ("requests", self._asked, self._budget.requests),
            ("tokens", self._tokens, self._budget.tokens),
        ):
            if limit is not None and spent >= limit:
                return Answer(
                    fault="infrastructure", error=f"budget_spent: {spent:,} of {limit:,} {name}", attempts=0
                )
        return None

    def _count(self, answer: Answer) -> None:
        self._asked += answer.attempts
        if answer.usage is not None:
            self._tokens += (answer.usage.prompt_tokens or 0) + (answer.usage.completion_tokens or 0)
        unreachable = answer.fault == "infrastructure" and (answer.error or "").startswith("unreachable")
        self._unreachable_in_a_row = self._unreachable_in_a_row + 1 if unreachable else 0
        if self._unreachable_in_a_row >= min(_UNREACHABLE_LIMIT, len(self._samples)):
            raise UpstreamError(
                f"{self._client.endpoint.base_url} can't be reached: {(answer.error or '').partition(': ')[2]}",
                hint="start it, then run the same command again: answers so far are kept",
            )

    def _check_refusals(self, results: list[Replayed]) -> None:
        refused = [
            one.answer.error
            for one in results
            if (one.answer.error or "").startswith(("refused_request", "context_overflow"))
        ]
        if results and len(refused) == len(results):
            raise UpstreamError(
                f"endpoint {self._client.endpoint.name} refuses every request: {refused[0]}",
                hint="ask it by hand with one of the samples; fewer max_tokens or a larger context may do",
            )
