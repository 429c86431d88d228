"""Answers turned into results: faults first, then what the scorer says, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from freehold.evals.answers import Answer
from freehold.evals.scorers import for_task
from freehold.evals.scorers.scorer import Scorer
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score, Task

_PURE_AT_ONCE = 1
"""Scorers that only compute gain nothing from being awaited together."""


@asynccontextmanager
async def scorer_of(task: Task) -> AsyncIterator[Scorer]:
    """The task's scorer; what it holds (a process, a connection) is given back at the end."""
    scorer = for_task(task)
    try:
        yield scorer
    finally:
        close = getattr(scorer, "close", None)
        if close is not None:
            await close()


async def scored(
    scorer: Scorer, model: str, sample: Sample, answer: Answer, reference: str | None
) -> EvalResult:
    """An answer with its score: nobody's fault is unscored, the model's own scores 0."""
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
    )


async def score_all(
    scorer: Scorer,
    model: str,
    samples: Sequence[Sample],
    answers: Sequence[Answer],
    references: Sequence[str | None],
) -> list[EvalResult]:
    """Results in the samples' order; as many at once as the scorer says it `at_once` can take."""
    limit = asyncio.Semaphore(getattr(scorer, "at_once", _PURE_AT_ONCE))

    async def one(sample: Sample, answer: Answer, reference: str | None) -> EvalResult:
        async with limit:
            return await scored(scorer, model, sample, answer, reference)

    return await asyncio.gather(*(one(*triple) for triple in zip(samples, answers, references, strict=True)))
