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
from typing import Annotated, Literal, NamedTuple

import msgspec

from freehold.encoders.runner import EncodedText, EncoderRunner, Text
from freehold.errors import EngineError

_Count = Annotated[int, msgspec.Meta(ge=1)]


class EncoderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine can be told (`ServePlan.options`).

    `batch` is the most texts of one run of the model: texts that wait while one run computes go into the next.
    `queue_texts` may wait at once; beyond that requests are refused with status 503. `long_texts` says what becomes of
    a text longer than the encoder was trained on: it is cut there, as in training, and the answer says so, or the
    request is refused.
    """

    batch: _Count = 32
    queue_texts: _Count = 4096
    long_texts: Literal["cut", "refuse"] = "cut"
    ready_seconds: Annotated[float, msgspec.Meta(ge=1)] = 120.0


class QueueFullError(EngineError):
    """More texts wait than the queue holds."""

    retryable = True


class _WaitingText(NamedTuple):
    text: Text
    answered: asyncio.Future[EncodedText]


class Batcher:
    """Runs the model in a thread of its own. Belongs to one event loop; ``async with`` it."""

    def __init__(self, runner: EncoderRunner, *, batch: int, queue_texts: int) -> None:
        self._runner = runner
        self._batch = batch
        self._room = queue_texts
        self._requests: deque[deque[_WaitingText]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.queued = 0
        """Texts that wait."""

    async def __aenter__(self) -> Batcher:
        self._task = asyncio.create_task(self._work(), name="encoder batches")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for one in (one for request in self._requests for one in request):
            one.answered.cancel()
        self._thread.shutdown(wait=False)

    async def read(self, texts: Sequence[Text]) -> list[EncodedText]:
        """Each text as the encoder reads it. Raises `QueueFullError`, and `EngineError` where the run failed."""
        if self.queued + len(texts) > self._room:
            raise QueueFullError(f"{self.queued} texts wait already, and {self._room} may")
        loop = asyncio.get_running_loop()
        request = [_WaitingText(text, loop.create_future()) for text in texts]
        self._requests.append(deque(request))
        self.queued += len(request)
        self._came.set()
        return await asyncio.gather(*(one.answered for one in request))

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
            distinct = list(dict.fromkeys(one.text for one in taken))
            try:
                made = await loop.run_in_executor(self._thread, self._runner.run, distinct)
            except asyncio.CancelledError:
                self._fail(taken, EngineError("the engine is stopping"))
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, these requests end with it and others go on)
                self._fail(taken, error)
                continue
            computed = dict(zip(distinct, made, strict=True))
            for one in taken:
                if not one.answered.done():
                    one.answered.set_result(computed[one.text])

    def _take(self) -> list[_WaitingText]:
        """The texts of the next run, from the waiting requests by turns."""
        taken: list[_WaitingText] = []
        while self._requests and len(taken) < self._batch:
            request = self._requests.popleft()
            one = request.popleft()
            self.queued -= 1
            if request:
                self._requests.append(request)
            if not one.answered.done():  # its client has not gone
                taken.append(one)
        return taken

    @staticmethod
    def _fail(taken: Sequence[_WaitingText], error: Exception) -> None:
        for one in taken:
            if not one.answered.done():
                one.answered.set_exception(error)
