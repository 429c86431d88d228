import asyncio
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from tests.evals.chat.conftest import QUICK, TASK, said

from freehold.evals.answers import ChatAnswer
from freehold.evals.chat import answer_cache
from freehold.evals.chat.answer_cache import AnswerCache, oldest_answer
from freehold.evals.replay import ReplayOptions, replay


def test_a_cut_last_line_of_the_cache_is_asked_again(serve, samples, tmp_path):
    cache = tmp_path / "answers.jsonl"

    async def go():
        async with serve(said) as server:
            await replay(
                server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache, concurrency=1)
            )
            cache.write_bytes(cache.read_bytes()[:-20])
            await replay(
                server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache, concurrency=1)
            )
            await replay(
                server.endpoint, "m", samples(5), TASK, options=ReplayOptions(cache_path=cache, concurrency=1)
            )
            return len(server.seen)

    assert asyncio.run(go()) == 6


def test_failures_are_not_kept(serve, samples, tmp_path):
    cache = tmp_path / "answers.jsonl"
    broken = True

    def reply(body, attempt):
        return web.Response(status=500) if broken else said(body, attempt)

    async def go():
        nonlocal broken
        async with serve(reply) as server:
            first = await replay(
                server.endpoint,
                "m",
                samples(2),
                TASK,
                options=ReplayOptions(cache_path=cache, patience=QUICK),
            )
            broken = False
            second = await replay(
                server.endpoint,
                "m",
                samples(2),
                TASK,
                options=ReplayOptions(cache_path=cache, patience=QUICK),
            )
            return first, second

    first, second = asyncio.run(go())
    assert [one.score.value for one in first] == [None, None]
    assert [one.score.value for one in second] == [1.0, 1.0]


def test_answers_are_as_old_as_the_first_of_them(tmp_path, monkeypatch):
    path = tmp_path / "answers.jsonl"
    assert oldest_answer(path) is None
    days = iter([100, 0])

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) - timedelta(days=next(days))

    with monkeypatch.context() as patched:
        patched.setattr(answer_cache, "datetime", Clock)
        for key in ("a", "b"):
            with AnswerCache(path) as cache:
                cache.put(key, ChatAnswer(output=key))
    assert (datetime.now(UTC) - oldest_answer(path)).days == 100, (
        "one more answer makes the others no younger"
    )
    path.write_bytes(b'{"key": "cu\n' + path.read_bytes())
    assert (datetime.now(UTC) - oldest_answer(path)).days == 100


@pytest.mark.process
def test_a_process_that_is_killed_loses_no_answer_that_was_given(tmp_path):
    script = """
        import os, signal, sys
        from pathlib import Path
        from freehold.evals.answers import ChatAnswer
        from freehold.evals.chat.answer_cache import AnswerCache
        with AnswerCache(Path(sys.argv[1]), seconds=3600) as cache:
            for number in range(7):
                cache.put(str(number), ChatAnswer(output="paid for"))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "answers.jsonl"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)])
    assert done.returncode == -signal.SIGKILL
    with AnswerCache(path) as cache:
        assert [cache.get(str(number)).output for number in range(7)] == ["paid for"] * 7
