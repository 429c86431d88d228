"""Answers turned into results: faults first, then what the scorer says, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from freehold.evals.answers import ChatAnswer
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import for_task, scorer_class
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score, Task


@asynccontextmanager
async def scorer_of(task: Task) -> AsyncIterator[Scorer]:
    """The task's scorer, closed at the end."""
    scorer = for_task(task)
    try:
        yield scorer
    finally:
        await scorer.close()


def sandbox_of(task: Task) -> str | None:
    """What holds the user's own code while the task's scorer runs it; None where it runs none."""
    return scorer_class(task.scorer).own_sandbox(task.options)


async def scored(
    scorer: Scorer, model: str, sample: Sample, answer: ChatAnswer, reference: str | None
) -> EvalResult:
    """An answer with its score: unscored after an infrastructure fault, 0 after the model's own."""
    if answer.fault == "infrastructure":
        score = Score(value=None, reason=answer.error)
    elif answer.fault == "candidate":
        score = Score(value=0.0, reason=answer.error, format_ok=False)
    else:
        score = await scorer.score(sample, answer.output or "", reference)
    return EvalResult(
        sample_id=sample.id,
        model=model,
        output=answer.output,
        score=score,
        ttft_ms=answer.ttft_ms,
        total_ms=answer.total_ms,
        usage=answer.usage,
        error=answer.error,
        signals=answer.signals or {},
    )


async def score_all(
    scorer: Scorer,
    model: str,
    samples: Sequence[Sample],
    answers: Sequence[ChatAnswer],
    references: Sequence[str | None],
) -> list[EvalResult]:
    """Results in the samples' order; `Scorer.at_once` answers are scored at a time.

    Raises what the scorer raises, and scores nothing further then.
    """
    limit = asyncio.Semaphore(scorer.at_once)

    async def one(sample: Sample, answer: ChatAnswer, reference: str | None) -> EvalResult:
        async with limit:
            return await scored(scorer, model, sample, answer, reference)

    tasks = [asyncio.ensure_future(one(*triple)) for triple in zip(samples, answers, references, strict=True)]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
