"""`judge`: a model grades the answer by a rubric.

In mode ``absolute`` it is a scorer like the others. In mode ``pairwise`` the two models' answers are compared
with each other (`freehold.evals.pairwise`), which needs both; asked for a single answer it abstains.
The reference other scorers compare with may be the incumbent's own answer: the judge is told gold alone.
"""

from __future__ import annotations

from typing import Any

from freehold.evals.comparing import question
from freehold.evals.judging import Judge, JudgeOptions, told_answer
from freehold.evals.scorer import EMPTY, AskedModel, Scorer, read_options
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class JudgeScorer(Scorer):
    """The judge's grade, from 0 to 1. What the judge can't be asked or read about is unscored."""

    name = "judge"
    binary = False
    needs_reference = False
    right_by_agreement = False
    checks_parity = False

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, JudgeOptions)
        self.at_once = self.options.concurrency
        kept = self.options.cache is not None
        self.asks = AskedModel(self.options.base_url, self.options.model, self.options.api_key_env, kept)
        self._judge = Judge(self.options)
        self._open: Judge | None = None

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if self.options.mode == "pairwise":
            return Score(value=None, reason="pairwise: compares two answers, and was given one")
        if not answer.strip():
            return EMPTY
        if self._open is None:
            self._open = self._judge
            await self._open.__aenter__()
        grade = await self._open.grade(question(sample), answer, told_answer(sample))
        return Score(value=grade.value, reason=grade.reason)

    async def close(self) -> None:
        """Close the connection and the cache."""
        judge, self._open = self._open, None
        if judge is not None:
            await judge.__aexit__(None, None, None)
