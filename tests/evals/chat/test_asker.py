import asyncio

import pytest
from aiohttp import web
from tests.evals.chat.conftest import QUICK

from freehold.errors import UpstreamError
from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.chat.asker import Asker, Budget
from freehold.evals.chat.chat_client import ChatClient
from freehold.types.endpoint import Endpoint


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


def test_what_was_asked_is_not_asked_again(serve, tmp_path):
    path = tmp_path / "kept.jsonl"
    found, requests = run(serve, ["a", "b", "a"], path=path)
    assert ([cached for _, cached in found], requests) == ([False, False, True], 2)
    found, requests = run(serve, ["b", "c"], path=path)
    assert ([cached for _, cached in found], requests) == ([True, False], 1)


def test_beyond_the_budget_nothing_is_asked(serve):
    found, requests = run(serve, ["a", "b", "c"], budget=Budget(requests=2))
    assert (requests, found[2][0].fault, found[2][0].error) == (
        2,
        "infrastructure",
        "budget_spent: 2 of 2 requests",
    )
    found, requests = run(serve, ["a", "b"], budget=Budget(tokens=5))
    assert requests == 1


def test_where_nobody_answers_it_ends():
    nowhere = Endpoint(name="n", engine="remote", base_url="http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match="can't be reached"):
        asyncio.run(asked(nowhere, ["a", "b"]))


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


def test_an_api_that_tells_nothing_is_asked_once(serve, tmp_path):
    path = tmp_path / "kept.jsonl"
    for expected in (1, 0):
        found, requests = run(serve, ["a"], path=path, telling=TELLING)
        assert (found[0][0].signals, requests) == ({}, expected)


def test_an_api_that_refuses_to_tell_is_asked_without(serve):
    found, requests = run(serve, ["a", "b", "c"], refusing_reply, telling=TELLING)
    assert [one.output for one, _ in found] == ["x"] * 3
    assert [one.signals for one, _ in found] == [{}] * 3
    assert (requests, found[0][0].attempts) == (4, 2)


def test_a_request_that_is_refused_for_itself_stays_refused(serve):
    def refuse(body, attempt):
        return web.json_response({"error": {"message": "no"}}, status=400)

    found, requests = run(serve, ["a"], refuse, telling=TELLING)
    assert (found[0][0].error, requests) == ("refused_request: 400 no", 2)
