"""The requests of a harvest sent, within the budget, each written down before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from freehold.errors import UpstreamError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.chat_client import ChatClient, Patience
from freehold.types.endpoint import Endpoint
from freehold.types.progress import Progress
from freehold.workflows.journey.harvest.parts import Ask, PartName, PlannedPart
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.paying.prices import Prices

CONCURRENCY = 4
_FAILED_IN_A_ROW = 8
_LOOK_AGAIN_SECONDS = 0.02
_FINISH_SECONDS = 60.0  # how long requests under way may still be answered once one of them ended the harvest
TITLES: dict[PartName, str] = {
    "account": "copy what the account holds",
    "held_out": "answers to held-out samples",
    "repeats": "repeats at the application's own temperature",
    "train": "answers to training samples",
    "unlabelled": "answers to requests that have none",
    "rubric": "a rubric",
    "critiques": "critiques of the candidate's errors",
    "paraphrases": "paraphrases of rare classes",
    "labels": "second labels of paraphrases",
}


class Sender:
    """Sends a harvest's requests. `budget_usd` and `budget_requests` cover all runs of it; None: no limit was set.

    `stopped` says that the budget ended it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        paid: PaidAnswers,
        prices: Prices,
        budget_usd: Decimal | None,
        *,
        patience: Patience | None = None,
        budget_requests: int | None = None,
    ) -> None:
        self._endpoint, self._paid, self._prices = endpoint, paid, prices
        self._budget_usd, self._patience = budget_usd, patience
        self._budget_requests = budget_requests
        self._under_way = self._failed_in_a_row = 0
        self.stopped: str | None = None

    async def send(
        self, parts: Sequence[PlannedPart], progress: Progress, on_answer: Callable[[Ask, ChatAnswer], None]
    ) -> None:
        """Ask what is not answered yet, part by part. Answers that were kept reach `on_answer` as well.

        Raises `UpstreamError` where the key is refused or nothing is answered, `StorageError` where an answer cannot be
        kept; no further request is sent then.
        """
        async with ChatClient(
            self._endpoint, concurrency=CONCURRENCY, patience=self._patience, stream=False
        ) as client:
            for part in parts:
                if part.asks and self.stopped is None:
                    progress.step(TITLES[part.name], note=part.model)
                    await self._part(client, part, progress, on_answer)

    async def _part(
        self,
        client: ChatClient,
        part: PlannedPart,
        progress: Progress,
        on_answer: Callable[[Ask, ChatAnswer], None],
    ) -> None:
        todo, done, ending = iter(part.asks), 0, False

        async def work() -> None:
            nonlocal done
            for ask in todo:
                if ending:
                    return
                answer = self._paid.get(ask.key) or await self._ask(client, part, ask, todo)
                if answer is None:
                    return
                done += 1
                on_answer(ask, answer)
                progress.update(done, len(part.asks), unit="requests", note=self._so_far())

        workers = [asyncio.create_task(work()) for _ in range(CONCURRENCY)]
        try:
            _, under_way = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            ending = True
            if under_way:  # sent, so billed: an answer that is on its way is kept
                await asyncio.wait(under_way, timeout=_FINISH_SECONDS)
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _ask(
        self, client: ChatClient, part: PlannedPart, ask: Ask, todo: Iterator[Ask]
    ) -> ChatAnswer | None:
        """The answer; None where the budget does not hold the request."""
        most = self._prices.most(ask.model, ask.body)
        while self._budget_usd is not None and self._paid.committed_usd + most > self._budget_usd:
            if self._under_way == 0 or self.stopped is not None:
                self.stopped = (
                    f"the budget: ${self._paid.spent_usd:.4f} of ${self._budget_usd:.2f} are spent, and the next "
                    f"request can cost ${most:.4f}"
                )
                return None
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # what is under way will cost less than it can
        if self._budget_requests is not None and self._paid.requests >= self._budget_requests:
            self.stopped = f"the budget: {self._budget_requests:,} requests are sent"
            return None
        trace = ask.sample.trace_id if ask.sample is not None and part.name == "unlabelled" else None
        self._paid.ask(ask.key, part.name, most, about=trace or ask.about)
        self._under_way += 1
        try:
            answer = await client.ask(ask.body)
        except UpstreamError as error:  # refused, so not billed
            self._paid.answer(ask.key, ChatAnswer(fault="infrastructure", error=error.message), Decimal(0))
            raise
        finally:
            self._under_way -= 1
        self._paid.answer(ask.key, answer, self._prices.spent(ask.model, answer, most))
        self._failed_in_a_row = self._failed_in_a_row + 1 if answer.fault == "infrastructure" else 0
        if self._failed_in_a_row >= _FAILED_IN_A_ROW:
            raise UpstreamError(
                f"{self._endpoint.base_url} answers nothing any more: {answer.error}",
                hint="run the same command again later: what was answered is kept",
            )
        return answer

    def _so_far(self) -> str:
        of = "" if self._budget_usd is None else f" of ${self._budget_usd:.2f}"
        return f"${self._paid.spent_usd:.4f}{of}"
