"""Paraphrases asked for within the budget, a few requests at a time, and each checked before more are paid for.

Every request and answer is on the disk before anything else happens: run again, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.chat_client import Patience
from freehold.types.progress import Progress, Silent
from freehold.types.teaching import Paraphrases
from freehold.workflows.journey.harvest.asking import Sender
from freehold.workflows.journey.harvest.outputs import usable
from freehold.workflows.journey.harvest.parts import Ask, PartName, PlannedPart
from freehold.workflows.journey.harvest.written import writer_of
from freehold.workflows.journey.paraphrasing.checking import NO_ANSWER, Checker, label_asks, labels_in
from freehold.workflows.journey.paraphrasing.planning import ParaphrasesFound, ParaphrasesPlan
from freehold.workflows.journey.paying.answers import PaidAnswers

CHUNK = 8
"""Requests for paraphrases before what came is checked."""
BARREN = 16
"""Requests in a row that brought nothing to learn from, after which no more are paid for."""
ASKED = "asked.jsonl"


def gather(
    planned: ParaphrasesPlan, *, progress: Progress, patience: Patience | None = None
) -> ParaphrasesFound:
    """Ask, check, and tell what came of it; what is on the disk is not asked again.

    Raises `UpstreamError` where the key is refused or nothing is answered any more, `StorageError` where the disk
    refuses; what was answered stays.
    """
    with PaidAnswers(planned.folder / ASKED) as paid:
        sender = Sender(
            planned.asked.endpoint,
            paid,
            planned.prices,
            planned.config.budget_usd,
            patience=patience,
            budget_requests=planned.config.budget_requests,
        )
        run = _Run(planned, paid, sender, progress)
        stopped = anyio.run(run.all)
        checker = run.checker
        return ParaphrasesFound(
            told=Paraphrases(
                model=writer_of(planned.asked.model),
                endpoint=planned.config.endpoint,
                classes=planned.rare,
                written=checker.written,
                kept=len(checker.kept),
                left_out=dict(checker.left_out.most_common()),
                requests=paid.requests,
                spent_usd=paid.spent_usd,
                stopped=stopped,
                share=len(checker.kept) / max(1, len(planned.train) + len(checker.kept)),
            ),
            samples=tuple(checker.kept),
        )


class _Run:
    def __init__(
        self, planned: ParaphrasesPlan, paid: PaidAnswers, sender: Sender, progress: Progress
    ) -> None:
        self._planned, self._paid, self._sender, self._progress = planned, paid, sender, progress
        self.checker = Checker(
            planned.classes, planned.judged, planned.near_duplicates, planned.config.per_class
        )
        self._answered = 0

    async def all(self) -> str | None:
        """Why it ended early; None where everything was asked."""
        rounds, fruitless = self._planned.rounds, 0
        for start in range(0, len(rounds), CHUNK):
            chunk, before = rounds[start : start + CHUNK], len(self.checker.kept)
            await self._send("paraphrases", chunk)
            await self._label(chunk)
            self._tell()
            if self._sender.stopped is not None:
                return self._sender.stopped
            fruitless = fruitless + len(chunk) if len(self.checker.kept) == before else 0
            if fruitless >= BARREN and start + CHUNK < len(rounds):
                return f"the last {fruitless:,} requests brought nothing to learn from"
        return None

    async def _label(self, chunk: Sequence[Ask]) -> None:
        answers = [(ask, answer.output or "") for ask in chunk if (answer := self._answer(ask)) is not None]
        pairs = label_asks(self._planned.asked, self._planned.classes, self.checker.candidates(answers))
        await self._send("labels", [ask for ask, _ in pairs])
        names = list(self._planned.classes)
        for ask, some in pairs:
            answer = self._answer(ask)
            told: list[str | None] = [None] * len(some)
            if answer is not None:
                told = labels_in(answer.output or "", names, len(some))
            self.checker.take(some, told)

    async def _send(self, name: PartName, asks: Sequence[Ask]) -> None:
        if asks and self._sender.stopped is None:
            part = PlannedPart(name, asks[0].model, tuple(asks))
            await self._sender.send([part], Silent(), self._heard)

    def _heard(self, ask: Ask, answer: ChatAnswer) -> None:
        if ask.sample is None:  # a second label
            return
        self._answered += 1
        if not usable(answer):
            self.checker.left_out[NO_ANSWER] += 1
        self._tell()

    def _tell(self) -> None:
        note = f"{len(self.checker.kept):,} messages kept, ${self._paid.spent_usd:.4f}"
        self._progress.update(self._answered, len(self._planned.rounds), unit="requests", note=note)

    def _answer(self, ask: Ask) -> ChatAnswer | None:
        answer = self._paid.get(ask.key)
        return answer if usable(answer) else None
