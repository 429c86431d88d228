"""Answers that are kept, and what is asked for with them."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from tests.evals.chat.conftest import QUICK, TASK, said

from freehold.evals import asking
from freehold.evals.asking import AnswerCache, Asker, oldest_answer
from freehold.evals.client import ChatClient
from freehold.evals.replay import ReplayOptions, replay
from freehold.evals.scorer import ChatAnswer


def test_a_cut_last_line_of_the_cache_is_asked_again(serve, samples, tmp_path):
    cache = tmp_path / "answers.jsonl"
    options = ReplayOptions(cache_path=cache, concurrency=1)

    async def go():
        async with serve(said) as server:
            for cut in (20, 0, 0):
                await replay(server.endpoint, "m", samples(5), TASK, options=options)
                cache.write_bytes(cache.read_bytes()[: -cut or None])
            return len(server.seen)

    assert asyncio.run(go()) == 6


def test_failures_are_not_kept(serve, samples, tmp_path):
    options = ReplayOptions(cache_path=tmp_path / "answers.jsonl", patience=QUICK)
    broken = True

    def reply(body, attempt):
        return web.Response(status=500) if broken else said(body, attempt)

    async def go():
        nonlocal broken
        async with serve(reply) as server:
            first = await replay(server.endpoint, "m", samples(2), TASK, options=options)
            broken = False
            return first, await replay(server.endpoint, "m", samples(2), TASK, options=options)

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
        patched.setattr(asking, "datetime", Clock)
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
        from freehold.evals.scorer import ChatAnswer
        from freehold.evals.asking import AnswerCache
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


def asked(endpoint, keys, *, budget=None, path=None, telling=None):
    async def go():
        with AnswerCache(path) as cache:
            async with ChatClient(endpoint, concurrency=1, patience=QUICK) as client:
                asker = Asker(client, cache, budget, len(keys), telling=telling)
                body = {"model": "m", "messages": [{"role": "user", "content": "say x"}]}
                return [await asker.ask(key, body) for key in keys]

    return go()


def run(serve, keys, reply=lambda body, attempt: "x", **options):
    async def go():
        async with serve(reply) as server:
            return await asked(server.endpoint, keys, **options), len(server.seen)

    return asyncio.run(go())


TELLING = {"logprobs": True, "top_logprobs": 1}


def telling_reply(body, attempt):
    """An answer of one token, with its log-probability where that is asked for."""
    content = [{"token": "x", "logprob": -0.5}]
    choice = {"message": {"content": "x"}, "finish_reason": "stop"}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": content}
    return web.json_response({"choices": [choice]})


def refusing_reply(body, attempt):
    if body.get("logprobs"):
        return web.json_response({"error": {"message": "this is not possible here"}}, status=400)
    return "x"


def test_what_was_kept_without_is_asked_again_under_its_old_key(serve, tmp_path):
    path = tmp_path / "kept.jsonl"
    found, _ = run(serve, ["a"], telling_reply, path=path)
    assert found[0][0].signals is None
    found, requests = run(serve, ["a"], telling_reply, path=path, telling=TELLING)
    assert (bool(found[0][0].signals), found[0][1], requests) == (True, False, 1)
    found, requests = run(serve, ["a"], telling_reply, path=path)
    assert (found[0][1], requests) == (True, 0)


def test_an_api_that_refuses_to_tell_is_asked_without(serve):
    found, requests = run(serve, ["a", "b", "c"], refusing_reply, telling=TELLING)
    assert [one.output for one, _ in found] == ["x"] * 3
    assert [one.signals for one, _ in found] == [{}] * 3
    assert (requests, found[0][0].attempts) == (4, 2)
