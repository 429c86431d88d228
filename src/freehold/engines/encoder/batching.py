"""Texts of many requests in few runs: those that wait while one run computes go into the next together.

No request waits for others to come, so one alone is answered at once. Waiting requests give a text each by turns, so a
request with two thousand texts does not hold up one with a single text.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from freehold.encoders.runner import EncoderRunner, Reading, Text
from freehold.errors import EngineError


class QueueFullError(EngineError):
    """More texts wait than the queue holds."""

    retryable = True


class _Waiting:
    """One request's texts: `next` is the first that no run has taken yet."""

    def __init__(self, texts: Sequence[Text], answered: asyncio.Future[list[Reading]]) -> None:
        self.texts = texts
        self.next = 0
        self.answered = answered
        self.results: list[Reading | None] = [None] * len(texts)
        self.left = len(texts)


class Batcher:
    """Runs the model in a thread of its own. Belongs to one event loop; ``async with`` it."""

    def __init__(self, runner: EncoderRunner, *, batch: int, queue_texts: int) -> None:
        self._runner = runner
        self._batch = batch
        self._room = queue_texts
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.queued = 0
        """Texts that wait."""
        self.runs = 0
        self.texts = 0
        """Texts that were read, in `runs` runs."""

    async def __aenter__(self) -> Batcher:
        self._task = asyncio.create_task(self._work(), name="encoder batches")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for waiting in self._waiting:
            waiting.answered.cancel()
        self._thread.shutdown(wait=False)

    async def read(self, texts: Sequence[Text]) -> list[Reading]:
        """Each text as the encoder reads it. Raises `QueueFullError`, and `EngineError` where the run failed."""
        if self.queued + len(texts) > self._room:
            raise QueueFullError(f"{self.queued} texts wait already, and {self._room} may")
        answered: asyncio.Future[list[Reading]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(texts, answered))
        self.queued += len(texts)
        self._came.set()
        return await answered

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._runner.count, texts)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            taken = self._take()
            if not taken:
                self._came.clear()
                await self._came.wait()
                continue
            distinct = list(dict.fromkeys(waiting.texts[place] for waiting, place in taken))
            try:
                computed = await loop.run_in_executor(self._thread, self._runner.run, distinct)
            except asyncio.CancelledError:
                self._fail(taken, EngineError("the engine is stopping"))
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, these requests end and others go on)
                self._fail(taken, error)
                continue
            self.runs += 1
            self.texts += len(taken)
            self._hand_out(taken, dict(zip(distinct, computed, strict=True)))

    def _take(self) -> list[tuple[_Waiting, int]]:
        """The texts of the next run, from the waiting requests by turns."""
        taken: list[tuple[_Waiting, int]] = []
        while self._waiting and len(taken) < self._batch:
            waiting = self._waiting.popleft()
            if waiting.answered.done():  # its client has gone, or a run failed
                self.queued -= len(waiting.texts) - waiting.next
                continue
            taken.append((waiting, waiting.next))
            waiting.next += 1
            self.queued -= 1
            if waiting.next < len(waiting.texts):
                self._waiting.append(waiting)
        return taken

    @staticmethod
    def _hand_out(taken: Sequence[tuple[_Waiting, int]], computed: dict[Text, Reading]) -> None:
        for waiting, place in taken:
            waiting.results[place] = computed[waiting.texts[place]]
            waiting.left -= 1
            if not waiting.left and not waiting.answered.done():
                waiting.answered.set_result([one for one in waiting.results if one is not None])

    @staticmethod
    def _fail(taken: Sequence[tuple[_Waiting, int]], error: Exception) -> None:
        for waiting, _ in taken:
            if not waiting.answered.done():
                waiting.answered.set_exception(error)
