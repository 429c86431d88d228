"""A model asked to judge answers: any endpoint, a rubric, every judgement cached.

Covered: pairs in both orders, single answers on a scale. Not covered: what the judge can't know (a policy, a price
list): put it into the rubric or the reference.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from freehold.errors import ConfigError
from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.chat.chat_client import ChatClient, Patience
from freehold.evals.judging.rubric import Rubric, load
from freehold.evals.normalizing import collapsed
from freehold.evals.scorer import Options
from freehold.types.endpoint import Endpoint
from freehold.types.record import content_id

Choice = Literal["C", "I", "T"]
"""A judgement of a pair: candidate, incumbent, tie."""


class JudgeOptions(Options, frozen=True, kw_only=True):
    """`base_url` and `model` of the judge's API; `api_key_env` names the variable with its key.

    `mode`: ``pairwise`` compares candidate and incumbent, in both orders; ``absolute`` grades each answer alone.
    `rubric` is a TOML file, `human_labels` a file of human labels (``freehold label``) that calibrates the
    judge, `cache` a file where judgements are kept.
    """

    base_url: str
    model: str
    api_key_env: str | None = None
    mode: Literal["pairwise", "absolute"] = "pairwise"
    rubric: str | None = None
    human_labels: str | None = None
    cache: str | None = None
    max_tokens: int = 512
    concurrency: int = 4
    streaming: bool = False


class Grade(NamedTuple):
    """A grade from 0 to 1, or why there is none."""

    value: float | None
    reason: str


class PairJudgement(NamedTuple):
    """Both orders of one pair: the candidate's answer first, then second. None where unreadable, with the reason."""

    candidate_first: Choice | None
    candidate_second: Choice | None
    reason: str | None = None


class Judge:
    """Asks the judge; an async context manager."""

    def __init__(self, options: JudgeOptions, *, patience: Patience | None = None) -> None:
        if options.concurrency < 1:
            raise ConfigError(f"scorer judge: concurrency is {options.concurrency}, expected at least 1")
        self.options = options
        self.rubric: Rubric = load(Path(options.rubric) if options.rubric else None, options.mode)
        endpoint = Endpoint(
            name=options.base_url, engine="remote", base_url=options.base_url, api_key_env=options.api_key_env
        )
        self._client = ChatClient(
            endpoint, concurrency=options.concurrency, patience=patience, stream=options.streaming
        )
        self._cache = AnswerCache(Path(options.cache) if options.cache else None)
        self._grades: dict[tuple[str, str, str | None], asyncio.Task[Grade]] = {}

    async def __aenter__(self) -> Judge:
        self._cache.__enter__()
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._client.__aexit__(kind, error, trace)
        finally:
            self._cache.__exit__(kind, error, trace)

    async def grade(self, question: str, answer: str, reference: str | None) -> Grade:
        """One answer on the rubric's scale, as a share from 0 to 1.

        Answers that differ only in white space get one grade between them: a judge need not repeat itself.
        """
        asked = question, collapsed(answer), reference
        if asked not in self._grades:
            self._grades[asked] = asyncio.create_task(self._grade(question, answer, reference))
        return await self._grades[asked]

    async def _grade(self, question: str, answer: str, reference: str | None) -> Grade:
        text, error = await self._ask(
            self.rubric.messages(question=question, answer=answer, reference=reference or "–")
        )
        if text is None:
            return Grade(None, f"judge_failed: {error}")
        found = self.rubric.verdict_in(text)
        try:
            value = float(found) if found is not None else None
        except ValueError:
            value = None
        low, high = self.rubric.lowest, self.rubric.highest
        if value is None or not low <= value <= high:
            return Grade(None, "judge_unreadable: no grade on the scale in the judge's answer")
        return Grade((value - low) / (high - low), f"graded: {value:g} of {high:g}")

    async def compare(
        self, question: str, candidate: str, incumbent: str, reference: str | None
    ) -> PairJudgement:
        """The pair judged in both orders."""
        first, why = await self._order(question, candidate, incumbent, reference, ("C", "I"))
        second, why_not = await self._order(question, incumbent, candidate, reference, ("I", "C"))
        return PairJudgement(first, second, why or why_not)

    async def _order(
        self, question: str, a: str, b: str, reference: str | None, sides: tuple[Choice, Choice]
    ) -> tuple[Choice | None, str | None]:
        text, error = await self._ask(
            self.rubric.messages(question=question, answer_a=a, answer_b=b, reference=reference or "–")
        )
        if text is None:
            return None, f"judge_failed: {error}"
        found = (self.rubric.verdict_in(text) or "").strip().upper()
        if found in {"A", "1"}:
            return sides[0], None
        if found in {"B", "2"}:
            return sides[1], None
        if found in {"C", "TIE", "T", "0", "3"}:
            return "T", None
        return None, "judge_unreadable: no verdict in the judge's answer"

    async def _ask(self, messages: list[dict[str, str]]) -> tuple[str | None, str | None]:
        body: dict[str, Any] = {
            "model": self.options.model,
            "messages": messages,
            "temperature": 0.0,
            "max_tokens": self.options.max_tokens,
        }
        key = content_id({"judge": self.options.base_url, "body": body})
        answer = self._cache.get(key)
        if answer is None:
            answer = await self._client.ask(body)
            self._cache.put(key, answer)
        return (None, answer.error) if answer.fault is not None else (answer.output or "", None)
