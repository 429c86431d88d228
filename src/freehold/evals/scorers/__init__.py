"""Scorers: one a file, all in one table, imported late; and answers scored by them.

`SCORERS` is the only place where a name is tied to a file; `docs/reference/scorers.md` is checked against it.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from freehold.errors import ConfigError, did_you_mean
from freehold.evals.scorer import ChatAnswer, Scorer
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score, Task

SCORERS: dict[str, str] = {
    "label": "freehold.evals.scorers.label:LabelScorer",
    "exact": "freehold.evals.scorers.exact:ExactScorer",
    "numeric": "freehold.evals.scorers.numeric:NumericScorer",
    "regex": "freehold.evals.scorers.regex:RegexScorer",
    "contains": "freehold.evals.scorers.contains:ContainsScorer",
    "json_fields": "freehold.evals.scorers.json_fields:JsonFieldsScorer",
    "tool_call": "freehold.evals.scorers.tool_call:ToolCallScorer",
    "turn": "freehold.evals.scorers.turn:TurnScorer",
    "code": "freehold.evals.scorers.code:CodeScorer",
    "semantic": "freehold.evals.scorers.semantic:SemanticScorer",
    "judge": "freehold.evals.scorers.judge:JudgeScorer",
}


def scorer_class(name: str) -> type[Scorer]:
    """The class of the scorer of that name. Raises `ConfigError` for an unknown one."""
    target = SCORERS.get(name)
    if target is None:
        raise unknown(name)
    module, _, attribute = target.partition(":")
    found: type[Scorer] = getattr(importlib.import_module(module), attribute)
    return found


def unknown(name: str) -> ConfigError:
    """The error for a name that no scorer has."""
    return ConfigError(
        f"unknown scorer {name}", hint=did_you_mean(name, SCORERS, f"scorers: {', '.join(SCORERS)}")
    )


def make(name: str, options: dict[str, Any] | None = None) -> Scorer:
    """The scorer of that name with its options.

    Raises `ConfigError` for an unknown name, an unknown option or a value of the wrong type, and
    `MissingExtraError` where the scorer needs an extra that is not installed.
    """
    return scorer_class(name)(options or {})


def for_task(task: Task) -> Scorer:
    """The scorer a task names, with the task's options."""
    return make(task.scorer, task.options)


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
