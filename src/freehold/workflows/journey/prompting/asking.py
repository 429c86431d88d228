"""Samples asked in one way and scored, for a search: each request written down before it is sent, within the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import msgspec
from anyio.from_thread import BlockingPortal

from freehold.errors import UpstreamError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.chat_client import ChatClient
from freehold.evals.chat.requests import chat_request, request_key
from freehold.evals.replay import served_model
from freehold.evals.scorer import Scorer
from freehold.evals.scoring import score_all
from freehold.prompts.measuring import PromptAnswer, SearchEndedError
from freehold.types.dataset import Sample
from freehold.types.evaluation import Task
from freehold.types.preparation import Preparation
from freehold.types.progress import Progress
from freehold.waiting import result_of
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.paying.prices import Prices

_FINISH_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.02
ANSWERS = "answers"
"""The candidate's part of what was asked and paid."""


R = TypeVar("R")


def waited(work: Future[R]) -> R:
    """The result of work in another thread's loop. Ctrl-C here ends it there, instead of waiting for its answers."""
    try:
        return result_of(work)
    except BaseException:
        work.cancel()
        raise


class Purse(NamedTuple):
    """What was asked and paid, over all runs, and the most that may be."""

    paid: PaidAnswers
    budget_usd: Decimal | None

    def holds(self, most_usd: Decimal) -> bool:
        """Whether a request that can cost this much may be sent."""
        return self.budget_usd is None or self.paid.committed_usd + most_usd <= self.budget_usd

    def ask(self, key: str, part: str, most_usd: Decimal, *, about: str) -> None:
        """Write down a request that is about to be sent.

        Raises `SearchEndedError` where the budget does not hold it.
        """
        if not self.holds(most_usd):
            raise SearchEndedError(
                f"the budget: ${self.paid.spent_usd:.4f} of ${self.budget_usd:.2f} are spent, and the next request can "
                f"cost ${most_usd:.4f}"
            )
        self.paid.ask(key, part, most_usd, about=about)


class AskedModelTask(NamedTuple):
    """Who is asked and scored, and at what price."""

    client: ChatClient
    model: str
    task: Task
    scorer: Scorer
    prices: Prices
    at_once: int


class CandidateMeasure:
    """A `freehold.prompts.measuring.Measure`: asks the candidate what was not asked before, in a loop of its own.

    Raises `SearchEndedError` where the budget is spent, `UpstreamError` where the candidate answers nothing any more: a
    search without it found nothing out.
    """

    def __init__(
        self, portal: BlockingPortal, asked: AskedModelTask, purse: Purse, progress: Progress
    ) -> None:
        self._portal, self._asked, self._purse, self._progress = portal, asked, purse, progress
        self._under_way = 0

    def __call__(
        self, preparation: Preparation, samples: Sequence[Sample], *, name: str
    ) -> list[PromptAnswer]:
        return waited(self._portal.start_task_soon(self._measured, preparation, samples, name))

    async def _measured(
        self, preparation: Preparation, samples: Sequence[Sample], name: str
    ) -> list[PromptAnswer]:
        answers = await self._answers(preparation, samples, name)
        asked = self._asked
        results = await score_all(
            asked.scorer, asked.model, samples, answers, [one.target for one in samples]
        )
        return [
            PromptAnswer(
                sample=sample,
                output=result.output or "",
                score=result.score.value,
                reason=result.score.reason,
                format_ok=result.score.format_ok,
                prompt_tokens=None if result.usage is None else result.usage.prompt_tokens,
            )
            for sample, result in zip(samples, results, strict=True)
        ]

    async def _answers(
        self, preparation: Preparation, samples: Sequence[Sample], name: str
    ) -> list[ChatAnswer]:
        """In the samples' order; a sample that comes twice is asked once."""
        endpoint = self._asked.client.endpoint
        served = msgspec.structs.replace(served_model(endpoint, self._asked.model), preparation=preparation)
        bodies = [chat_request(one, served, self._asked.task, endpoint) for one in samples]
        keys = [request_key(body, served, endpoint) for body in bodies]
        todo = {
            key: (body, sample.id)
            for key, body, sample in zip(keys, bodies, samples, strict=True)
            if self._purse.paid.get(key) is None
        }
        lost: dict[str, ChatAnswer] = {}
        left, done, ending = iter(list(todo.items())), 0, False

        async def work() -> None:
            nonlocal done
            for key, (body, sample_id) in left:
                if ending:
                    return
                answer = await self._ask(key, body, sample_id)
                if not answer.keepable:
                    lost[key] = answer
                done += 1
                self._progress.update(done, len(todo), unit="requests", note=name)

        workers = [asyncio.create_task(work()) for _ in range(min(self._asked.at_once, len(todo)))]
        try:
            if workers:
                _, under_way = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                ending = True
                if under_way:  # sent, so perhaps billed: an answer that is on its way is kept
                    await asyncio.wait(under_way, timeout=_FINISH_SECONDS)
                await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [self._purse.paid.get(key) or lost[key] for key in keys]

    async def _ask(self, key: str, body: dict[str, Any], sample_id: str) -> ChatAnswer:
        asked = self._asked
        most = asked.prices.most(asked.model, body)
        while self._under_way and not self._purse.holds(most):
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # what is under way will cost less than it can
        self._purse.ask(key, ANSWERS, most, about=sample_id)
        self._under_way += 1
        try:
            answer = await asked.client.ask(body)
        except UpstreamError as error:  # refused, so not billed
            answer = ChatAnswer(fault="infrastructure", error=error.message)
            self._purse.paid.answer(key, answer, Decimal(0))
            raise
        finally:
            self._under_way -= 1
        self._purse.paid.answer(key, answer, asked.prices.spent(asked.model, answer, most))
        if answer.fault == "infrastructure":
            raise UpstreamError(
                f"{asked.client.endpoint.base_url} answers nothing any more: {answer.error}",
                hint="run the same command again when it does: what was answered is not asked again",
            )
        return answer
