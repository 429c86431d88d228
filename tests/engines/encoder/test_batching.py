"""Waiting texts share runs, take turns, and never wait for others to come."""

import asyncio
import threading

import numpy as np
import pytest

from freehold.encoders.runner import EncodedText
from freehold.engines.encoder.batching import Batcher, QueueFullError
from freehold.errors import EngineError

pytestmark = pytest.mark.anyio


class Recorded:
    """Remembers its runs; each waits for `gate` where there is one."""

    def __init__(self, gate=None):
        self.runs = []
        self.gate = gate
        self.began = threading.Event()

    def run(self, texts):
        self.runs.append(list(texts))
        self.began.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        if "bad" in texts:
            raise EngineError("no such text")
        return [EncodedText(len(text), 0, np.zeros(1, np.float32), ()) for text in texts]

    def count(self, texts):
        return [len(text) for text in texts]


async def began(runner):
    await asyncio.to_thread(runner.began.wait, 10)


async def test_what_waits_while_one_run_computes_goes_into_the_next_together():
    gate = threading.Event()
    runner = Recorded(gate)
    async with Batcher(runner, batch=8, queue_texts=100) as batcher:
        first = asyncio.create_task(batcher.read(["a"]))
        await began(runner)
        others = [asyncio.create_task(batcher.read([text])) for text in ("bb", "ccc", "bb")]
        await asyncio.sleep(0)
        gate.set()
        assert [one.tokens for one in await first] == [1]
        assert [(await one)[0].tokens for one in others] == [2, 3, 2]
    assert runner.runs == [["a"], ["bb", "ccc"]]
    assert batcher.queued == 0


async def test_a_request_of_many_texts_does_not_hold_up_one_of_a_single_text():
    gate = threading.Event()
    runner = Recorded(gate)
    async with Batcher(runner, batch=4, queue_texts=100) as batcher:
        many = asyncio.create_task(batcher.read([f"text {number}" for number in range(40)]))
        await began(runner)
        one = asyncio.create_task(batcher.read(["single"]))
        await asyncio.sleep(0)
        gate.set()
        await one
        assert not many.done()
        assert len(await many) == 40
    assert "single" in runner.runs[1]
    assert [text for run in runner.runs for text in run if text != "single"] == [
        f"text {n}" for n in range(40)
    ]


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room():
    gate = threading.Event()
    runner = Recorded(gate)
    async with Batcher(runner, batch=4, queue_texts=3) as batcher:
        first = asyncio.create_task(batcher.read(["a"]))
        await began(runner)
        waiting = asyncio.create_task(batcher.read(["b", "c"]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="2 texts wait already, and 3 may"):
            await batcher.read(["d", "e"])
        gate.set()
        await asyncio.gather(first, waiting)
        assert len(await batcher.read(["d", "e"])) == 2


async def test_a_run_that_fails_ends_its_requests_and_no_others():
    runner = Recorded()
    async with Batcher(runner, batch=4, queue_texts=10) as batcher:
        with pytest.raises(EngineError, match="no such text"):
            await batcher.read(["bad"])
        assert len(await batcher.read(["good"])) == 1
        assert await batcher.count(["four"]) == [4]


async def test_a_request_whose_client_has_gone_is_not_computed():
    gate = threading.Event()
    runner = Recorded(gate)
    async with Batcher(runner, batch=1, queue_texts=10) as batcher:
        first = asyncio.create_task(batcher.read(["a"]))
        await began(runner)
        gone = asyncio.create_task(batcher.read(["b", "c"]))
        await asyncio.sleep(0)
        gone.cancel()
        gate.set()
        await first
        await batcher.read(["d"])
        assert batcher.queued == 0
    assert runner.runs == [["a"], ["d"]]
