import asyncio

from aiohttp import web
from tests.evals.chat.conftest import QUICK

from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.chat.asker import Asker
from freehold.evals.chat.chat_client import ChatClient


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


def test_how_sure_the_model_was_comes_with_the_answer_and_is_kept(serve, tmp_path):
    path = tmp_path / "kept.jsonl"
    found, requests = run(serve, ["a"], telling_reply, path=path, telling=TELLING)
    sure = {"mean_logprob": -0.5, "min_logprob": -0.5}
    assert (found[0][0].output, found[0][0].signals, requests) == ("x", sure, 1)
    found, requests = run(serve, ["a"], telling_reply, path=path, telling=TELLING)
    assert (found[0][0].signals, found[0][1], requests) == (sure, True, 0)


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
